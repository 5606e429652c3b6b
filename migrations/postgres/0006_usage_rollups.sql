-- Totals coarser than usage_hours, which sum over the keys that are empty. They change in the same
-- transactions, and answer for long spans and for all workspaces.
CREATE TABLE usage_rollups (
  level                       TEXT COLLATE "C" NOT NULL, -- which roll-up: fleet_hour, fleet_day, workspace_month, workspace_day, workspace_model_day
  start                       BIGINT NOT NULL,           -- start of the hour, day or month (UTC)
  workspace_id                TEXT COLLATE "C" NOT NULL, -- '' in a roll-up of the whole fleet
  provider                    TEXT COLLATE "C" NOT NULL, -- '' in a roll-up that does not tell it apart
  model                       TEXT COLLATE "C" NOT NULL, -- served, or requested if no answer named one; '' as above
  request_count               BIGINT NOT NULL,
  input_tokens                BIGINT NOT NULL,
  output_tokens               BIGINT NOT NULL,
  cache_creation_input_tokens BIGINT NOT NULL,
  cache_read_input_tokens     BIGINT NOT NULL,
  cost                        BIGINT NOT NULL,
  estimated_cost              BIGINT NOT NULL,
  estimated_count             BIGINT NOT NULL,
  unknown_count               BIGINT NOT NULL,
  unpriced_count              BIGINT NOT NULL,
  partly_priced_count         BIGINT NOT NULL,
  retry_count                 BIGINT NOT NULL,
  retried_cost                BIGINT NOT NULL
);

-- Millions of hours are summed in memory.
SET LOCAL work_mem = '256MB';

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
  'workspace_month', (extract(epoch FROM date_trunc('month', to_timestamp(start / 1000) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') * 1000)::bigint, workspace_id, '', '',
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

ALTER TABLE usage_rollups ADD PRIMARY KEY (workspace_id, level, start, provider, model);
CREATE INDEX usage_rollups_by_start ON usage_rollups (level, start); -- totals of all workspaces

CREATE INDEX traces_by_cost     ON traces (cost, id);       -- the most expensive sessions of all workspaces
CREATE INDEX traces_by_creation ON traces (created_at, id); -- the sessions that began last
