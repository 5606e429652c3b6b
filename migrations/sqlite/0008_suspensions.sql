-- Workspaces and sandboxes that an operator suspended.
CREATE TABLE suspensions (
  workspace_id TEXT    NOT NULL,
  sandbox_id   TEXT    NOT NULL, -- '': the whole workspace
  created_at   INTEGER NOT NULL,
  reason       TEXT,             -- for operators; NULL: none was given
  PRIMARY KEY (workspace_id, sandbox_id)
) STRICT, WITHOUT ROWID;

-- Counts the changes of suspensions, so that a look for changes reads one row.
CREATE TABLE suspension_changes (
  change INTEGER NOT NULL
) STRICT;

INSERT INTO suspension_changes (change) VALUES (0);
