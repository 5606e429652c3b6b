-- The upstream is a key of every total that tells providers apart: '' for calls without its name.
-- Three more roll-ups answer for months of workspaces by model, and for days and months of
-- sandboxes. Each sum stays what it was.

CREATE TABLE hours_with_upstream (
  workspace_id                TEXT    NOT NULL,
  hour                        INTEGER NOT NULL, -- start of the hour
  sandbox_id                  TEXT    NOT NULL,
  provider                    TEXT    NOT NULL, -- upstream dialect
  model                       TEXT    NOT NULL, -- served, or requested if no answer named one
  kind                        TEXT    NOT NULL, -- message, batch_line
  request_count               INTEGER NOT NULL, -- ended calls, however they ended
  input_tokens                INTEGER NOT NULL,
  output_tokens               INTEGER NOT NULL,
  cache_creation_input_tokens INTEGER NOT NULL,
  cache_read_input_tokens     INTEGER NOT NULL,
  cost                        INTEGER NOT NULL, -- of the calls that have a price
  estimated_cost              INTEGER NOT NULL, -- the part of it that rests on estimated counts
  estimated_count             INTEGER NOT NULL, -- calls whose counts are estimated
  unknown_count               INTEGER NOT NULL, -- calls without known counts
  unpriced_count              INTEGER NOT NULL, -- calls that have no price
  retry_count                 INTEGER NOT NULL, -- calls that retry another
  retried_cost                INTEGER NOT NULL, -- of the calls that were retried
  partly_priced_count         INTEGER NOT NULL, -- calls in the cost, of which some uses have no price
  failed_count                INTEGER NOT NULL, -- calls with an outcome other than completed, client_left and stopped
  timed_count                 INTEGER NOT NULL, -- calls that have a time to first token
  ttft_sum_ms                 INTEGER NOT NULL, -- sum of those times
  upstream                    TEXT    NOT NULL, -- the operator's name of the upstream; '': the calls have none
  PRIMARY KEY (workspace_id, hour, sandbox_id, provider, upstream, model, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO hours_with_upstream (
  workspace_id, hour, sandbox_id, provider, upstream, model, kind,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count,
  retry_count, retried_cost, failed_count, timed_count, ttft_sum_ms
)
SELECT
  workspace_id, hour, sandbox_id, provider, '', model, kind,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count,
  retry_count, retried_cost, failed_count, timed_count, ttft_sum_ms
FROM usage_hours
ORDER BY workspace_id, hour, sandbox_id, provider, model, kind;

DROP TABLE usage_hours;
ALTER TABLE hours_with_upstream RENAME TO usage_hours;
CREATE INDEX usage_hours_by_hour    ON usage_hours (hour);             -- totals of all since a time
CREATE INDEX usage_hours_by_sandbox ON usage_hours (sandbox_id, hour); -- totals of a sandbox

ALTER TABLE usage_rollups RENAME TO former_rollups;
DROP INDEX usage_rollups_by_start;

CREATE TABLE usage_rollups (
  level                       TEXT    NOT NULL, -- which roll-up, by src/stores/rollups.ts
  start                       INTEGER NOT NULL, -- start of the hour, day or month (UTC)
  workspace_id                TEXT    NOT NULL, -- '' in a roll-up of the whole fleet
  provider                    TEXT    NOT NULL, -- '' in a roll-up that does not tell it apart
  model                       TEXT    NOT NULL, -- the same
  request_count               INTEGER NOT NULL,
  input_tokens                INTEGER NOT NULL,
  output_tokens               INTEGER NOT NULL,
  cache_creation_input_tokens INTEGER NOT NULL,
  cache_read_input_tokens     INTEGER NOT NULL,
  cost                        INTEGER NOT NULL,
  estimated_cost              INTEGER NOT NULL,
  estimated_count             INTEGER NOT NULL,
  unknown_count               INTEGER NOT NULL,
  unpriced_count              INTEGER NOT NULL,
  partly_priced_count         INTEGER NOT NULL,
  retry_count                 INTEGER NOT NULL,
  retried_cost                INTEGER NOT NULL,
  failed_count                INTEGER NOT NULL,
  timed_count                 INTEGER NOT NULL,
  ttft_sum_ms                 INTEGER NOT NULL,
  sandbox_id                  TEXT    NOT NULL, -- '' in a roll-up that does not tell it apart
  upstream                    TEXT    NOT NULL, -- '' as above, or if the calls have none
  PRIMARY KEY (workspace_id, level, start, sandbox_id, provider, upstream, model)
) STRICT;

INSERT INTO usage_rollups (
  level, start, workspace_id, sandbox_id, provider, upstream, model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count,
  retry_count, retried_cost, failed_count, timed_count, ttft_sum_ms
)
SELECT
  level, start, workspace_id, '', provider, '', model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count,
  retry_count, retried_cost, failed_count, timed_count, ttft_sum_ms
FROM former_rollups
ORDER BY rowid;

DROP TABLE former_rollups;

INSERT INTO usage_rollups (
  level, start, workspace_id, sandbox_id, provider, upstream, model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count,
  retry_count, retried_cost, failed_count, timed_count, ttft_sum_ms
)
SELECT
  'workspace_model_month', unixepoch(start / 1000, 'unixepoch', 'start of month') * 1000, workspace_id, '', provider, upstream, model,
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
  'sandbox_month', unixepoch(start / 1000, 'unixepoch', 'start of month') * 1000, workspace_id, sandbox_id, '', '', '',
  sum(request_count), sum(input_tokens), sum(output_tokens), sum(cache_creation_input_tokens), sum(cache_read_input_tokens),
  sum(cost), sum(estimated_cost), sum(estimated_count), sum(unknown_count), sum(unpriced_count), sum(partly_priced_count),
  sum(retry_count), sum(retried_cost), sum(failed_count), sum(timed_count), sum(ttft_sum_ms)
FROM usage_rollups
WHERE level = 'sandbox_day'
GROUP BY 2, 3, 4, 5, 6, 7
ORDER BY 2, 3, 4, 5, 6, 7;

CREATE INDEX usage_rollups_by_start ON usage_rollups (level, start); -- totals of all workspaces
