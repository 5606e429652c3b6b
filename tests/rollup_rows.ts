import { ROLLUP_KEY, ROLLUPS } from "../src/stores/rollups.ts";
import { SUMS, TOTAL_NAMES } from "../src/stores/totals.ts";

/**
 * SQL that makes the roll-ups of rows of `usage_hours` that no transaction of the store wrote.
 * `startOfMonth`: of a time in milliseconds, as the database spells it.
 */
export function insertRollups(startOfMonth: (time: string) => string): readonly string[] {
  const startOf = { hour: "hour", day: "hour / 86400000 * 86400000", month: startOfMonth("hour") };
  return ROLLUPS.map(({ level, period, keeps }) => {
    const values = ROLLUP_KEY.map((key) => {
      if (key === "level") return `'${level}'`;
      if (key === "start") return startOf[period];
      return keeps.includes(key) ? key : "''";
    });
    // By start first: in the order in which a proxy writes them.
    return `
      INSERT INTO usage_rollups (${[...ROLLUP_KEY, ...TOTAL_NAMES].join(", ")})
      SELECT ${values.join(", ")}, ${SUMS}
      FROM usage_hours
      GROUP BY 1, 2, 3, 4, 5, 6, 7
      ORDER BY 3, 1, 4, 5, 6, 7`;
  });
}

export const SQLITE_MONTH = (time: string): string => `unixepoch(${time} / 1000, 'unixepoch', 'start of month') * 1000`;

export const POSTGRES_MONTH = (time: string): string =>
  `(extract(epoch FROM date_trunc('month', to_timestamp(${time} / 1000) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') * 1000)::bigint`;
