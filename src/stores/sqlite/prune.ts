import type { DatabaseSync, StatementSync } from "node:sqlite";
import { monthStart } from "../../domain/calendar.ts";
import { inTransaction } from "./connection.ts";
import { type Kind, queueing, QUEUES } from "./outbox.ts";
import { BEHIND_MS } from "./trace_activity_cache.ts";

/** Rows that one transaction deletes or queues: about 10 ms, for which the ledger's commits wait. */
const AT_ONCE = 200;

/**
 * Deletes what need not be kept, and queues again what was shipped. A method whose name ends in
 * `Some` does a part of its work and returns whether more is left. `dropSome` and the two
 * `prune…Some` need a transaction of the caller's.
 */
export class Prune {
  readonly #db: DatabaseSync;
  readonly #drop: StatementSync;
  readonly #noteDropped: StatementSync;
  readonly #forget: readonly StatementSync[];
  readonly #oldestUnshipped: StatementSync;
  readonly #pruneRows: StatementSync;
  readonly #pruneTraces: StatementSync;
  readonly #pruneOthers: readonly StatementSync[];
  readonly #pruneTokens: StatementSync;
  readonly #isQueueLong: StatementSync;
  readonly #isHandedOver: StatementSync;
  readonly #setHandedOver: StatementSync;
  #handingOver: Iterator<number, void> | null = null;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#drop = db.prepare(DROP);
    this.#noteDropped = db.prepare(NOTE_DROPPED);
    this.#forget = ["unshipped_usage", "quarantined"].map((table) => db.prepare(`DELETE FROM ${table} WHERE created_at < ?`));
    this.#oldestUnshipped = db.prepare("SELECT min(created_at) AS oldest FROM unshipped_usage");
    this.#pruneRows = db.prepare(PRUNE_ROWS);
    this.#pruneTraces = db.prepare(PRUNE_TRACES);
    this.#pruneOthers = PRUNE_OTHERS.map((sql) => db.prepare(sql));
    this.#pruneTokens = db.prepare(PRUNE_TOKENS);
    this.#isQueueLong = db.prepare(IS_QUEUE_LONG);
    this.#isHandedOver = db.prepare("SELECT is_handed_over FROM spool");
    this.#setHandedOver = db.prepare("UPDATE spool SET is_handed_over = 1");
  }

  dropSome(before: number): boolean {
    const from = monthStart(before);
    this.#noteDropped.run(from);
    for (const forget of this.#forget) forget.run(from);
    return Number(this.#drop.run(from, AT_ONCE).changes) === AT_ONCE;
  }

  pruneSome(before: number, now: number): boolean {
    const { oldest } = this.#oldestUnshipped.get() ?? {};
    // Skipping unshipped rows one by one would read all of them each time.
    const upTo = Math.min(before, typeof oldest === "number" ? oldest : before);
    const isMore = [pruned(this.#pruneRows, upTo)];
    if (this.#isQueueLong.get(AT_ONCE, AT_ONCE, AT_ONCE)?.is_long !== 1) {
      // A trace's activity may lag behind its rows, and an active trace is not written again.
      isMore.push(pruned(this.#pruneTraces, Math.min(upTo, now) - 2 * BEHIND_MS));
      isMore.push(...this.#pruneOthers.map((prune) => pruned(prune, upTo)));
    }
    return isMore.includes(true);
  }

  pruneTokensSome(before: number): boolean {
    return pruned(this.#pruneTokens, before);
  }

  /** Queues in several transactions, so that the ledger gets its turns. Returns the number of usage rows. */
  reship(since: number): number {
    let rows = 0;
    for (const queued of this.#queue(since)) rows += queued;
    return rows;
  }

  /** Queues some of what the file held before it became a spool, in transactions of its own. */
  handOverSome(): boolean {
    if (this.#isHandedOver.get()?.is_handed_over === 1) return false;
    this.#handingOver ??= this.#queue(Number.MIN_SAFE_INTEGER);
    const queued = this.#handingOver;
    // If a step fails, the next call starts again.
    this.#handingOver = null;
    if (queued.next().done) {
      this.#setHandedOver.run();
      return false;
    }
    this.#handingOver = queued;
    return true;
  }

  /** One transaction after the other; each yields how many usage rows it queued. */
  *#queue(since: number): Generator<number, void> {
    for (const kind of ["rows", "traces", "refusals", "owned"] as const) {
      const { key, table } = QUEUES[kind];
      const queue = queueing(this.#db, kind, "IGNORE");
      const columns = key.join(", ");
      const find = this.#db.prepare(`
        SELECT ${columns}
        FROM ${table}
        WHERE (${columns}) > (${key.map(() => "?").join(", ")}) AND ${SINCE[kind]}
        ORDER BY ${columns}
        LIMIT ?`);
      let after = key.map((column): string | number =>
        column === "created_at" || column === "minute" ? Number.MIN_SAFE_INTEGER : ""
      );
      for (;;) {
        const found = find.all(...after, since, AT_ONCE).map((row) => Object.values(row) as (string | number)[]);
        inTransaction(this.#db, () => found.forEach((key) => void queue.run(...key)));
        yield kind === "rows" ? found.length : 0;
        if (found.length < AT_ONCE) break;
        after = found.at(-1)!;
      }
    }
  }
}

/** What was recorded or changed since a time. */
const SINCE: Readonly<Record<Kind, string>> = {
  rows: "created_at >= ? AND revision > 0",
  traces: "updated_at >= ?",
  refusals: "minute + 60000 > ?",
  owned: "created_at >= ?",
};

/** Whether there may be more. */
function pruned(prune: StatementSync, upTo: number): boolean {
  return Number(prune.run(upTo, AT_ONCE).changes) === AT_ONCE;
}

const DROP = `
  DELETE FROM usage WHERE rowid IN (
    SELECT rowid FROM usage WHERE created_at < ? AND revision > 0 ORDER BY created_at LIMIT ?
  )`;

const NOTE_DROPPED = `
  INSERT INTO dropped (only_row, before) VALUES (1, ?)
  ON CONFLICT (only_row) DO UPDATE SET before = max(before, excluded.before)`;

/** Whether so much besides rows is unshipped that skipping it would delay the ledger. */
const IS_QUEUE_LONG = `
  SELECT EXISTS (SELECT 1 FROM unshipped_traces LIMIT 1 OFFSET ?)
    OR EXISTS (SELECT 1 FROM unshipped_refusals LIMIT 1 OFFSET ?)
    OR EXISTS (SELECT 1 FROM unshipped_owned LIMIT 1 OFFSET ?) AS is_long`;

/**
 * What a spool has shipped is in the shared database too. Hourly totals from the time when it was
 * the only database stay: after retention they are all that is left.
 */
const PRUNE_ROWS = `
  DELETE FROM usage WHERE rowid IN (
     SELECT rowid
     FROM usage AS u
     WHERE created_at < ? AND revision > 0
       AND NOT EXISTS (
         SELECT 1 FROM quarantined AS a WHERE a.workspace_id = u.workspace_id AND a.created_at = u.created_at AND a.id = u.id
       )
     ORDER BY created_at
     LIMIT ?
   )`;

const PRUNE_TRACES = `
  DELETE FROM traces WHERE (workspace_id, id) IN (
     SELECT workspace_id, id
     FROM traces AS t
     WHERE updated_at < ?
       AND NOT EXISTS (SELECT 1 FROM unshipped_traces AS o WHERE o.workspace_id = t.workspace_id AND o.id = t.id)
     ORDER BY updated_at
     LIMIT ?
   )`;

const PRUNE_OTHERS = [
  `DELETE FROM refusals WHERE (workspace_id, sandbox_id, minute, fault, instance_id) IN (
     SELECT workspace_id, sandbox_id, minute, fault, instance_id
     FROM refusals AS r
     WHERE minute + 60000 <= ?
       AND NOT EXISTS (
         SELECT 1 FROM unshipped_refusals AS o
         WHERE o.workspace_id = r.workspace_id AND o.sandbox_id = r.sandbox_id AND o.minute = r.minute AND o.fault = r.fault
           AND o.instance_id = r.instance_id
       )
     ORDER BY minute
     LIMIT ?
   )`,
  `DELETE FROM owned WHERE id IN (
     SELECT id
     FROM owned AS w
     WHERE created_at < ? AND NOT EXISTS (SELECT 1 FROM unshipped_owned AS o WHERE o.id = w.id)
     LIMIT ?
   )`,
];

const PRUNE_TOKENS = "DELETE FROM token_copies WHERE sha256 IN (SELECT sha256 FROM token_copies WHERE seen_at < ? LIMIT ?)";
