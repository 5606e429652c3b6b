import { openConnection } from "./connection.ts";

/** The database file cannot be read as what it should be. */
export class DatabaseDamaged extends Error {
  constructor(path: string, damage: string) {
    super(
      `Cannot use the database ${path}: it is damaged (${damage}). Restore a backup, or save what can be with ` +
        `"sqlite3 ${path} .recover"; where its records can be spared, move it away and start anew`,
    );
    this.name = "DatabaseDamaged";
  }
}

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

/** A larger file is looked at from outside only, so that a start does not take minutes. */
const MAX_CHECKED_BYTES = 1_073_741_824;

/** What is wrong with the database, in SQLite's words; null where it is sound, empty or not there. Throws where it cannot be opened. */
export function damageOf(path: string): string | null {
  const bytes = bytesOf(path);
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

/** Whether SQLite says that the file is not what it should be. */
export function isDamage(error: unknown): boolean {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return false;
  return [CORRUPT, NOT_A_DATABASE].includes(error.errcode & 0xff);
}

/** Moves a database out of the way, with what belongs to it. Gives back its new path. */
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

/** As a table-valued function it would take the 1 for a table's name. */
const QUICK_CHECK = "PRAGMA quick_check(1)";

function bytesOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
