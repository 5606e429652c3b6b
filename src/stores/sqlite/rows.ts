import type { DatabaseSync, StatementSync } from "node:sqlite";
import { NO_RETRY, type Retry } from "../../domain/retry.ts";
import { type OpenCall, REVISION, type UsageRow } from "../../domain/usage.ts";
import { retryOf } from "../retries.ts";
import { flag, integer, type Row, text, textOrNull } from "../row_decoders.ts";
import { added, COUNTED_COLUMNS, countedClosing, countedRow, type Delta, placeOf, removed } from "../totals.ts";
import {
  CALL_COLUMNS,
  CLOSING_COLUMNS,
  closingValue,
  sqliteValues,
  storedCall,
  storedClosing,
  type StoredValues,
  SWEPT,
  usageRowOf,
} from "../usage_row.ts";
import { inTransaction, readingBigInts } from "./connection.ts";
import { Landings } from "./limits.ts";
import { Retries } from "./retries.ts";
import { Totals } from "./totals.ts";

/** Rows in one transaction: about 10 ms, for which other writers wait. */
const AT_ONCE = 200;

/**
 * Every write of closed rows. Totals, links of retries and what the calls held change with the rows
 * or not at all.
 */
export class Rows {
  readonly #db: DatabaseSync;
  readonly #totals: Totals;
  readonly #retries: Retries;
  readonly #landings: Landings;
  readonly #insert: StatementSync;
  readonly #stored: StatementSync;
  readonly #replace: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#totals = new Totals(db);
    this.#retries = new Retries(db);
    this.#landings = new Landings(db);
    this.#insert = db.prepare(INSERT);
    this.#stored = readingBigInts(db, STORED);
    this.#replace = db.prepare(REPLACE);
  }

  /** Writes rows over those of lower revision, in the caller's transaction. */
  write(rows: readonly UsageRow[]): void {
    this.#totals.apply(rows.flatMap((row) => this.#write(row)));
    this.#landings.landed(rows.map(({ call }) => call.id));
  }

  /** Returns what changes in the totals. */
  #write({ call, closing, revision }: UsageRow): readonly Delta[] {
    const values = storedClosing(closing);
    const place = placeOf(call, closing);
    const attempt = call.messagesHash === null ? 0 : 1;
    const inserted =
      this.#insert.run(attempt, revision, ...sqliteValues(storedCall(call)), ...sqliteValues(values)).changes !== 0;
    if (inserted) return [added(place, countedClosing(values)), ...this.#relink(place, { values, retry: NO_RETRY })];
    const old = this.#stored.get(call.workspaceId, call.createdAt, call.id)!;
    const from = integer(old, "revision");
    if (from >= revision) return [];
    const retry = retryOf(old);
    this.#replace.run(revision, ...sqliteValues(values), call.workspaceId, call.createdAt, call.id);
    // Only the columns of its end are replaced.
    const stored = { ...place, provider: text(old, "provider"), upstream: textOrNull(old, "upstream") };
    const counted = added(stored, countedClosing(values, retry));
    // What an earlier version left open or uncounted stands in no total.
    const isCounted = from !== REVISION.open && flag(old, "counted");
    const before = isCounted ? [removed({ ...stored, model: text(old, "model") }, countedRow(old))] : [];
    const relinked = isCounted && endsAlike(old, values) ? [] : this.#relink(stored, { values, retry });
    return [...before, counted, ...relinked];
  }

  #relink(
    place: ReturnType<typeof placeOf<OpenCall>>,
    { values, retry }: { readonly values: StoredValues; readonly retry: Retry },
  ): readonly Delta[] {
    if (place.messagesHash === null) return [];
    const [outcome, duration, cost] = ["outcome", "duration_ms", "cost"].map((column) => closingValue(values, column));
    const link = { ...place, outcome, duration, cost, retry } as Parameters<Retries["relink"]>[0];
    return this.#retries.relink(link, place.messagesHash);
  }

  /**
   * Counts what earlier versions left: calls that were open, closed as `unknown`, and, for
   * `isStore`, rows that were recorded for a shared database. In transactions of its own. Returns
   * their numbers.
   */
  settle(isStore: boolean): { readonly swept: number; readonly counted: number } {
    const swept = this.#eachOf("revision = 0", (row) => ({ ...usageRowOf(row), closing: SWEPT, revision: REVISION.swept }));
    const counted = isStore
      ? this.#eachOf("counted = 0", (row) => ({ ...usageRowOf(row), revision: integer(row, "revision") + 1 }))
      : 0;
    return { swept, counted };
  }

  #eachOf(which: string, settled: (row: Row) => UsageRow): number {
    const find = readingBigInts(this.#db, `SELECT * FROM usage WHERE ${which} LIMIT ${AT_ONCE}`);
    for (let total = 0;;) {
      const found = find.all();
      inTransaction(this.#db, () => this.write(found.map(settled)));
      total += found.length;
      if (found.length < AT_ONCE) return total;
    }
  }
}

function endsAlike(old: Row, values: StoredValues): boolean {
  const duration = old.duration_ms === null ? null : integer(old, "duration_ms");
  return old.outcome === closingValue(values, "outcome") && duration === closingValue(values, "duration_ms");
}

/** Retries are looked for among rows with `attempt = 1`. */
const COLUMNS = ["attempt", "revision", ...CALL_COLUMNS, ...CLOSING_COLUMNS];

const INSERT = `
  INSERT INTO usage (${COLUMNS.join(", ")})
  VALUES (${COLUMNS.map(() => "?").join(", ")})
  ON CONFLICT DO NOTHING`;

const STORED = `
  SELECT revision, counted, provider, upstream, coalesce(served_model, requested_model) AS model, duration_ms,
    ${COUNTED_COLUMNS.join(", ")}
  FROM usage
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;

const REPLACE = `
  UPDATE usage SET revision = ?, counted = 1, attempt = messages_hash IS NOT NULL, ${
  CLOSING_COLUMNS.map((column) => `${column} = ?`).join(", ")
}
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;
