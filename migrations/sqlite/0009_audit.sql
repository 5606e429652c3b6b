-- Administrative changes. Rows are only ever added, and retention keeps them.
CREATE TABLE audit (
  id           TEXT    NOT NULL PRIMARY KEY, -- au- and a ULID
  at           INTEGER NOT NULL,
  who          TEXT    NOT NULL,             -- admin, signal, offline
  claimed      TEXT,                         -- the user that the client named; nothing checks it
  address      TEXT,                         -- the client's IP address
  action       TEXT    NOT NULL,             -- such as token.create
  target       TEXT    NOT NULL,             -- the id of what changed
  workspace_id TEXT,                         -- NULL: of no workspace, or of all
  before       TEXT,                         -- JSON; NULL: it is new
  after        TEXT                          -- JSON; NULL: it is gone
) STRICT;

CREATE INDEX audit_by_time      ON audit (at, id);               -- the newest changes
CREATE INDEX audit_in_workspace ON audit (workspace_id, at, id); -- those of a workspace

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
  SELECT RAISE(ABORT, 'audit rows are only added');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
  SELECT RAISE(ABORT, 'audit rows are only added');
END;
