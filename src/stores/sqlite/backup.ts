import { DatabaseSync } from "node:sqlite";

/** A write of another connection may hold the lock for milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

/**
 * Copies the database of that path, as it stands at one moment, into a new file that needs no other. Calls go on being recorded
 * meanwhile. (SQLite's backup API begins anew whenever another connection writes: on a busy proxy it would never end.)
 * Blocks its thread; throws SQLite's own error.
 */
export function backUpDatabase(path: string, into: string): void {
  const db = new DatabaseSync(path);
  try {
    db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    db.prepare("VACUUM INTO ?").run(into);
  } finally {
    db.close();
  }
}

/** What is wrong with the database in that file, in SQLite's words; null where it is sound. Blocks its thread. */
export function whyNotSound(path: string): string | null {
  try {
    const db = new DatabaseSync(path, { readOnly: true });
    try {
      const found = db.prepare("PRAGMA integrity_check").all().map((row) => String(row.integrity_check));
      return found.length === 1 && found[0] === "ok" ? null : found.join("; ");
    } finally {
      db.close();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
