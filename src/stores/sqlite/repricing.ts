import type { StatementSync } from "node:sqlite";
import type { NewPrice, Repricing } from "../../domain/repricing.ts";
import { retryOf } from "../retries.ts";
import { added, countedClosing, type Delta, placeOf, removed } from "../totals.ts";
import { closingValue, storedClosing, usageRowOf } from "../usage_row.ts";
import { inTransaction, openConnection, readingBigInts, type Synchronous } from "./connection.ts";
import { Totals } from "./totals.ts";

/** For the ledger's transactions, which take milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

/**
 * Blocks its thread, on a connection of its own. The schema must be up to date. Throws SQLite's own
 * error.
 */
export function openSqliteRepricing(path: string, synchronous: Synchronous): Repricing {
  const db = openConnection(path, { synchronous, busyTimeoutMs: BUSY_TIMEOUT_MS, autoCheckpointPages: 0, cacheKib: 16_000 });
  const [read, set] = [readingBigInts(db, READ), readingBigInts(db, SET)];
  const totals = new Totals(db);
  return {
    read: ({ since, until }, { after, most }) => {
      const key = after === null
        ? [since, "", ""] as const
        : [after.call.createdAt, after.call.workspaceId, after.call.id] as const;
      return Promise.resolve(read.all(Math.max(since, key[0]), until, ...key, most).map(usageRowOf));
    },
    write: (prices) =>
      Promise.resolve(inTransaction(db, () => {
        const changed = prices.map((price) => ({ price, deltas: write(price, set) })).filter(({ deltas }) => deltas.length > 0);
        totals.apply(changed.flatMap(({ deltas }) => deltas));
        return changed.map(({ price }) => price);
      })),
    close: () => Promise.resolve(db.close()),
  };
}

/** Returns what changes in the totals; nothing if the row is no longer as it was read. */
function write({ row, to }: NewPrice, set: StatementSync): readonly Delta[] {
  const { call, closing, revision } = row;
  const [before, after] = [storedClosing(closing), storedClosing({ ...closing, ...to })];
  const price = PRICE.map((column) => closingValue(after, column) as string | number | null);
  const found = set.get(...price, call.workspaceId, call.createdAt, call.id, revision);
  if (found === undefined) return [];
  const [place, retry] = [placeOf(call, closing), retryOf(found)];
  return [removed(place, countedClosing(before, retry)), added(place, countedClosing(after, retry))];
}

const PRICE = ["cost", "price_version", "unpriced_uses", "accuracy"];

const READ = `
  SELECT *
  FROM usage
  WHERE created_at >= ? AND created_at < ? AND (created_at, workspace_id, id) > (?, ?, ?)
    AND created_at >= coalesce((SELECT before FROM dropped), -9007199254740991)
    AND revision > 0 AND accuracy <> 'unknown'
  ORDER BY created_at, workspace_id, id
  LIMIT ?`;

const SET = `
  UPDATE usage SET
    revision = revision + 1,
    cost = ?,
    price_version = ?,
    unpriced_uses = ?,
    accuracy = ?
  WHERE workspace_id = ? AND created_at = ? AND id = ? AND revision = ?
    AND created_at >= coalesce((SELECT before FROM dropped), -9007199254740991)
  RETURNING retry_of, asked_again`;
