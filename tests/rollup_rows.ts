import { ROLLUPS } from "../src/stores/rollups.ts";
import { SUMS, TOTAL_NAMES } from "../src/stores/totals.ts";

/**
 * SQL that makes the roll-ups of rows of `usage_hours` that no transaction of the store wrote.
 * `startOfMonth`: of a time in milliseconds, as the database spells it.
 */
export function insertRollups(startOfMonth: (time: string) => string): readonly string[] {
  const startOf = { hour: "hour", day: "hour / 86400000 * 86400000", month: startOfMonth("hour") };
  return ROLLUPS.map(({ level, period, keeps }) => {
    const keys = (["workspace_id", "provider", "model"] as const).map((key) => keeps.includes(key) ? key : `'' AS ${key}`);
    return `
      INSERT INTO usage_rollups (level, start, workspace_id, provider, model, ${TOTAL_NAMES.join(", ")})
      SELECT '${level}', ${startOf[period]}, ${keys.join(", ")}, ${SUMS}
      FROM usage_hours
      GROUP BY 2, 3, 4, 5
      ORDER BY 2, 3, 4, 5`;
  });
}

export const SQLITE_MONTH = (time: string): string => `unixepoch(${time} / 1000, 'unixepoch', 'start of month') * 1000`;

export const POSTGRES_MONTH = (time: string): string =>
  `(extract(epoch FROM date_trunc('month', to_timestamp(${time} / 1000) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') * 1000)::bigint`;
