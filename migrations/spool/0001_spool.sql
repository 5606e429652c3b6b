-- What one listener has recorded and the shipper takes to the store. Times are milliseconds since
-- the epoch, UTC. Bodies are JSON with the fields of the types of src/domain.

CREATE TABLE schema_migrations (
  version INTEGER NOT NULL PRIMARY KEY, -- number in front of the migration's file name
  name    TEXT    NOT NULL              -- the rest of that name
) STRICT;

-- A call's row from before its first byte goes upstream until it ends.
CREATE TABLE open_calls (
  number      INTEGER NOT NULL PRIMARY KEY, -- numbers grow while the file is open
  instance_id TEXT    NOT NULL,             -- the run of the proxy that opened it
  trace_id    TEXT    NOT NULL,
  created_at  INTEGER NOT NULL,             -- admission
  opened      TEXT    NOT NULL              -- {call, trace}
) STRICT;

-- Ended calls in the order of their ends. Only the oldest are deleted and never the newest, so no
-- number comes twice and none is missing.
CREATE TABLE closed_calls (
  number     INTEGER NOT NULL PRIMARY KEY,
  trace_id   TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  opened     TEXT    NOT NULL,
  revision   INTEGER NOT NULL,
  closing    TEXT    NOT NULL
) STRICT;

-- Other changes, in their order. Numbers as in closed_calls.
CREATE TABLE notes (
  number     INTEGER NOT NULL PRIMARY KEY,
  kind       TEXT    NOT NULL, -- trace, owned, refusals
  created_at INTEGER NOT NULL,
  body       TEXT    NOT NULL
) STRICT;

-- The store has everything up to these numbers.
CREATE TABLE shipped (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  store    TEXT    NOT NULL, -- embedded, shared: which store has them
  calls    INTEGER NOT NULL,
  notes    INTEGER NOT NULL
) STRICT;

INSERT INTO shipped (only_row, store, calls, notes) VALUES (1, '', 0, 0);

-- Calls that the store refuses because of their content. They are tried again now and then.
CREATE TABLE quarantined (
  number     INTEGER NOT NULL PRIMARY KEY,
  trace_id   TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  opened     TEXT    NOT NULL,
  revision   INTEGER NOT NULL,
  closing    TEXT    NOT NULL,
  reason     TEXT    NOT NULL -- the database's words
) STRICT;

-- Files and batches that were made here: the next call must find them at once.
CREATE TABLE owned (
  id         TEXT    NOT NULL PRIMARY KEY, -- the upstream's
  created_at INTEGER NOT NULL,
  body       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Counters of refused calls. A note has the counter as it was, so that it may arrive twice.
CREATE TABLE refusals (
  workspace_id TEXT    NOT NULL,
  sandbox_id   TEXT    NOT NULL,
  minute       INTEGER NOT NULL, -- start of the minute
  fault        TEXT    NOT NULL,
  instance_id  TEXT    NOT NULL, -- the run of the proxy that counted
  count        INTEGER NOT NULL,
  PRIMARY KEY (workspace_id, sandbox_id, minute, fault, instance_id)
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

-- After a failed commit, a write to this table shows if writing works again. Otherwise empty.
CREATE TABLE ledger_probe (
  padding BLOB NOT NULL
) STRICT;
