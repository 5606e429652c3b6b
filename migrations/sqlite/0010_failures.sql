-- Failed calls and times to first token in every total. They are filled in from the newest
-- 10,000,000 rows, by whole days (UTC). Older calls add nothing, nor do those without a row.
ALTER TABLE traces        ADD COLUMN failed_count INTEGER NOT NULL DEFAULT 0; -- calls with an outcome other than completed, client_left and stopped
ALTER TABLE traces        ADD COLUMN timed_count  INTEGER NOT NULL DEFAULT 0; -- calls that have a time to first token
ALTER TABLE traces        ADD COLUMN ttft_sum_ms  INTEGER NOT NULL DEFAULT 0; -- sum of those times
ALTER TABLE usage_hours   ADD COLUMN failed_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_hours   ADD COLUMN timed_count  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_hours   ADD COLUMN ttft_sum_ms  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_rollups ADD COLUMN failed_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_rollups ADD COLUMN timed_count  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_rollups ADD COLUMN ttft_sum_ms  INTEGER NOT NULL DEFAULT 0;

CREATE TEMP TABLE found AS
SELECT
  workspace_id, trace_id, created_at / 3600000 * 3600000 AS hour, sandbox_id, provider,
  coalesce(served_model, requested_model) AS model, kind,
  sum(outcome NOT IN ('completed', 'client_left', 'stopped')) AS failed_count,
  count(ttft_ms) AS timed_count,
  coalesce(sum(ttft_ms), 0) AS ttft_sum_ms
FROM usage
WHERE revision > 0 AND counted = 1 AND created_at >= coalesce(
  (SELECT (created_at / 86400000 + 1) * 86400000 FROM usage ORDER BY created_at DESC LIMIT 1 OFFSET 10000000), 0
)
GROUP BY 1, 2, 3, 4, 5, 6, 7
HAVING failed_count > 0 OR timed_count > 0;

UPDATE traces SET
  failed_count = sums.failed_count,
  timed_count = sums.timed_count,
  ttft_sum_ms = sums.ttft_sum_ms
FROM (
  SELECT workspace_id, trace_id, sum(failed_count) AS failed_count, sum(timed_count) AS timed_count, sum(ttft_sum_ms) AS ttft_sum_ms
  FROM found
  GROUP BY 1, 2
) AS sums
WHERE traces.workspace_id = sums.workspace_id AND traces.id = sums.trace_id;

UPDATE usage_hours SET
  failed_count = sums.failed_count,
  timed_count = sums.timed_count,
  ttft_sum_ms = sums.ttft_sum_ms
FROM (
  SELECT
    workspace_id, hour, sandbox_id, provider, model, kind,
    sum(failed_count) AS failed_count, sum(timed_count) AS timed_count, sum(ttft_sum_ms) AS ttft_sum_ms
  FROM found
  GROUP BY 1, 2, 3, 4, 5, 6
) AS sums
WHERE usage_hours.workspace_id = sums.workspace_id AND usage_hours.hour = sums.hour
  AND usage_hours.sandbox_id = sums.sandbox_id AND usage_hours.provider = sums.provider
  AND usage_hours.model = sums.model AND usage_hours.kind = sums.kind;

DROP TABLE found;

UPDATE usage_rollups SET
  failed_count = sums.failed_count,
  timed_count = sums.timed_count,
  ttft_sum_ms = sums.ttft_sum_ms
FROM (
  SELECT
    hour / 86400000 * 86400000 AS start, workspace_id, provider, model,
    sum(failed_count) AS failed_count, sum(timed_count) AS timed_count, sum(ttft_sum_ms) AS ttft_sum_ms
  FROM usage_hours
  GROUP BY 1, 2, 3, 4
  HAVING sum(failed_count) > 0 OR sum(timed_count) > 0
) AS sums
WHERE usage_rollups.level = 'workspace_model_day' AND usage_rollups.start = sums.start
  AND usage_rollups.workspace_id = sums.workspace_id AND usage_rollups.provider = sums.provider
  AND usage_rollups.model = sums.model;

UPDATE usage_rollups SET
  failed_count = sums.failed_count,
  timed_count = sums.timed_count,
  ttft_sum_ms = sums.ttft_sum_ms
FROM (
  SELECT
    start, workspace_id, '' AS provider, '' AS model,
    sum(failed_count) AS failed_count, sum(timed_count) AS timed_count, sum(ttft_sum_ms) AS ttft_sum_ms
  FROM usage_rollups
  WHERE level = 'workspace_model_day'
  GROUP BY 1, 2, 3, 4
  HAVING sum(failed_count) > 0 OR sum(timed_count) > 0
) AS sums
WHERE usage_rollups.level = 'workspace_day' AND usage_rollups.start = sums.start
  AND usage_rollups.workspace_id = sums.workspace_id AND usage_rollups.provider = sums.provider
  AND usage_rollups.model = sums.model;

UPDATE usage_rollups SET
  failed_count = sums.failed_count,
  timed_count = sums.timed_count,
  ttft_sum_ms = sums.ttft_sum_ms
FROM (
  SELECT
    unixepoch(start / 1000, 'unixepoch', 'start of month') * 1000 AS start, workspace_id, '' AS provider, '' AS model,
    sum(failed_count) AS failed_count, sum(timed_count) AS timed_count, sum(ttft_sum_ms) AS ttft_sum_ms
  FROM usage_rollups
  WHERE level = 'workspace_day'
  GROUP BY 1, 2, 3, 4
  HAVING sum(failed_count) > 0 OR sum(timed_count) > 0
) AS sums
WHERE usage_rollups.level = 'workspace_month' AND usage_rollups.start = sums.start
  AND usage_rollups.workspace_id = sums.workspace_id AND usage_rollups.provider = sums.provider
  AND usage_rollups.model = sums.model;

UPDATE usage_rollups SET
  failed_count = sums.failed_count,
  timed_count = sums.timed_count,
  ttft_sum_ms = sums.ttft_sum_ms
FROM (
  SELECT
    start, '' AS workspace_id, provider, model,
    sum(failed_count) AS failed_count, sum(timed_count) AS timed_count, sum(ttft_sum_ms) AS ttft_sum_ms
  FROM usage_rollups
  WHERE level = 'workspace_model_day'
  GROUP BY 1, 2, 3, 4
  HAVING sum(failed_count) > 0 OR sum(timed_count) > 0
) AS sums
WHERE usage_rollups.level = 'fleet_day' AND usage_rollups.start = sums.start
  AND usage_rollups.workspace_id = sums.workspace_id AND usage_rollups.provider = sums.provider
  AND usage_rollups.model = sums.model;

UPDATE usage_rollups SET
  failed_count = sums.failed_count,
  timed_count = sums.timed_count,
  ttft_sum_ms = sums.ttft_sum_ms
FROM (
  SELECT
    hour AS start, '' AS workspace_id, provider, model,
    sum(failed_count) AS failed_count, sum(timed_count) AS timed_count, sum(ttft_sum_ms) AS ttft_sum_ms
  FROM usage_hours
  GROUP BY 1, 2, 3, 4
  HAVING sum(failed_count) > 0 OR sum(timed_count) > 0
) AS sums
WHERE usage_rollups.level = 'fleet_hour' AND usage_rollups.start = sums.start
  AND usage_rollups.workspace_id = sums.workspace_id AND usage_rollups.provider = sums.provider
  AND usage_rollups.model = sums.model;
