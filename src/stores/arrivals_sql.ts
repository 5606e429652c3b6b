import type { ArrivalPage, ArrivalQuery, Position } from "../domain/query.ts";
import { integer, type Row, text } from "./row_decoders.ts";
import { tokenUsageOf } from "./usage_row.ts";
import { narrowed, type Question } from "./usage_sql.ts";

/** A place among the rows in the order in which they came, after the name of the store. */
const SQLITE = "sqlite";
const POSTGRES = "postgres";

/** The last row of all, by SQLite. */
export const NEWEST_ROW: Question<bigint> = {
  sql: "SELECT coalesce(max(rowid), 0) AS newest FROM usage",
  values: [],
  read: ([row]) => BigInt(integer(row!, "newest")),
};

/** Null: from now on, since the place is not of this database. */
export function sqliteArrivals(query: ArrivalQuery, newest: bigint): Question<ArrivalPage> | null {
  const after = placeIn(SQLITE, query.after);
  // Beyond the newest row: a backup took the place of the database.
  if (after === null || BigInt(after[0]!) > newest) return null;
  const filters = filtersOf(query);
  return {
    sql: `
      SELECT rowid AS arrival, *
      FROM usage
      WHERE rowid > ? AND rowid <= ? AND revision > 0 ${filters.sql}
      ORDER BY rowid
      LIMIT ?`,
    values: [BigInt(after[0]!), newest, ...filters.values, query.limit],
    read: (rows) => pageOf(rows, query, { whole: sqliteEnd(newest), of: (row) => sqliteEnd(integer(row, "arrival")) }),
  };
}

export function sqliteEnd(rowid: number | bigint): Position {
  return [SQLITE, String(rowid)];
}

/** The next transaction's number, by PostgreSQL. */
export const NEXT_TRANSACTION: Question<bigint> = {
  sql: "SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next",
  values: [],
  read: ([row]) => BigInt(text(row!, "next")),
};

/**
 * The transactions that may still insert rows. Each locks `traces` first (`lockTraces`), and so
 * before it gets its number. Those of others, in this database or beside it, delay nothing.
 */
export const WRITING_TRANSACTIONS: Question<readonly bigint[]> = {
  sql: `
    SELECT transactionid::text AS number
    FROM pg_locks
    WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted AND pid IN (
      SELECT pid
      FROM pg_locks
      WHERE locktype = 'relation' AND relation = 'traces'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )`,
  values: [],
  read: (rows) => rows.map((row) => BigInt(text(row, "number"))),
};

const EPOCH = 1n << 32n;

/**
 * Every transaction before it has ended if these were asked in this order, in states of their own:
 * the rows of one that ended meanwhile can be seen by the next question.
 */
export function horizonOf(next: bigint, writing: readonly bigint[]): string {
  // Locks have only the lower half of the number.
  const whole = writing.map((half) => {
    const number = next - (next % EPOCH) + half;
    return number > next ? number - EPOCH : number;
  });
  return String(whole.reduce((least, number) => number < least ? number : least, next));
}

/** Null: from now on, since the place is not of this database. */
export function postgresArrivals(query: ArrivalQuery, horizon: string): Question<ArrivalPage> | null {
  const after = placeIn(POSTGRES, query.after);
  // Beyond the horizon: another cluster took the place of this one.
  if (after === null || BigInt(after[0]!) > BigInt(horizon)) return null;
  const [arrival, createdAt, id] = after;
  const filters = filtersOf(query);
  return {
    sql: `
      SELECT arrival::text AS arrived, *
      FROM usage
      WHERE arrival >= (?::text)::xid8 AND arrival < (?::text)::xid8
        AND (arrival > (?::text)::xid8 OR (created_at, id) > (?, ?)) ${filters.sql}
      ORDER BY usage.arrival, created_at, id
      LIMIT ?`,
    values: [arrival!, horizon, arrival!, Number(createdAt), id!, ...filters.values, query.limit],
    read: (rows) => {
      const end = (row: Row): Position => [POSTGRES, text(row, "arrived"), String(integer(row, "created_at")), text(row, "id")];
      return pageOf(rows, query, { whole: postgresEnd(horizon), of: end });
    },
  };
}

/** Before all rows of that transaction. */
export function postgresEnd(horizon: string): Position {
  return [POSTGRES, horizon, "0", ""];
}

/** Expressions, so that no index of these columns looks better than the place. */
function filtersOf({ workspaceId, sandboxId, traceId }: ArrivalQuery) {
  return narrowed({ "workspace_id || '' =": workspaceId, "sandbox_id || '' =": sandboxId, "trace_id || '' =": traceId });
}

/** `whole` is the place behind all rows that were looked at, kept or not. */
function pageOf(
  rows: readonly Row[],
  { limit }: ArrivalQuery,
  { whole, of }: { readonly whole: Position; readonly of: (row: Row) => Position },
): ArrivalPage {
  return { calls: rows.map(tokenUsageOf), next: rows.length < limit ? whole : of(rows.at(-1)!) };
}

function placeIn(store: string, place: Position | null): Position | null {
  return place?.[0] === store ? place.slice(1) : null;
}
