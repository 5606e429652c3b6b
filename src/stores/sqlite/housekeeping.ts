import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { monthStart } from "../../domain/calendar.ts";
import { inTransaction } from "./connection.ts";

/** Rows that one transaction deletes or queues: some 10 ms, for which the ledger's commits wait. */
const AT_ONCE = 200;

/** Deletes what need not be kept. `…Some` belongs into a transaction of the caller's, and says whether more is left. */
export class Housekeeping {
  readonly #db: DatabaseSync;
  readonly #drop: StatementSync;
  readonly #noteDropped: StatementSync;
  readonly #forget: StatementSync;
  readonly #oldestUnshipped: StatementSync;
  readonly #prunes: readonly StatementSync[];
  readonly #isHandedOver: StatementSync;
  readonly #setHandedOver: StatementSync;
  #handingOver: Iterator<number, void> | null = null;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#drop = db.prepare(DROP);
    this.#noteDropped = db.prepare(NOTE_DROPPED);
    this.#forget = db.prepare("DELETE FROM unshipped_usage WHERE created_at < ?");
    this.#oldestUnshipped = db.prepare("SELECT min(created_at) AS oldest FROM unshipped_usage");
    this.#prunes = PRUNE.map((sql) => db.prepare(sql));
    this.#isHandedOver = db.prepare("SELECT is_handed_over FROM journal");
    this.#setHandedOver = db.prepare("UPDATE journal SET is_handed_over = 1");
  }

  dropSome(before: number): boolean {
    const from = monthStart(before);
    this.#noteDropped.run(from);
    this.#forget.run(from);
    return Number(this.#drop.run(from, AT_ONCE).changes) === AT_ONCE;
  }

  pruneSome(before: number): boolean {
    const { oldest } = this.#oldestUnshipped.get() ?? {};
    // Looking past what waits would read all of it each time.
    const upTo = Math.min(before, typeof oldest === "number" ? oldest : before);
    return this.#prunes.map((prune) => Number(prune.run(upTo, AT_ONCE).changes) === AT_ONCE).includes(true);
  }

  /** Queues in transactions of its own, so that the ledger gets its turns. Gives back how many rows of usage. */
  reship(since: number): number {
    let rows = 0;
    for (const queued of this.#queue(since)) rows += queued;
    return rows;
  }

  /** Queues some of what the file held before it became a journal, likewise. Gives back whether more is left. */
  handOverSome(): boolean {
    if (this.#isHandedOver.get()?.is_handed_over === 1) return false;
    this.#handingOver ??= this.#queue(Number.MIN_SAFE_INTEGER);
    if (!this.#handingOver.next().done) return true;
    this.#handingOver = null;
    this.#setHandedOver.run();
    return false;
  }

  /** One transaction after the other; each gives how many rows of usage it queued. */
  *#queue(since: number): Generator<number, void> {
    for (const { find, queue, first } of QUEUEINGS) {
      const statements = { find: this.#db.prepare(find), queue: this.#db.prepare(queue) };
      for (let after = first;;) {
        const found = statements.find.all(...after, since, AT_ONCE).map((row) => Object.values(row));
        inTransaction(this.#db, () => found.forEach((key) => void statements.queue.run(...key)));
        yield find === FIND_ROWS ? found.length : 0;
        if (found.length < AT_ONCE) break;
        after = found.at(-1)!;
      }
    }
  }
}

/** Finds keys in their order behind a first one, those since a time only, and queues each. */
interface Queueing {
  readonly find: string;
  readonly queue: string;
  readonly first: readonly SQLInputValue[];
}

const FIND_ROWS = `
  SELECT workspace_id, created_at, id
  FROM usage
  WHERE (workspace_id, created_at, id) > (?, ?, ?) AND created_at >= ? AND revision > 0
  ORDER BY workspace_id, created_at, id
  LIMIT ?`;

const QUEUEINGS: readonly Queueing[] = [
  {
    find: FIND_ROWS,
    queue: "INSERT OR IGNORE INTO unshipped_usage (workspace_id, created_at, id) VALUES (?, ?, ?)",
    first: ["", Number.MIN_SAFE_INTEGER, ""],
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
  },
  {
    find: `
      SELECT workspace_id, sandbox_id, minute, fault
      FROM refusals
      WHERE (workspace_id, sandbox_id, minute, fault) > (?, ?, ?, ?) AND minute + 60000 > ?
      ORDER BY workspace_id, sandbox_id, minute, fault
      LIMIT ?`,
    queue: "INSERT OR IGNORE INTO unshipped_refusals (workspace_id, sandbox_id, minute, fault) VALUES (?, ?, ?, ?)",
    first: ["", "", Number.MIN_SAFE_INTEGER, ""],
  },
  {
    find: "SELECT id FROM owned WHERE id > ? AND created_at >= ? ORDER BY id LIMIT ?",
    queue: "INSERT OR IGNORE INTO unshipped_owned (id) VALUES (?)",
    first: [""],
  },
];

const DROP = `
  DELETE FROM usage WHERE rowid IN (
    SELECT rowid FROM usage WHERE created_at < ? AND revision > 0 ORDER BY created_at LIMIT ?
  )`;

const NOTE_DROPPED = `
  INSERT INTO dropped (only_row, before) VALUES (1, ?)
  ON CONFLICT (only_row) DO UPDATE SET before = max(before, excluded.before)`;

/**
 * Nothing that is still to be shipped is so old, and what a journal has shipped stands in the shared database too. Totals of hours
 * that it has from when it was the only database stay: of what retention has dropped nothing else is left.
 */
const PRUNE = [
  `DELETE FROM usage WHERE rowid IN (
     SELECT rowid
     FROM usage AS u
     WHERE created_at < ? AND revision > 0
       AND NOT EXISTS (
         SELECT 1 FROM set_aside AS a WHERE a.workspace_id = u.workspace_id AND a.created_at = u.created_at AND a.id = u.id
       )
     ORDER BY created_at
     LIMIT ?
   )`,
  `DELETE FROM traces WHERE (workspace_id, id) IN (
     SELECT workspace_id, id
     FROM traces AS t
     WHERE updated_at < ?
       AND NOT EXISTS (SELECT 1 FROM unshipped_traces AS o WHERE o.workspace_id = t.workspace_id AND o.id = t.id)
     ORDER BY updated_at
     LIMIT ?
   )`,
  `DELETE FROM refusals WHERE (workspace_id, sandbox_id, minute, fault, journal_id) IN (
     SELECT workspace_id, sandbox_id, minute, fault, journal_id
     FROM refusals AS r
     WHERE minute + 60000 <= ?
       AND NOT EXISTS (
         SELECT 1 FROM unshipped_refusals AS o
         WHERE o.workspace_id = r.workspace_id AND o.sandbox_id = r.sandbox_id AND o.minute = r.minute AND o.fault = r.fault
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
  "DELETE FROM token_copies WHERE sha256 IN (SELECT sha256 FROM token_copies WHERE seen_at < ? LIMIT ?)",
];
