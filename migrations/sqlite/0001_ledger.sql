-- Times are milliseconds since the epoch, UTC. Money is whole nano-dollars. Ids are ULIDs with a
-- prefix. Strings that a client chose are cut at 256 bytes before they come here.

CREATE TABLE schema_migrations (
  version INTEGER NOT NULL PRIMARY KEY, -- number in front of the migration's file name
  name    TEXT    NOT NULL              -- the rest of that name
) STRICT;

-- One row for each billed call. It is opened before the first byte goes upstream, and closed before
-- the last bytes go to the client.
CREATE TABLE usage (
  id                           TEXT    NOT NULL,           -- ar-<ulid>
  revision                     INTEGER NOT NULL,           -- 0 open, 1 closed by a sweep, 2 closed, higher: changed later; the higher one stands
  instance_id                  TEXT    NOT NULL,           -- the run of the proxy that opened the row
  workspace_id                 TEXT    NOT NULL,
  sandbox_id                   TEXT    NOT NULL,
  trace_id                     TEXT    NOT NULL,           -- with workspace_id the key of traces
  kind                         TEXT    NOT NULL,           -- message, batch_line
  provider                     TEXT    NOT NULL,           -- upstream dialect
  requested_model              TEXT    NOT NULL,           -- as the client wrote it
  served_model                 TEXT,                       -- as the answer named it; this one is priced
  message_id                   TEXT,                       -- the upstream's id of the answer
  upstream_request_id          TEXT,                       -- the upstream's id of the request
  ending                       TEXT,                       -- completed, client_left, upstream_error, upstream_broke, proxy_cut, unknown; NULL: open
  trust                        TEXT    NOT NULL,           -- accuracy of the counts: exact, estimated, unknown
  status                       INTEGER,                    -- the upstream's HTTP status; NULL: none came
  error_type                   TEXT,                       -- the upstream's error type
  stop_reason                  TEXT,                       -- the upstream's stop reason
  streaming                    INTEGER NOT NULL,           -- 1: the answer was asked for as a stream
  created_at                   INTEGER NOT NULL,           -- admission
  duration_ms                  INTEGER,                    -- from admission to the last byte
  ttft_ms                      INTEGER,                    -- from admission to the first content delta
  input_tokens                 INTEGER NOT NULL DEFAULT 0, -- plain input, without cache reads and writes
  output_tokens                INTEGER NOT NULL DEFAULT 0,
  cache_creation_input_tokens  INTEGER NOT NULL DEFAULT 0, -- all cache writes
  cache_read_input_tokens      INTEGER NOT NULL DEFAULT 0,
  cache_creation_5m_tokens     INTEGER NOT NULL DEFAULT 0, -- the part of the writes that lives 5 minutes
  cache_creation_1h_tokens     INTEGER NOT NULL DEFAULT 0, -- the part of the writes that lives an hour
  thinking_tokens              INTEGER NOT NULL DEFAULT 0, -- a part of output_tokens, not an addition
  server_tool_use              TEXT,                       -- JSON object: count by server tool; NULL: none
  service_tier                 TEXT,
  inference_geo                TEXT,
  speed                        TEXT,
  iterations                   TEXT,                       -- JSON array, as the wire had it; NULL: none
  max_tokens                   INTEGER,                    -- as the client asked
  request_bytes                INTEGER NOT NULL,           -- length of the request's body
  messages_hash                TEXT,                       -- SHA-256 of the bytes of "messages", hex
  retry_of                     TEXT,                       -- id of the first call of the chain of retries
  asked_again                  INTEGER NOT NULL DEFAULT 0, -- 1: it did not complete, and a later call retries it
  agent_id                     TEXT,                       -- the client's agent within the session
  parent_agent_id              TEXT,                       -- the agent that started it
  agent_type                   TEXT,
  request_class                TEXT,                       -- what the client says the call is for
  prompt_id                    TEXT,                       -- the user's prompt that the call belongs to
  client                       TEXT,                       -- the client's name and version
  token_id                     TEXT,                       -- the local token that was used; NULL: the control plane knew the token
  credential_id                TEXT,                       -- the operator's credential that paid
  reserved                     INTEGER,                    -- nano-dollars held while the call runs
  cost                         INTEGER,                    -- nano-dollars; NULL: unpriced, which is not zero
  price_version                TEXT,                       -- the price list that made the cost
  batch_id                     TEXT,                       -- message batch that the line belongs to
  custom_id                    TEXT,                       -- the client's own id of that line
  attempt                      INTEGER NOT NULL DEFAULT 0, -- 1: it may be linked with retries; 0: no call with its prompt has failed before
  counted                      INTEGER NOT NULL DEFAULT 1, -- 0: the totals and links are kept in a shared database, and the row stands in none here
  PRIMARY KEY (workspace_id, created_at, id)
) STRICT;

CREATE INDEX usage_by_sandbox ON usage (sandbox_id, created_at);                 -- totals of a sandbox
CREATE INDEX usage_by_time    ON usage (created_at);                             -- totals of all since a time
CREATE INDEX usage_by_trace   ON usage (trace_id, workspace_id, created_at, id); -- a trace's detail, in one workspace or in all
CREATE INDEX usage_by_question ON usage (trace_id, substr(messages_hash, 1, 16), created_at) WHERE attempt = 1; -- the calls with one prompt
CREATE INDEX usage_open       ON usage (instance_id) WHERE revision = 0;         -- the sweep, and the count of open rows

-- One agent session. Totals hold the ended calls and change only with the rows, in one transaction.
CREATE TABLE traces (
  workspace_id        TEXT    NOT NULL,
  id                  TEXT    NOT NULL,           -- equal ids in two workspaces are two traces
  sandbox_id          TEXT    NOT NULL,           -- its call made the trace
  source              TEXT    NOT NULL,           -- header, an agent's name, auto
  created_at          INTEGER NOT NULL,
  updated_at          INTEGER NOT NULL,           -- latest activity; never goes back
  request_count       INTEGER NOT NULL DEFAULT 0, -- ended calls, however they ended
  total_input_tokens  INTEGER NOT NULL DEFAULT 0, -- sum of usage.input_tokens
  total_output_tokens INTEGER NOT NULL DEFAULT 0, -- sum of usage.output_tokens
  total_cache_creation_input_tokens INTEGER NOT NULL DEFAULT 0,
  total_cache_read_input_tokens     INTEGER NOT NULL DEFAULT 0,
  cost                INTEGER NOT NULL DEFAULT 0, -- of the calls that have a price
  estimated_cost      INTEGER NOT NULL DEFAULT 0, -- the part of it that rests on estimated counts
  estimated_count     INTEGER NOT NULL DEFAULT 0, -- calls whose counts are estimated
  unknown_count       INTEGER NOT NULL DEFAULT 0, -- calls without known counts
  unpriced_count      INTEGER NOT NULL DEFAULT 0, -- calls that have no price
  retry_count         INTEGER NOT NULL DEFAULT 0, -- calls that retry another
  retried_cost        INTEGER NOT NULL DEFAULT 0, -- of the calls that were retried
  PRIMARY KEY (workspace_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX traces_by_id        ON traces (id);                           -- a trace's detail if no workspace is named
CREATE INDEX traces_by_activity  ON traces (updated_at, id);               -- newest activity of all; the traces of a workspace are read by their key
CREATE INDEX traces_of_sandbox   ON traces (sandbox_id);                   -- traces of a sandbox

-- Totals of the ended calls that were admitted within one hour. They change only in the transaction
-- that writes the rows, and they stay if retention drops the rows.
CREATE TABLE usage_hours (
  workspace_id                TEXT    NOT NULL,
  hour                        INTEGER NOT NULL, -- start of the hour
  sandbox_id                  TEXT    NOT NULL,
  provider                    TEXT    NOT NULL,
  model                       TEXT    NOT NULL, -- served, or requested if no answer named one
  kind                        TEXT    NOT NULL,
  request_count               INTEGER NOT NULL,
  input_tokens                INTEGER NOT NULL,
  output_tokens               INTEGER NOT NULL,
  cache_creation_input_tokens INTEGER NOT NULL,
  cache_read_input_tokens     INTEGER NOT NULL,
  cost                        INTEGER NOT NULL, -- of the calls that have a price
  estimated_cost              INTEGER NOT NULL, -- the part of it that rests on estimated counts
  estimated_count             INTEGER NOT NULL, -- calls whose counts are estimated
  unknown_count               INTEGER NOT NULL, -- calls without known counts
  unpriced_count              INTEGER NOT NULL, -- calls that have no price
  retry_count                 INTEGER NOT NULL, -- calls that retry another
  retried_cost                INTEGER NOT NULL, -- of the calls that were retried
  PRIMARY KEY (workspace_id, hour, sandbox_id, provider, model, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_hours_by_hour    ON usage_hours (hour);             -- totals of all since a time
CREATE INDEX usage_hours_by_sandbox ON usage_hours (sandbox_id, hour); -- totals of a sandbox

-- Retention dropped the rows admitted before this; their totals stay. At most one row.
CREATE TABLE dropped (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  before   INTEGER NOT NULL
) STRICT;

-- Counters of refused calls, which have no rows. An unknown caller has empty ids.
CREATE TABLE refusals (
  workspace_id TEXT    NOT NULL,
  sandbox_id   TEXT    NOT NULL,
  fault        TEXT    NOT NULL, -- code of the fault
  minute       INTEGER NOT NULL, -- start of the minute
  journal_id   TEXT    NOT NULL, -- which journal counted: each replica has its own counters
  count        INTEGER NOT NULL,
  PRIMARY KEY (workspace_id, sandbox_id, minute, fault, journal_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX refusals_by_minute ON refusals (minute); -- newest first

-- Local tokens, never the token itself.
CREATE TABLE tokens (
  id           TEXT    NOT NULL PRIMARY KEY,
  sha256       TEXT    NOT NULL UNIQUE, -- of the whole token, hex
  workspace_id TEXT    NOT NULL,
  sandbox_id   TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER,                 -- NULL: never
  revoked_at   INTEGER                  -- NULL: still good
) STRICT;

CREATE INDEX tokens_in_workspace ON tokens (workspace_id); -- the tokens of a workspace

-- Files and message batches that were made through the proxy, and their owners.
CREATE TABLE owned (
  id           TEXT    NOT NULL PRIMARY KEY, -- the upstream's
  kind         TEXT    NOT NULL,             -- file, batch
  workspace_id TEXT    NOT NULL,
  sandbox_id   TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,             -- of a batch: admission of the call that made it
  call         TEXT,                         -- of a batch: JSON of what its lines' rows have of that call
  due_at       INTEGER,                      -- of a batch without outcome: when it is looked at next
  outcome      TEXT                          -- of a batch: counted, gone; NULL: still to come
) STRICT;

CREATE INDEX owned_due ON owned (due_at) WHERE due_at IS NOT NULL; -- the batches that are due

-- After a failed commit, a write to this table shows if writing works again. Otherwise empty.
CREATE TABLE ledger_probe (
  padding BLOB NOT NULL
) STRICT;

-- What this file is to a shared database.
CREATE TABLE journal (
  only_row       INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  id             TEXT    NOT NULL,           -- the identity of this file's counters there
  role           TEXT    NOT NULL DEFAULT 'database', -- database: the only one; journal: what is recorded is shipped, and counted there
  is_handed_over INTEGER NOT NULL DEFAULT 0  -- 1: what a journal held from when it was the only database has been queued
) STRICT;

-- Indexes that a journal does not have. They are made again when it becomes the only database. A
-- migration that changes one of them changes it here too.
CREATE TABLE absent_indexes (
  name TEXT NOT NULL PRIMARY KEY,
  sql  TEXT NOT NULL
) STRICT;

INSERT INTO journal (only_row, id) VALUES (1, lower(hex(randomblob(16))));

-- What waits to be shipped to a shared database. Each change adds to it; the shipper alone removes
-- what has arrived. So numbers only grow while anything waits, and a row that changes while it is
-- shipped is shipped again. Empty if there is no shared database.
CREATE TABLE unshipped_usage (
  number       INTEGER NOT NULL PRIMARY KEY,
  workspace_id TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  id           TEXT    NOT NULL,
  UNIQUE (workspace_id, created_at, id)
) STRICT;

-- A row is shipped with its trace. These traces are shipped alone: no row brings them soon.
CREATE TABLE unshipped_traces (
  number       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  workspace_id TEXT    NOT NULL,
  id           TEXT    NOT NULL,
  UNIQUE (workspace_id, id)
) STRICT;

CREATE TABLE unshipped_refusals (
  number       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  workspace_id TEXT    NOT NULL,
  sandbox_id   TEXT    NOT NULL,
  fault        TEXT    NOT NULL,
  minute       INTEGER NOT NULL,
  UNIQUE (workspace_id, sandbox_id, minute, fault)
) STRICT;

CREATE TABLE unshipped_owned (
  number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  id     TEXT    NOT NULL UNIQUE
) STRICT;

-- Rows that the shared database refuses because of their content. They are tried again now and
-- then, and do not hold up other rows.
CREATE TABLE set_aside (
  workspace_id TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  id           TEXT    NOT NULL,
  reason       TEXT    NOT NULL, -- the database's words
  PRIMARY KEY (workspace_id, created_at, id)
) STRICT, WITHOUT ROWID;

-- Tokens of the shared database that were used here: they work on while it is down.
CREATE TABLE token_copies (
  sha256       TEXT    NOT NULL PRIMARY KEY, -- of the whole token, hex
  id           TEXT    NOT NULL,
  workspace_id TEXT    NOT NULL,
  sandbox_id   TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER,
  revoked_at   INTEGER,
  seen_at      INTEGER NOT NULL              -- when the shared database last confirmed it
) STRICT;

CREATE INDEX token_copies_by_id ON token_copies (id); -- a revocation
