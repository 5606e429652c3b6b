-- Workspaces and sandboxes that an operator suspended.
CREATE TABLE suspensions (
  workspace_id TEXT COLLATE "C" NOT NULL,
  sandbox_id   TEXT COLLATE "C" NOT NULL, -- '': the whole workspace
  created_at   BIGINT NOT NULL,
  reason       TEXT,                      -- for operators; NULL: none was given
  PRIMARY KEY (workspace_id, sandbox_id)
);

-- Counts the changes of suspensions, so that a look for changes reads one row.
CREATE TABLE suspension_changes (
  change BIGINT NOT NULL
);

INSERT INTO suspension_changes (change) VALUES (0);
