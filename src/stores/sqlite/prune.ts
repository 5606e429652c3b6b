import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { monthStart } from "../../domain/calendar.ts";
import { BEHIND_MS } from "./trace_activity_cache.ts";
import { inTransaction } from "./connection.ts";

/** Rows that one transaction deletes or queues: some 10 ms, for which the ledger's commits wait. */
const AT_ONCE = 200;

/** Deletes what need not be kept. `…Some` belongs into a transaction of the caller's, and says whether more is left. */
export class Housekeeping {
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
    // Looking past what waits would read all of it each time.
    const upTo = Math.min(before, typeof oldest === "number" ? oldest : before);
    const isMore = [pruned(this.#pruneRows, upTo)];
    if (this.#isQueueLong.get(AT_ONCE, AT_ONCE, AT_ONCE)?.is_long !== 1) {
      // A trace may be behind its rows, and is not looked for again while it is active.
      isMore.push(pruned(this.#pruneTraces, Math.min(upTo, now) - 2 * BEHIND_MS));
      isMore.push(...this.#pruneOthers.map((prune) => pruned(prune, upTo)));
    }
    return isMore.includes(true);
  }

  pruneTokensSome(before: number): boolean {
    return pruned(this.#pruneTokens, before);
  }

  /** Queues in transactions of its own, so that the ledger gets its turns. Gives back how many rows of usage. */
  reship(since: number): number {
    let rows = 0;
    for (const queued of this.#queue(since)) rows += queued;
    return rows;
  }

  /** Queues some of what the file held before it became a spool, likewise. Gives back whether more is left. */
  handOverSome(): boolean {
    if (this.#isHandedOver.get()?.is_handed_over === 1) return false;
    this.#handingOver ??= this.#queue(Number.MIN_SAFE_INTEGER);
    const queued = this.#handingOver;
    // Where a step fails it is all done again.
    this.#handingOver = null;
    if (queued.next().done) {
      this.#setHandedOver.run();
      return false;
    }
    this.#handingOver = queued;
    return true;
  }

  /** One transaction after the other; each gives how many rows of usage it queued. */
  *#queue(since: number): Generator<number, void> {
    for (const { find, queue, first, isUsage } of QUEUEINGS) {
      const statements = { find: this.#db.prepare(find), queue: this.#db.prepare(queue) };
      for (let after = first;;) {
        const found = statements.find.all(...after, since, AT_ONCE).map((row) => Object.values(row));
        inTransaction(this.#db, () => found.forEach((key) => void statements.queue.run(...key)));
        yield isUsage ? found.length : 0;
        if (found.length < AT_ONCE) break;
        after = found.at(-1)!;
      }
    }
  }
}

/** Whether there may be more. */
function pruned(prune: StatementSync, upTo: number): boolean {
  return Number(prune.run(upTo, AT_ONCE).changes) === AT_ONCE;
}

/** Finds keys in their order behind a first one, those since a time only, and queues each. */
interface Queueing {
  readonly find: string;
  readonly queue: string;
  readonly first: readonly SQLInputValue[];
  readonly isUsage: boolean;
}

const QUEUEINGS: readonly Queueing[] = [
  {
    find: `
      SELECT workspace_id, created_at, id
      FROM usage
      WHERE (workspace_id, created_at, id) > (?, ?, ?) AND created_at >= ? AND revision > 0
      ORDER BY workspace_id, created_at, id
      LIMIT ?`,
    queue: "INSERT OR IGNORE INTO unshipped_usage (workspace_id, created_at, id) VALUES (?, ?, ?)",
    first: ["", Number.MIN_SAFE_INTEGER, ""],
    isUsage: true,
  },
  {
    find: `
      SELECT workspace_id, id
      FROM traces
      WHERE (workspace_id, id) > (?, ?) AND updated_at >= ?
      ORDER BY workspace_id, id
      LIMIT ?`,
    queue: "INSERT OR IGNORE INTO unshipped_traces (workspace_id, id) VALUES (?, ?)",
    first: ["", ""],
    isUsage: false,
  },
  {
    find: `
      SELECT workspace_id, sandbox_id, minute, fault, instance_id
      FROM refusals
      WHERE (workspace_id, sandbox_id, minute, fault, instance_id) > (?, ?, ?, ?, ?) AND minute + 60000 > ?
      ORDER BY workspace_id, sandbox_id, minute, fault, instance_id
      LIMIT ?`,
    queue: `
      INSERT OR IGNORE INTO unshipped_refusals (workspace_id, sandbox_id, minute, fault, instance_id)
      VALUES (?, ?, ?, ?, ?)`,
    first: ["", "", Number.MIN_SAFE_INTEGER, "", ""],
    isUsage: false,
  },
  {
    find: "SELECT id FROM owned WHERE id > ? AND created_at >= ? ORDER BY id LIMIT ?",
    queue: "INSERT OR IGNORE INTO unshipped_owned (id) VALUES (?)",
    first: [""],
    isUsage: false,
  },
];

const DROP = `
  DELETE FROM usage WHERE rowid IN (
    SELECT rowid FROM usage WHERE created_at < ? AND revision > 0 ORDER BY created_at LIMIT ?
  )`;

const NOTE_DROPPED = `
  INSERT INTO dropped (only_row, before) VALUES (1, ?)
  ON CONFLICT (only_row) DO UPDATE SET before = max(before, excluded.before)`;

/** Whether so much of what is not a row waits that looking past it would hold the ledger up. */
const IS_QUEUE_LONG = `
  SELECT EXISTS (SELECT 1 FROM unshipped_traces LIMIT 1 OFFSET ?)
    OR EXISTS (SELECT 1 FROM unshipped_refusals LIMIT 1 OFFSET ?)
    OR EXISTS (SELECT 1 FROM unshipped_owned LIMIT 1 OFFSET ?) AS is_long`;

/**
 * What a spool has shipped stands in the shared database too. Totals of hours that it has from when it was the only database
 * stay: of what retention has dropped nothing else is left.
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
