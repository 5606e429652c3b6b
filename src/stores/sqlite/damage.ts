import { openConnection } from "./connection.ts";
import { isDamage } from "./errors.ts";

/** The database file cannot be read. */
export class DatabaseDamaged extends Error {
  constructor(path: string, damage: string) {
    super(
      `Cannot use the database ${path}: it is damaged (${damage}). Restore a backup, or save what can be with ` +
        `"sqlite3 ${path} .recover"; if you do not need its records, move it away and start again`,
    );
    this.name = "DatabaseDamaged";
  }
}

/** In a larger file only the schema is read, so that a start does not take minutes. */
const MAX_CHECKED_BYTES = 1_073_741_824;

/** SQLite's words; null if the file is sound, empty or missing. Throws if it cannot be opened. */
export function damageOf(path: string): string | null {
  const bytes = fileBytes(path);
  if (bytes === 0) return null;
  try {
    const db = openConnection(path, { synchronous: "normal", busyTimeoutMs: 5_000, autoCheckpointPages: 0, cacheKib: 2_000 });
    try {
      const check = bytes > MAX_CHECKED_BYTES
        ? "SELECT 'ok' AS quick_check FROM (SELECT count(*) FROM sqlite_schema)"
        : QUICK_CHECK;
      const found = String(db.prepare(check).get()?.quick_check);
      return found === "ok" ? null : found;
    } finally {
      db.close();
    }
  } catch (error) {
    if (isDamage(error)) return (error as Error).message;
    throw error;
  }
}

/** Renames a database together with its log. Returns the new path. */
export function moveAside(path: string, now: number): string {
  const aside = `${path}.damaged-${new Date(now).toISOString().replaceAll(":", "")}`;
  for (const suffix of ["", "-wal", "-shm"]) {
    try {
      Deno.renameSync(path + suffix, aside + suffix);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return aside;
}

/** As a table-valued function it would take the 1 for the name of a table. */
const QUICK_CHECK = "PRAGMA quick_check(1)";

/** 0 for a missing file. */
export function fileBytes(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
