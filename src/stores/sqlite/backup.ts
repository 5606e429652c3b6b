import { DatabaseSync } from "node:sqlite";
import { openExisting } from "./connection.ts";

/** A write of another connection may hold the lock for milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

/** How many rows of `usage` a copy may hold, by what the source held before and after it was made. */
export interface RowBounds {
  readonly least: number;
  readonly most: number;
}

/**
 * Copies the database of that path, as `copyDatabase` does, on a connection of its own. Throws SQLite's own error, also if no
 * file has that path.
 */
export function backUpDatabase(path: string, into: string): RowBounds {
  const db = openExisting(path);
  try {
    db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    return copyDatabase(db, into);
  } finally {
    db.close();
  }
}

/**
 * Copies the database of that connection, as it stands at one moment, into a new file that needs no other. Calls go on being
 * recorded meanwhile. (SQLite's backup API begins again whenever another connection writes: on a busy proxy it would never end.)
 * Blocks its thread; throws SQLite's own error.
 */
export function copyDatabase(db: DatabaseSync, into: string): RowBounds {
  const before = db.prepare("SELECT count(*) AS rows, coalesce(max(rowid), 0) AS last FROM usage").get();
  const [rows, last] = [Number(before?.rows), Number(before?.last)];
  db.prepare("VACUUM INTO ?").run(into);
  // New rows get higher numbers, and retention deletes rows: what was there before and still is must be in the copy.
  const after = db.prepare("SELECT count(*) FILTER (WHERE rowid <= ?) AS kept, coalesce(max(rowid), 0) AS last FROM usage").get(
    last,
  );
  return { least: Number(after?.kept), most: rows + Math.max(0, Number(after?.last) - last) };
}

/** How many rows of `usage` are in the copy. Throws, in words for an operator, if they cannot be all that should be. */
export function countCopied(path: string, { least, most }: RowBounds): number {
  const rows = reading(path, countRows);
  if (rows < least || rows > most) {
    throw new Error(`The copy has ${rows} calls; the database had ${least === most ? least : `${least} to ${most}`}`);
  }
  return rows;
}

/**
 * What is wrong with the backup in that file, for an operator; null if it is sound and has the schema and that many rows of
 * `usage`. Blocks its thread.
 */
export function whyNotSound(path: string, rows: number): string | null {
  try {
    return reading(path, (db) => {
      const found = db.prepare("PRAGMA integrity_check").all().map((row) => String(row.integrity_check));
      if (found.length !== 1 || found[0] !== "ok") return found.join("; ");
      const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all().map(({ name }) => name);
      const missing = ["schema_migrations", "usage"].find((name) => !tables.includes(name));
      if (missing !== undefined) return `it has no table ${missing}`;
      const copied = countRows(db);
      return copied === rows ? null : `it has ${copied} calls of ${rows}`;
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function countRows(db: DatabaseSync): number {
  return Number(db.prepare("SELECT count(*) AS rows FROM usage").get()?.rows);
}

function reading<T>(path: string, read: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return read(db);
  } finally {
    db.close();
  }
}
