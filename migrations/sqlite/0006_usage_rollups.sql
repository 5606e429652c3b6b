-- Totals coarser than usage_hours, which sum over the keys that are empty. They change in the same
-- transactions, and answer for long spans and for all workspaces.
CREATE TABLE usage_rollups (
  level                       TEXT    NOT NULL, -- which roll-up: fleet_hour, fleet_day, workspace_month, workspace_day, workspace_model_day
  start                       INTEGER NOT NULL, -- start of the hour, day or month (UTC)
  workspace_id                TEXT    NOT NULL, -- '' in a roll-up of the whole fleet
  provider                    TEXT    NOT NULL, -- '' in a roll-up that does not tell it apart
  model                       TEXT    NOT NULL, -- served, or requested if no answer named one; '' as above
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
  PRIMARY KEY (workspace_id, level, start, provider, model)
) STRICT;

CREATE INDEX usage_rollups_by_start ON usage_rollups (level, start); -- totals of all workspaces

INSERT INTO usage_rollups (
  level, start, workspace_id, provider, model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count, retry_count, retried_cost
)
SELECT
  'workspace_model_day', hour / 86400000 * 86400000, workspace_id, provider, model,
  sum(request_count), sum(input_tokens), sum(output_tokens), sum(cache_creation_input_tokens), sum(cache_read_input_tokens),
  sum(cost), sum(estimated_cost), sum(estimated_count), sum(unknown_count), sum(unpriced_count), sum(partly_priced_count),
  sum(retry_count), sum(retried_cost)
FROM usage_hours
GROUP BY 2, 3, 4, 5
ORDER BY 2, 3, 4, 5;

INSERT INTO usage_rollups (
  level, start, workspace_id, provider, model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count, retry_count, retried_cost
)
SELECT
  'workspace_day', start, workspace_id, '', '',
  sum(request_count), sum(input_tokens), sum(output_tokens), sum(cache_creation_input_tokens), sum(cache_read_input_tokens),
  sum(cost), sum(estimated_cost), sum(estimated_count), sum(unknown_count), sum(unpriced_count), sum(partly_priced_count),
  sum(retry_count), sum(retried_cost)
FROM usage_rollups
WHERE level = 'workspace_model_day'
GROUP BY 2, 3, 4, 5
ORDER BY 2, 3, 4, 5;

INSERT INTO usage_rollups (
  level, start, workspace_id, provider, model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count, retry_count, retried_cost
)
SELECT
  'workspace_month', unixepoch(start / 1000, 'unixepoch', 'start of month') * 1000, workspace_id, '', '',
  sum(request_count), sum(input_tokens), sum(output_tokens), sum(cache_creation_input_tokens), sum(cache_read_input_tokens),
  sum(cost), sum(estimated_cost), sum(estimated_count), sum(unknown_count), sum(unpriced_count), sum(partly_priced_count),
  sum(retry_count), sum(retried_cost)
FROM usage_rollups
WHERE level = 'workspace_day'
GROUP BY 2, 3, 4, 5
ORDER BY 2, 3, 4, 5;

INSERT INTO usage_rollups (
  level, start, workspace_id, provider, model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count, retry_count, retried_cost
)
SELECT
  'fleet_day', start, '', provider, model,
  sum(request_count), sum(input_tokens), sum(output_tokens), sum(cache_creation_input_tokens), sum(cache_read_input_tokens),
  sum(cost), sum(estimated_cost), sum(estimated_count), sum(unknown_count), sum(unpriced_count), sum(partly_priced_count),
  sum(retry_count), sum(retried_cost)
FROM usage_rollups
WHERE level = 'workspace_model_day'
GROUP BY 2, 3, 4, 5
ORDER BY 2, 3, 4, 5;

INSERT INTO usage_rollups (
  level, start, workspace_id, provider, model,
  request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count, retry_count, retried_cost
)
SELECT
  'fleet_hour', hour, '', provider, model,
  sum(request_count), sum(input_tokens), sum(output_tokens), sum(cache_creation_input_tokens), sum(cache_read_input_tokens),
  sum(cost), sum(estimated_cost), sum(estimated_count), sum(unknown_count), sum(unpriced_count), sum(partly_priced_count),
  sum(retry_count), sum(retried_cost)
FROM usage_hours
GROUP BY 2, 3, 4, 5
ORDER BY 2, 3, 4, 5;

CREATE INDEX traces_by_cost     ON traces (cost, id);       -- the most expensive sessions of all workspaces
CREATE INDEX traces_by_creation ON traces (created_at, id); -- the sessions that began last
