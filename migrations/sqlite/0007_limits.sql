-- Limits of what calls may use, and what running calls hold of them.

CREATE TABLE limits (
  scope        TEXT    NOT NULL, -- default, workspace, sandbox, trace
  workspace_id TEXT    NOT NULL, -- '' in the default
  id           TEXT    NOT NULL, -- the sandbox's or the trace's; otherwise ''
  kind         TEXT    NOT NULL, -- as in LIMIT_KINDS
  max          INTEGER NOT NULL, -- requests, tokens, nano-dollars or calls; 0: no limit
  updated_at   INTEGER NOT NULL,
  PRIMARY KEY (scope, workspace_id, id, kind)
) STRICT, WITHOUT ROWID;

-- How often limits have changed.
CREATE TABLE limits_version (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  version  INTEGER NOT NULL
) STRICT;

INSERT INTO limits_version (only_row, version) VALUES (1, 0);

-- What a call may use, until its row is here.
CREATE TABLE reservations (
  id           TEXT    NOT NULL PRIMARY KEY, -- the call's
  workspace_id TEXT    NOT NULL,
  sandbox_id   TEXT    NOT NULL,
  trace_id     TEXT    NOT NULL,
  holder       TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  tokens       INTEGER NOT NULL,
  cost         INTEGER NOT NULL, -- nano-dollars
  is_running   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Has all that a limit counts, so that the table is not read.
CREATE INDEX reservations_of_workspace
  ON reservations (workspace_id, created_at, is_running, holder, tokens, cost, sandbox_id, trace_id);

-- Runs of the proxy that hold something.
CREATE TABLE reservation_holders (
  id         TEXT    NOT NULL PRIMARY KEY,
  expires_at INTEGER NOT NULL -- what it holds counts until then
) STRICT, WITHOUT ROWID;
