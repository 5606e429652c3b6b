-- The order in which rows came here, from all replicas. A sequence would not tell it: a number is
-- taken before its row can be seen.
ALTER TABLE usage ADD COLUMN arrival XID8; -- the transaction that inserted the row; NULL: it came before this column
ALTER TABLE usage ALTER COLUMN arrival SET DEFAULT pg_current_xact_id();

CREATE INDEX usage_by_arrival ON usage (arrival) WHERE arrival IS NOT NULL; -- the calls that came last
