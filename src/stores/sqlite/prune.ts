import type { DatabaseSync } from "node:sqlite";
import { monthStart } from "../../domain/calendar.ts";
import { inTransaction } from "./connection.ts";
import { type Kind, queueing, QUEUES } from "./outbox.ts";
import { BEHIND_MS } from "./trace_activity_cache.ts";

/** Rows in one transaction: about 10 ms, for which the ledger's commits wait. */
const AT_ONCE = 200;

/** `…Some` does a part in the caller's transaction, and returns whether more is left. */
export function dropSome(db: DatabaseSync, before: number): boolean {
  const from = monthStart(before);
  db.prepare(NOTE_DROPPED).run(from);
  db.prepare("DELETE FROM unshipped_usage WHERE created_at < ?").run(from);
  db.prepare("DELETE FROM quarantined WHERE created_at < ?").run(from);
  return deleteSome(db, DROP, from);
}

export function pruneSome(db: DatabaseSync, before: number, now: number): boolean {
  const { oldest } = db.prepare("SELECT min(created_at) AS oldest FROM unshipped_usage").get() ?? {};
  // Skipping unshipped rows one by one would read all of them each time.
  const upTo = Math.min(before, typeof oldest === "number" ? oldest : before);
  const isMore = [deleteSome(db, PRUNE_ROWS, upTo)];
  if (db.prepare(IS_QUEUE_LONG).get(AT_ONCE, AT_ONCE, AT_ONCE)?.is_long !== 1) {
    // A trace's activity may lag behind its rows, and an active trace is not written again.
    isMore.push(deleteSome(db, pruning("traces"), Math.min(upTo, now) - 2 * BEHIND_MS));
    isMore.push(deleteSome(db, pruning("refusals"), upTo), deleteSome(db, pruning("owned"), upTo));
  }
  return isMore.includes(true);
}

export function pruneTokensSome(db: DatabaseSync, before: number): boolean {
  return deleteSome(db, PRUNE_TOKENS, before);
}

function deleteSome(db: DatabaseSync, sql: string, upTo: number): boolean {
  return Number(db.prepare(sql).run(upTo, AT_ONCE).changes) === AT_ONCE;
}

/** Queues everything since a time, in several transactions. Returns the number of usage rows. */
export function reship(db: DatabaseSync, since: number): number {
  let rows = 0;
  for (const queued of queueSince(db, since)) rows += queued;
  return rows;
}

/**
 * Each call queues some of what the file held before it became a spool, in transactions of its own,
 * and returns whether more is left. If one throws, the next starts again.
 */
export function handOverOn(db: DatabaseSync): () => boolean {
  let queued: Iterator<number, void> | null = null;
  return () => {
    if (db.prepare("SELECT is_handed_over FROM spool").get()?.is_handed_over === 1) return false;
    const going = queued ?? queueSince(db, Number.MIN_SAFE_INTEGER);
    queued = null;
    if (going.next().done) {
      db.exec("UPDATE spool SET is_handed_over = 1");
      return false;
    }
    queued = going;
    return true;
  };
}

/** Yields, after each transaction, how many usage rows it queued. */
function* queueSince(db: DatabaseSync, since: number): Generator<number, void> {
  for (const kind of ["rows", "traces", "refusals", "owned"] as const) {
    const { key, table } = QUEUES[kind];
    const columns = key.join(", ");
    const queue = queueing(db, kind, "IGNORE");
    const find = db.prepare(`
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
      inTransaction(db, () => found.forEach((key) => void queue.run(...key)));
      yield kind === "rows" ? found.length : 0;
      if (found.length < AT_ONCE) break;
      after = found.at(-1)!;
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

/** What is older than a time, and the order in which an index finds it. */
const OLDER: Readonly<Record<Exclude<Kind, "rows">, readonly [condition: string, order: string]>> = {
  traces: ["updated_at < ?", "ORDER BY updated_at"],
  refusals: ["minute + 60000 <= ?", "ORDER BY minute"],
  owned: ["created_at < ?", ""],
};

function pruning(kind: keyof typeof OLDER): string {
  const { table, queue, key } = QUEUES[kind];
  const [isOlder, order] = OLDER[kind];
  const isQueued = `SELECT 1 FROM ${queue} AS q WHERE ${key.map((column) => `q.${column} = t.${column}`).join(" AND ")}`;
  return `
    DELETE FROM ${table} WHERE (${key.join(", ")}) IN (
      SELECT ${key.join(", ")}
      FROM ${table} AS t
      WHERE ${isOlder} AND NOT EXISTS (${isQueued})
      ${order}
      LIMIT ?
    )`;
}

const DROP = `
  DELETE FROM usage WHERE rowid IN (
    SELECT rowid FROM usage WHERE created_at < ? AND revision > 0 ORDER BY created_at LIMIT ?
  )`;

const NOTE_DROPPED = `
  INSERT INTO dropped (only_row, before) VALUES (1, ?)
  ON CONFLICT (only_row) DO UPDATE SET before = max(before, excluded.before)`;

/** So much besides rows is unshipped that skipping it would delay the ledger. */
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
        SELECT 1 FROM quarantined AS q WHERE q.workspace_id = u.workspace_id AND q.created_at = u.created_at AND q.id = u.id
      )
    ORDER BY created_at
    LIMIT ?
  )`;

const PRUNE_TOKENS = "DELETE FROM token_copies WHERE sha256 IN (SELECT sha256 FROM token_copies WHERE seen_at < ? LIMIT ?)";
