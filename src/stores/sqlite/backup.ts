import { DatabaseSync } from "node:sqlite";
import { type OpenCall, REVISION } from "../../domain/usage.ts";
import { CALL_COLUMNS, sqliteValues, storedCall } from "../usage_row.ts";
import { openExisting } from "./connection.ts";

/** How many calls a copy may hold, judged by the source before and after. */
export interface RowBounds {
  readonly least: number;
  readonly most: number;
}

/** As `copyDatabase`, on its own connection. Throws SQLite's error, also if there is no file. */
export function backUpDatabase(path: string, into: string, openCalls: readonly OpenCall[]): RowBounds {
  const db = openExisting(path);
  try {
    // Another connection's write may hold the lock for milliseconds.
    db.exec("PRAGMA busy_timeout = 5000");
    return copyDatabase(db, into, openCalls);
  } finally {
    db.close();
  }
}

/**
 * Copies one state of a store or a spool into a new file that needs no other file. Calls are
 * recorded meanwhile. A store's copy also gets the calls that are open in the spool: the next start
 * closes them. (SQLite's backup API starts again at each write of another connection, so on a busy
 * proxy it would never end.) Blocks its thread; throws SQLite's error.
 */
export function copyDatabase(db: DatabaseSync, into: string, openCalls: readonly OpenCall[]): RowBounds {
  const table = tableOfCalls(db);
  const before = db.prepare(`SELECT count(*) AS rows, coalesce(max(rowid), 0) AS last FROM ${table}`).get();
  const [rows, last] = [Number(before?.rows), Number(before?.last)];
  db.prepare("VACUUM INTO ?").run(into);
  // New rows get higher rowids, and old ones are deleted. The rows that stayed must be in it.
  const after = db.prepare(`
    SELECT count(*) FILTER (WHERE rowid <= ?) AS kept, coalesce(max(rowid), 0) AS last FROM ${table}
  `).get(last);
  if (table === "usage") addOpenCalls(into, openCalls);
  return { least: Number(after?.kept), most: rows + Math.max(0, Number(after?.last) - last) + openCalls.length };
}

/** As `copyDatabase`, for the spools of all workers: the copy is one spool with all records. */
export function copySpools([first, ...others]: readonly [DatabaseSync, ...DatabaseSync[]], into: string): RowBounds {
  const { least, most } = copyDatabase(first, into, []);
  const added = others.reduce((calls, other) => calls + addSpool(other, into), 0);
  return { least: least + added, most: most + added };
}

/** As `copySpools`, each on its own connection. */
export function backUpSpools(paths: readonly string[], into: string): RowBounds {
  const opened: DatabaseSync[] = [];
  try {
    for (const path of paths) opened.push(openExisting(path));
    for (const db of opened) db.exec("PRAGMA busy_timeout = 5000");
    return copySpools(opened as [DatabaseSync], into);
  } finally {
    for (const db of opened) db.close();
  }
}

/**
 * Adds a spool's records to the copy of another, and returns how many ended calls those are. They
 * count as not shipped: what arrives in a store twice counts once.
 */
function addSpool(db: DatabaseSync, into: string): number {
  db.prepare("ATTACH ? AS copy").run(into);
  try {
    // It takes no write lock on the spool itself: calls are recorded meanwhile.
    db.exec("BEGIN");
    const { changes } = db.prepare(ADD_CLOSED).run();
    db.exec(ADD_OTHERS);
    db.exec("COMMIT");
    return Number(changes);
  } finally {
    if (db.isTransaction) db.exec("ROLLBACK");
    db.exec("DETACH copy");
  }
}

const CLOSED = "trace_id, created_at, opened, revision, closing";

const ADD_CLOSED = `INSERT INTO copy.closed_calls (${CLOSED}) SELECT ${CLOSED} FROM main.closed_calls ORDER BY number`;

const ADD_OTHERS = `
  INSERT INTO copy.open_calls (number, instance_id, trace_id, created_at, opened)
    SELECT number + (SELECT coalesce(max(number), 0) FROM copy.open_calls), instance_id, trace_id, created_at, opened
    FROM main.open_calls;
  INSERT INTO copy.notes (kind, created_at, body) SELECT kind, created_at, body FROM main.notes ORDER BY number;
  INSERT INTO copy.quarantined (${CLOSED}, reason) SELECT ${CLOSED}, reason FROM main.quarantined ORDER BY number;
  INSERT OR IGNORE INTO copy.owned SELECT * FROM main.owned;
  INSERT OR IGNORE INTO copy.refusals SELECT * FROM main.refusals;`;

function addOpenCalls(path: string, calls: readonly OpenCall[]): void {
  const copy = openExisting(path);
  try {
    const insert = copy.prepare(INSERT_OPEN);
    for (const call of calls) insert.run(...sqliteValues(storedCall(call)));
  } finally {
    copy.close();
  }
}

const INSERT_OPEN = `
  INSERT INTO usage (revision, accuracy, ${CALL_COLUMNS.join(", ")})
  VALUES (${REVISION.open}, 'unknown', ${CALL_COLUMNS.map(() => "?").join(", ")})
  ON CONFLICT DO NOTHING`;

/** Counts the calls in the copy. Throws, for an operator, if it cannot be right. */
export function countCopied(path: string, { least, most }: RowBounds): number {
  const rows = reading(path, countRows);
  if (rows < least || rows > most) {
    throw new Error(`The copy has ${rows} calls; the database had ${least === most ? least : `${least} to ${most}`}`);
  }
  return rows;
}

/** Why the backup is not sound, or lacks the schema or rows; null if it is fine. Blocks. */
export function whyNotSound(path: string, rows: number): string | null {
  try {
    return reading(path, (db) => {
      const found = db.prepare("PRAGMA integrity_check").all().map((row) => String(row.integrity_check));
      if (found.length !== 1 || found[0] !== "ok") return found.join("; ");
      const tables = tablesIn(db);
      const missing = ["schema_migrations", tableOfCalls(db)].find((name) => !tables.includes(name));
      if (missing !== undefined) return `it has no table ${missing}`;
      const copied = countRows(db);
      return copied === rows ? null : `it has ${copied} calls of ${rows}`;
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function countRows(db: DatabaseSync): number {
  return Number(db.prepare(`SELECT count(*) AS rows FROM ${tableOfCalls(db)}`).get()?.rows);
}

/** A store's, or a spool's. */
function tableOfCalls(db: DatabaseSync): "usage" | "closed_calls" {
  return tablesIn(db).includes("closed_calls") ? "closed_calls" : "usage";
}

function tablesIn(db: DatabaseSync): readonly unknown[] {
  return db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all().map(({ name }) => name);
}

function reading<T>(path: string, read: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return read(db);
  } finally {
    db.close();
  }
}
