-- Each run of the proxy counts under an id of its own, which no copy of this file keeps. It is
-- `journal_id`, here and in `refusals`. Older counts keep the id of the file: they may be shipped.
CREATE TABLE unshipped_refusals_by_run (
  number       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  workspace_id TEXT    NOT NULL,
  sandbox_id   TEXT    NOT NULL,
  fault        TEXT    NOT NULL,
  minute       INTEGER NOT NULL,
  journal_id   TEXT    NOT NULL, -- the run that counted
  UNIQUE (workspace_id, sandbox_id, minute, fault, journal_id)
) STRICT;

INSERT INTO unshipped_refusals_by_run (number, workspace_id, sandbox_id, fault, minute, journal_id)
SELECT number, workspace_id, sandbox_id, fault, minute, (SELECT id FROM journal)
FROM unshipped_refusals
ORDER BY number;

DROP TABLE unshipped_refusals;
ALTER TABLE unshipped_refusals_by_run RENAME TO unshipped_refusals;

ALTER TABLE journal DROP COLUMN id;
