-- Times are milliseconds since the epoch, UTC. Money is whole nano-dollars. Ids are ULIDs with a
-- prefix. Strings that a client chose are cut at 256 bytes before they come here. Keys and columns
-- that order rows are compared by bytes (COLLATE "C").

CREATE TABLE schema_migrations (
  version BIGINT NOT NULL PRIMARY KEY, -- number in front of the migration's file name
  name    TEXT NOT NULL                -- the rest of that name
);

-- One row for each billed call that has ended. Partitions by month (UTC), such as usage_2026_11,
-- are made as rows need them. Every unique index has workspace_id and created_at, so that
-- the table can be distributed by workspace.
CREATE TABLE usage (
  id                          TEXT COLLATE "C" NOT NULL, -- ar-<ulid>
  revision                    BIGINT NOT NULL,           -- 1 closed by a sweep, 2 closed, higher: changed later; the higher one stands
  instance_id                 TEXT NOT NULL,             -- the run of the proxy that opened the row
  workspace_id                TEXT COLLATE "C" NOT NULL,
  sandbox_id                  TEXT COLLATE "C" NOT NULL,
  trace_id                    TEXT COLLATE "C" NOT NULL, -- with workspace_id the key of traces
  kind                        TEXT COLLATE "C" NOT NULL, -- message, batch_line
  provider                    TEXT COLLATE "C" NOT NULL, -- upstream dialect
  requested_model             TEXT COLLATE "C" NOT NULL, -- as the client wrote it
  served_model                TEXT COLLATE "C",          -- as the answer named it; this one is priced
  message_id                  TEXT,                      -- the upstream's id of the answer
  upstream_request_id         TEXT,                      -- the upstream's id of the request
  ending                      TEXT,                      -- completed, client_left, upstream_error, upstream_broke, proxy_cut, unknown
  trust                       TEXT NOT NULL,             -- accuracy of the counts: exact, estimated, unknown
  status                      BIGINT,                    -- the upstream's HTTP status; NULL: none came
  error_type                  TEXT,                      -- the upstream's error type
  stop_reason                 TEXT,                      -- the upstream's stop reason
  streaming                   BOOLEAN NOT NULL,          -- the answer was asked for as a stream
  created_at                  BIGINT NOT NULL,           -- admission
  duration_ms                 BIGINT,                    -- from admission to the last byte
  ttft_ms                     BIGINT,                    -- from admission to the first content delta
  input_tokens                BIGINT NOT NULL DEFAULT 0, -- plain input, without cache reads and writes
  output_tokens               BIGINT NOT NULL DEFAULT 0,
  cache_creation_input_tokens BIGINT NOT NULL DEFAULT 0, -- all cache writes
  cache_read_input_tokens     BIGINT NOT NULL DEFAULT 0,
  cache_creation_5m_tokens    BIGINT NOT NULL DEFAULT 0, -- the part of the writes that lives 5 minutes
  cache_creation_1h_tokens    BIGINT NOT NULL DEFAULT 0, -- the part of the writes that lives an hour
  thinking_tokens             BIGINT NOT NULL DEFAULT 0, -- a part of output_tokens, not an addition
  server_tool_use             TEXT,                      -- JSON object: count by server tool; NULL: none
  service_tier                TEXT,
  inference_geo               TEXT,
  speed                       TEXT,
  iterations                  TEXT,                      -- JSON array, as the wire had it; NULL: none
  max_tokens                  BIGINT,                    -- as the client asked
  request_bytes               BIGINT NOT NULL,           -- length of the request's body
  messages_hash               TEXT,                      -- SHA-256 of the bytes of "messages", hex
  retry_of                    TEXT,                      -- id of the first call of the chain of retries
  asked_again                 BOOLEAN NOT NULL DEFAULT FALSE, -- it did not complete, and a later call retries it
  agent_id                    TEXT COLLATE "C",          -- the client's agent within the session
  parent_agent_id             TEXT,                      -- the agent that started it
  agent_type                  TEXT,
  request_class               TEXT,                      -- what the client says the call is for
  prompt_id                   TEXT,                      -- the user's prompt that the call belongs to
  client                      TEXT COLLATE "C",          -- the client's name and version
  token_id                    TEXT,                      -- the local token that was used; NULL: the control plane knew the token
  credential_id               TEXT,                      -- the operator's credential that paid
  reserved                    BIGINT,                    -- nano-dollars held while the call runs
  cost                        BIGINT,                    -- nano-dollars; NULL: unpriced, which is not zero
  price_version               TEXT,                      -- the price list that made the cost
  batch_id                    TEXT,                      -- message batch that the line belongs to
  custom_id                   TEXT,                      -- the client's own id of that line
  PRIMARY KEY (workspace_id, created_at, id)
) PARTITION BY RANGE (created_at);

CREATE INDEX usage_by_sandbox ON usage (sandbox_id, created_at);                 -- totals of a sandbox
CREATE INDEX usage_by_time    ON usage (created_at);                             -- totals of all since a time
CREATE INDEX usage_by_trace   ON usage (trace_id, workspace_id, created_at, id); -- a trace's detail, in one workspace or in all
-- The calls with one prompt. A hash, so that no broader index looks as good to the planner.
CREATE INDEX usage_by_question ON usage (
  hashtextextended(workspace_id || ' ' || trace_id || ' ' || messages_hash, 0), created_at, id
);

-- One agent session. Totals hold the ended calls and change only with the rows, in one transaction.
CREATE TABLE traces (
  workspace_id        TEXT COLLATE "C" NOT NULL,
  id                  TEXT COLLATE "C" NOT NULL, -- equal ids in two workspaces are two traces
  sandbox_id          TEXT COLLATE "C" NOT NULL, -- its call made the trace
  source              TEXT NOT NULL,             -- header, an agent's name, auto
  created_at          BIGINT NOT NULL,
  updated_at          BIGINT NOT NULL,           -- latest activity; never goes back
  request_count       BIGINT NOT NULL DEFAULT 0, -- ended calls, however they ended
  total_input_tokens  BIGINT NOT NULL DEFAULT 0, -- sum of usage.input_tokens
  total_output_tokens BIGINT NOT NULL DEFAULT 0, -- sum of usage.output_tokens
  total_cache_creation_input_tokens BIGINT NOT NULL DEFAULT 0,
  total_cache_read_input_tokens     BIGINT NOT NULL DEFAULT 0,
  cost                BIGINT NOT NULL DEFAULT 0, -- of the calls that have a price
  estimated_cost      BIGINT NOT NULL DEFAULT 0, -- the part of it that rests on estimated counts
  estimated_count     BIGINT NOT NULL DEFAULT 0, -- calls whose counts are estimated
  unknown_count       BIGINT NOT NULL DEFAULT 0, -- calls without known counts
  unpriced_count      BIGINT NOT NULL DEFAULT 0, -- calls that have no price
  retry_count         BIGINT NOT NULL DEFAULT 0, -- calls that retry another
  retried_cost        BIGINT NOT NULL DEFAULT 0, -- of the calls that were retried
  PRIMARY KEY (workspace_id, id)
);

CREATE INDEX traces_by_id        ON traces (id);                           -- a trace's detail if no workspace is named
CREATE INDEX traces_by_activity  ON traces (updated_at, id);               -- newest activity of everybody
CREATE INDEX traces_in_workspace ON traces (workspace_id, updated_at, id); -- newest activity of a workspace
CREATE INDEX traces_of_sandbox   ON traces (sandbox_id);                   -- traces of a sandbox

-- Totals of the ended calls that were admitted within one hour. They change only in the transaction
-- that writes the rows, and they stay if retention drops the rows.
CREATE TABLE usage_hours (
  workspace_id                TEXT COLLATE "C" NOT NULL,
  hour                        BIGINT NOT NULL,           -- start of the hour
  sandbox_id                  TEXT COLLATE "C" NOT NULL,
  provider                    TEXT COLLATE "C" NOT NULL,
  model                       TEXT COLLATE "C" NOT NULL, -- served, or requested if no answer named one
  kind                        TEXT COLLATE "C" NOT NULL,
  request_count               BIGINT NOT NULL,
  input_tokens                BIGINT NOT NULL,
  output_tokens               BIGINT NOT NULL,
  cache_creation_input_tokens BIGINT NOT NULL,
  cache_read_input_tokens     BIGINT NOT NULL,
  cost                        BIGINT NOT NULL,           -- of the calls that have a price
  estimated_cost              BIGINT NOT NULL,           -- the part of it that rests on estimated counts
  estimated_count             BIGINT NOT NULL,           -- calls whose counts are estimated
  unknown_count               BIGINT NOT NULL,           -- calls without known counts
  unpriced_count              BIGINT NOT NULL,           -- calls that have no price
  retry_count                 BIGINT NOT NULL,           -- calls that retry another
  retried_cost                BIGINT NOT NULL,           -- of the calls that were retried
  PRIMARY KEY (workspace_id, hour, sandbox_id, provider, model, kind)
);

CREATE INDEX usage_hours_by_hour    ON usage_hours (hour);             -- totals of all since a time
CREATE INDEX usage_hours_by_sandbox ON usage_hours (sandbox_id, hour); -- totals of a sandbox

-- Retention dropped the rows admitted before this; their totals stay. At most one row.
CREATE TABLE dropped (
  only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
  before   BIGINT NOT NULL
);

-- Counters of refused calls, which have no rows. An unknown caller has empty ids.
CREATE TABLE refusals (
  workspace_id TEXT COLLATE "C" NOT NULL,
  sandbox_id   TEXT COLLATE "C" NOT NULL,
  fault        TEXT COLLATE "C" NOT NULL, -- code of the fault
  minute       BIGINT NOT NULL,           -- start of the minute
  journal_id   TEXT COLLATE "C" NOT NULL, -- which journal counted: each replica has its own counters
  count        BIGINT NOT NULL,
  PRIMARY KEY (workspace_id, sandbox_id, minute, fault, journal_id)
);

CREATE INDEX refusals_by_minute ON refusals (minute); -- newest first

-- Local tokens, never the token itself.
CREATE TABLE tokens (
  id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  sha256       TEXT COLLATE "C" NOT NULL UNIQUE,      -- of the whole token, hex
  workspace_id TEXT COLLATE "C" NOT NULL,
  sandbox_id   TEXT COLLATE "C" NOT NULL,
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT,                                -- NULL: never
  revoked_at   BIGINT                                 -- NULL: still good
);

CREATE INDEX tokens_in_workspace ON tokens (workspace_id); -- the tokens of a workspace

-- Files and message batches that were made through the proxy, and their owners.
CREATE TABLE owned (
  id           TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- the upstream's
  kind         TEXT COLLATE "C" NOT NULL,             -- file, batch
  workspace_id TEXT COLLATE "C" NOT NULL,
  sandbox_id   TEXT COLLATE "C" NOT NULL,
  created_at   BIGINT NOT NULL,                       -- of a batch: admission of the call that made it
  call         TEXT,                                  -- of a batch: JSON of what its lines' rows have of that call
  due_at       BIGINT,                                -- of a batch without outcome: when it is looked at next
  outcome      TEXT COLLATE "C"                       -- of a batch: counted, gone; NULL: still to come
);

CREATE INDEX owned_due ON owned (due_at) WHERE due_at IS NOT NULL; -- the batches that are due
