-- Calls are recorded in a spool of their own, from which they come here. An index that a spool of
-- an earlier version lacked is made again.
CREATE INDEX IF NOT EXISTS usage_by_sandbox ON usage (sandbox_id, created_at);
CREATE INDEX IF NOT EXISTS usage_by_trace   ON usage (trace_id, workspace_id, created_at, id);

DROP TABLE unshipped_usage;
DROP TABLE unshipped_traces;
DROP TABLE unshipped_refusals;
DROP TABLE unshipped_owned;
DROP TABLE quarantined;
DROP TABLE token_copies;
DROP TABLE absent_indexes;
DROP TABLE ledger_probe;
DROP TABLE spool;

-- One row: a shared database has everything that this file holds. Otherwise empty.
CREATE TABLE handed_over (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1)
) STRICT;
