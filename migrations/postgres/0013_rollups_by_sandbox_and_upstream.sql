-- The upstream is a key of every total that tells providers apart: '' for calls without its name.
-- Three more roll-ups answer for months of workspaces by model, and for days and months of
-- sandboxes. Each sum stays what it was.

-- Millions of hours are summed, and indexes made, in memory.
SET LOCAL work_mem = '256MB';
SET LOCAL maintenance_work_mem = '512MB';

ALTER TABLE usage_hours ADD COLUMN upstream TEXT COLLATE "C" NOT NULL DEFAULT ''; -- the operator's name of the upstream; '': the calls have none
ALTER TABLE usage_hours ALTER COLUMN upstream DROP DEFAULT;
ALTER TABLE usage_hours DROP CONSTRAINT usage_hours_pkey;
ALTER TABLE usage_hours ADD PRIMARY KEY (workspace_id, hour, sandbox_id, provider, upstream, model, kind);

ALTER TABLE usage_rollups DROP CONSTRAINT usage_rollups_pkey;
DROP INDEX usage_rollups_by_start;
ALTER TABLE usage_rollups ADD COLUMN sandbox_id TEXT COLLATE "C" NOT NULL DEFAULT ''; -- '' in a roll-up that does not tell it apart
ALTER TABLE usage_rollups ADD COLUMN upstream   TEXT COLLATE "C" NOT NULL DEFAULT ''; -- '' as above, or if the calls have none
ALTER TABLE usage_rollups ALTER COLUMN sandbox_id DROP DEFAULT;
ALTER TABLE usage_rollups ALTER COLUMN upstream DROP DEFAULT;

INSERT INTO usage_rollups (
  level, start, workspace_id, sandbox_id, provider, upstream, model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count,
  retry_count, retried_cost, failed_count, timed_count, ttft_sum_ms
)
SELECT
  'workspace_model_month', (extract(epoch FROM date_trunc('month', to_timestamp(start / 1000) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') * 1000)::bigint, workspace_id, '', provider, upstream, model,
  sum(request_count), sum(input_tokens), sum(output_tokens), sum(cache_creation_input_tokens), sum(cache_read_input_tokens),
  sum(cost), sum(estimated_cost), sum(estimated_count), sum(unknown_count), sum(unpriced_count), sum(partly_priced_count),
  sum(retry_count), sum(retried_cost), sum(failed_count), sum(timed_count), sum(ttft_sum_ms)
FROM usage_rollups
WHERE level = 'workspace_model_day'
GROUP BY 2, 3, 4, 5, 6, 7
ORDER BY 2, 3, 4, 5, 6, 7;

INSERT INTO usage_rollups (
  level, start, workspace_id, sandbox_id, provider, upstream, model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count,
  retry_count, retried_cost, failed_count, timed_count, ttft_sum_ms
)
SELECT
  'sandbox_day', hour / 86400000 * 86400000, workspace_id, sandbox_id, '', '', '',
  sum(request_count), sum(input_tokens), sum(output_tokens), sum(cache_creation_input_tokens), sum(cache_read_input_tokens),
  sum(cost), sum(estimated_cost), sum(estimated_count), sum(unknown_count), sum(unpriced_count), sum(partly_priced_count),
  sum(retry_count), sum(retried_cost), sum(failed_count), sum(timed_count), sum(ttft_sum_ms)
FROM usage_hours
GROUP BY 2, 3, 4, 5, 6, 7
ORDER BY 2, 3, 4, 5, 6, 7;

INSERT INTO usage_rollups (
  level, start, workspace_id, sandbox_id, provider, upstream, model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count,
  retry_count, retried_cost, failed_count, timed_count, ttft_sum_ms
)
SELECT
  'sandbox_month', (extract(epoch FROM date_trunc('month', to_timestamp(start / 1000) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') * 1000)::bigint, workspace_id, sandbox_id, '', '', '',
  sum(request_count), sum(input_tokens), sum(output_tokens), sum(cache_creation_input_tokens), sum(cache_read_input_tokens),
  sum(cost), sum(estimated_cost), sum(estimated_count), sum(unknown_count), sum(unpriced_count), sum(partly_priced_count),
  sum(retry_count), sum(retried_cost), sum(failed_count), sum(timed_count), sum(ttft_sum_ms)
FROM usage_rollups
WHERE level = 'sandbox_day'
GROUP BY 2, 3, 4, 5, 6, 7
ORDER BY 2, 3, 4, 5, 6, 7;

ALTER TABLE usage_rollups ADD PRIMARY KEY (workspace_id, level, start, sandbox_id, provider, upstream, model);
CREATE INDEX usage_rollups_by_start ON usage_rollups (level, start); -- totals of all workspaces

-- The planner does not know the new roll-ups yet.
ANALYZE usage_rollups;
