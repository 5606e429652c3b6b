import type { DatabaseSync, StatementSync } from "node:sqlite";
import { EMPTY_READING } from "../../domain/reading.ts";
import { NO_RETRY, type Retry } from "../../domain/retry.ts";
import { type Closing, NO_COST, type OpenCall, REVISION, type UsageRow } from "../../domain/usage.ts";
import { placeIn, retryOf } from "../retries.ts";
import { flag, integer, type Row, text, textOrNull } from "../row_decoders.ts";
import { added, COUNTED_COLUMNS, countedClosing, countedRow, type Place, placeOf, removed } from "../totals.ts";
import {
  CALL_COLUMNS,
  CLOSING_COLUMNS,
  closingValue,
  sqliteValues,
  storedCall,
  storedClosing,
  type StoredValues,
} from "../usage_row.ts";
import { readingBigInts } from "./connection.ts";
import type { InflightPrompts } from "./inflight_prompts.ts";
import type { Outbox } from "./outbox.ts";
import { Retries } from "./retries.ts";
import { Totals } from "./totals.ts";

/**
 * Every write of usage rows, for the ledger and the store alike. The caller has a transaction open:
 * totals and the outbox change with the rows or not at all. Shipped rows are counted and linked in
 * the shared database.
 */
export class Rows {
  readonly #totals: Totals;
  /** Null if another database counts and links. */
  readonly #retries: Retries | null;
  readonly #outbox: Outbox | null;
  readonly #inflight: InflightPrompts | null;
  readonly #insertOpen: StatementSync;
  readonly #stored: StatementSync;
  readonly #close: StatementSync;
  readonly #unlink: StatementSync;
  readonly #leftOpen: StatementSync;
  readonly #countOpen: StatementSync;

  /**
   * `outbox`: notes changes for shipping; null if nothing is shipped. `inflight`: null if the calls
   * in flight are not known.
   */
  constructor(
    db: DatabaseSync,
    { outbox, inflight }: { readonly outbox: Outbox | null; readonly inflight: InflightPrompts | null },
  ) {
    this.#inflight = inflight;
    this.#totals = new Totals(db);
    this.#retries = outbox === null ? new Retries(db, this.#totals) : null;
    this.#outbox = outbox;
    this.#insertOpen = db.prepare(INSERT_OPEN);
    this.#stored = readingBigInts(db, STORED);
    this.#close = db.prepare(CLOSE);
    this.#unlink = db.prepare(UNLINK);
    this.#leftOpen = readingBigInts(db, LEFT_OPEN);
    this.#countOpen = db.prepare("SELECT count(*) AS open FROM usage WHERE revision = 0");
  }

  /** Throws if the row is there already. */
  insertOpen(call: OpenCall): void {
    this.#insertOpen.run(...sqliteValues(storedCall(call)));
  }

  /**
   * Writes a closed row over a row of lower revision and moves the totals by the difference. A
   * missing row and a missing trace are made. Returns by how much the number of open rows changed.
   */
  applyClosed({ call, closing, revision }: UsageRow): number {
    const place = placeOf(call, closing);
    const values = storedClosing(closing);
    const mayRetry = this.#mayRetry(place, closing);
    const close = { values, from: REVISION.open, to: revision, mayRetry };
    // Nearly always it is open.
    if (this.#closeRow(call, close)) {
      this.#count(place, { closing, values, mayRetry });
      return -1;
    }
    const old = this.#stored.get(call.workspaceId, call.createdAt, call.id);
    if (old === undefined) {
      this.insertOpen(call);
      this.#closeRow(call, close);
      this.#count(place, { closing, values, mayRetry });
      return 0;
    }
    const from = integer(old, "revision");
    if (from < revision) this.#replace(place, { ...close, from, old, closing });
    return 0;
  }

  #replace(place: LinkedCall, change: Close & { readonly old: Row; readonly closing: Closing }): void {
    const { old, closing, values, mayRetry } = change;
    const retry = retryOf(old);
    if (flag(old, "counted")) this.#totals.apply(removed({ ...place, model: text(old, "model") }, countedRow(old)));
    this.#closeRow(place, { ...change, mayRetry: mayRetry || flag(old, "attempt") });
    if (this.#retries === null) {
      this.#unlink.run(place.workspaceId, place.createdAt, place.id);
      return;
    }
    this.#totals.apply(added(place, countedClosing(values, retry)));
    const [outcome, duration] = [old.outcome, old.duration_ms === null ? null : integer(old, "duration_ms")];
    if (outcome !== closing.outcome || duration !== closingValue(values, "duration_ms")) this.#relink(place, closing, retry);
  }

  /**
   * Closes as `unknown` at most `most` rows that other runs than `instanceId` left open. Returns
   * how many.
   */
  sweepSome(instanceId: string, most: number): number {
    const leftOpen = this.#leftOpen.all(instanceId, most);
    for (const row of leftOpen) {
      const place = { ...placeIn(row), id: text(row, "id"), messagesHash: textOrNull(row, "messages_hash") };
      const mayRetry = this.#mayRetry(place, SWEPT);
      this.#closeRow(place, { values: SWEPT_VALUES, from: REVISION.open, to: REVISION.swept, mayRetry });
      this.#count(place, { closing: SWEPT, values: SWEPT_VALUES, mayRetry });
    }
    return leftOpen.length;
  }

  countOpen(): number {
    return Number(this.#countOpen.get()?.open);
  }

  /** The row is new in the totals. */
  #count(
    place: LinkedCall,
    { closing, values, mayRetry }: Pick<Close, "values" | "mayRetry"> & { readonly closing: Closing },
  ): void {
    if (this.#retries === null) return;
    this.#totals.apply(added(place, countedClosing(values)));
    if (mayRetry) this.#relink(place, closing, NO_RETRY);
  }

  /**
   * Whether the row may be part of a chain of retries, now or when another row ends: hardly ever if
   * it completed. It never is if no earlier call failed and no other is in flight, because a call
   * that fails later starts a chain.
   */
  #mayRetry(call: LinkedCall, { outcome }: Closing): boolean {
    if (this.#retries === null || call.messagesHash === null) return false;
    if (outcome !== "completed" || this.#inflight === null || this.#inflight.isAskedByOthers(call)) return true;
    return this.#retries.areKnown(call, call.messagesHash);
  }

  #relink(place: LinkedCall, { outcome, duration, cost }: Closing, retry: Retry): void {
    if (place.messagesHash === null) return;
    const wholeMs = duration === null ? null : Math.round(duration);
    this.#retries?.relink({ ...place, outcome, duration: wholeMs, cost, retry }, place.messagesHash);
  }

  /** False if there is no row with the revision `from`; then nothing was written. */
  #closeRow(key: RowKey, { values, from, to, mayRetry }: Close): boolean {
    const [counted, attempt] = [this.#retries === null ? 0 : 1, mayRetry ? 1 : 0];
    const closing = sqliteValues(values);
    const { changes } = this.#close.run(to, counted, attempt, ...closing, key.workspaceId, key.createdAt, key.id, from);
    if (changes === 0) return false;
    this.#outbox?.addRow(key);
    return true;
  }
}

type RowKey = Pick<OpenCall, "id" | "workspaceId" | "createdAt">;
type LinkedCall = Place & Pick<OpenCall, "id" | "messagesHash">;

/** A row becomes closed, with these values, if it has the revision `from`. */
interface Close {
  readonly values: StoredValues;
  readonly from: number;
  readonly to: number;
  readonly mayRetry: boolean;
}

const SWEPT: Closing = {
  outcome: "unknown",
  accuracy: "unknown",
  status: null,
  upstreamRequestId: null,
  duration: null,
  ttft: null,
  reading: EMPTY_READING,
  ...NO_COST,
};
const SWEPT_VALUES = storedClosing(SWEPT);

const INSERT_OPEN = `
  INSERT INTO usage (revision, accuracy, ${CALL_COLUMNS.join(", ")})
  VALUES (${REVISION.open}, 'unknown', ${CALL_COLUMNS.map(() => "?").join(", ")})`;

const STORED = `
  SELECT revision, counted, attempt, coalesce(served_model, requested_model) AS model, outcome, duration_ms,
    ${COUNTED_COLUMNS.join(", ")}
  FROM usage
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;

const CLOSE = `
  UPDATE usage SET revision = ?, counted = ?, attempt = ?, ${CLOSING_COLUMNS.map((column) => `${column} = ?`).join(", ")}
  WHERE workspace_id = ? AND created_at = ? AND id = ? AND revision = ?`;

/** A row that is not counted takes no part in retries. */
const UNLINK = `
  UPDATE usage SET retry_of = NULL, asked_again = 0, attempt = 0
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;

const LEFT_OPEN = `
  SELECT id, workspace_id, sandbox_id, trace_id, created_at, provider, kind, requested_model AS model, messages_hash
  FROM usage
  WHERE revision = 0 AND instance_id <> ?
  LIMIT ?`;
