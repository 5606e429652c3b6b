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
