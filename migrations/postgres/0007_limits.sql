-- Limits of what calls may use, and what running calls hold of them.

CREATE TABLE limits (
  scope        TEXT COLLATE "C" NOT NULL, -- default, workspace, sandbox, trace
  workspace_id TEXT COLLATE "C" NOT NULL, -- '' in the default
  id           TEXT COLLATE "C" NOT NULL, -- the sandbox's or the trace's; otherwise ''
  kind         TEXT COLLATE "C" NOT NULL, -- as in LIMIT_KINDS
  max          BIGINT NOT NULL,           -- requests, tokens, nano-dollars or calls; 0: no limit
  updated_at   BIGINT NOT NULL,
  PRIMARY KEY (scope, workspace_id, id, kind)
);

-- How often limits have changed.
CREATE TABLE limits_version (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  version  BIGINT  NOT NULL
);

INSERT INTO limits_version (only_row, version) VALUES (1, 0);

-- What a call may use, until its row is here.
CREATE TABLE reservations (
  id           TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- the call's
  workspace_id TEXT COLLATE "C" NOT NULL,
  sandbox_id   TEXT COLLATE "C" NOT NULL,
  trace_id     TEXT COLLATE "C" NOT NULL,
  holder       TEXT COLLATE "C" NOT NULL,
  created_at   BIGINT  NOT NULL,
  tokens       BIGINT  NOT NULL,
  cost         BIGINT  NOT NULL, -- nano-dollars
  is_running   BOOLEAN NOT NULL,
  is_late      BOOLEAN NOT NULL  -- it came after the call, so the call's row may be here already
);

CREATE INDEX reservations_of_workspace ON reservations (workspace_id);

-- Runs of the proxy that hold something.
CREATE TABLE reservation_holders (
  id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  expires_at BIGINT NOT NULL -- what it holds counts until then, by the database's clock
);

-- What counts in each bound: settled by rows, and held. One statement, so that a row that lands
-- counts once. VOLATILE, so that it sees what was committed before the lock of reserve_call.
CREATE FUNCTION limit_used(workspace TEXT, bounds JSON) RETURNS BIGINT[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  clock BIGINT := floor(extract(epoch FROM clock_timestamp()) * 1000);
BEGIN
  RETURN (
    SELECT coalesce(array_agg(coalesce(settled, 0) + coalesce(held, 0) ORDER BY place), '{}')
    FROM (
      SELECT
        place,
        CASE
          WHEN counts = 'running' THEN 0
          WHEN scope = 'workspace' THEN (
            SELECT CASE counts
              WHEN 'requests' THEN request_count
              WHEN 'cost' THEN cost
              ELSE input_tokens + output_tokens + cache_creation_input_tokens + cache_read_input_tokens
            END
            FROM usage_rollups
            WHERE workspace_id = workspace AND usage_rollups.level = bound.level AND start = bound.since
              AND provider = '' AND model = ''
          )
          WHEN scope = 'sandbox' THEN (
            SELECT sum(CASE counts
              WHEN 'requests' THEN request_count
              WHEN 'cost' THEN cost
              ELSE input_tokens + output_tokens + cache_creation_input_tokens + cache_read_input_tokens
            END)::bigint
            FROM usage_hours
            WHERE sandbox_id = bound.id AND workspace_id = workspace AND hour >= bound.since AND hour < bound.until
          )
          ELSE (
            SELECT sum(CASE counts
              WHEN 'requests' THEN 1
              WHEN 'cost' THEN coalesce(cost, 0)
              ELSE input_tokens + output_tokens + cache_creation_input_tokens + cache_read_input_tokens
            END)::bigint
            FROM usage
            WHERE trace_id = bound.id AND workspace_id = workspace AND created_at >= bound.since AND created_at < bound.until
          )
        END AS settled,
        (
          SELECT sum(CASE counts WHEN 'tokens' THEN tokens WHEN 'cost' THEN cost ELSE 1 END)::bigint
          FROM reservations
          WHERE workspace_id = workspace
            AND (scope <> 'sandbox' OR sandbox_id = bound.id)
            AND (scope <> 'trace' OR trace_id = bound.id)
            AND CASE WHEN counts = 'running' THEN is_running ELSE created_at >= bound.since AND created_at < bound.until END
            AND (
              -- Not correlated: read once and not for each call.
              NOT is_running OR holder IN (SELECT reservation_holders.id FROM reservation_holders WHERE expires_at > clock)
            )
            AND NOT (
              is_late AND EXISTS (
                SELECT 1
                FROM usage
                WHERE usage.workspace_id = workspace AND usage.created_at = reservations.created_at
                  AND usage.id = reservations.id
              )
            )
        ) AS held
      FROM (
        SELECT
          place,
          sent->>'scope' AS scope,
          sent->>'id' COLLATE "C" AS id,
          sent->>'counts' AS counts,
          sent->>'level' COLLATE "C" AS level,
          (sent->>'since')::bigint AS since,
          (sent->>'until')::bigint AS until
        FROM json_array_elements(bounds) WITH ORDINALITY AS each (sent, place)
        OFFSET 0 -- Otherwise JSON is parsed for each reservation again.
      ) AS bound
    ) AS amounts
  );
END
$$;

-- Holds what a call may use if every bound has room. Calls of one workspace take turns. `call` has
-- the columns of reservations, and bounds.
CREATE FUNCTION reserve_call(call JSON, lease_ms BIGINT) RETURNS JSON LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  clock BIGINT := floor(extract(epoch FROM clock_timestamp()) * 1000);
  used BIGINT[];
  is_admitted BOOLEAN;
BEGIN
  -- An upsert would lock the row each time, and all calls of one holder would take turns.
  IF NOT EXISTS (
    SELECT 1 FROM reservation_holders WHERE id = call->>'holder' AND expires_at > clock + lease_ms * 3 / 4
  ) THEN
    INSERT INTO reservation_holders (id, expires_at) VALUES (call->>'holder', clock + lease_ms)
    ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at;
  END IF;
  PERFORM pg_advisory_xact_lock(1819109748, hashtext(call->>'workspace_id'));
  used := limit_used(call->>'workspace_id', call->'bounds');
  is_admitted := NOT EXISTS (
    SELECT 1
    FROM json_array_elements(call->'bounds') WITH ORDINALITY AS each (sent, place)
    WHERE used[place] + (sent->>'adds')::bigint > (sent->>'max')::bigint
  );
  IF is_admitted THEN
    INSERT INTO reservations SELECT * FROM json_populate_record(NULL::reservations, call) ON CONFLICT DO NOTHING;
  END IF;
  RETURN json_build_object('isAdmitted', is_admitted, 'used', used);
END
$$;
