import type { Migrated } from "../migrations.ts";
import { openConnection } from "./connection.ts";
import { fileBytes } from "./damage.ts";
import { migrateSqlite } from "./migrate.ts";
import { Rows } from "./rows.ts";

export interface Upgraded {
  readonly migrated: Migrated;
  /** Calls that an earlier version left open; they are closed as `unknown`. */
  readonly swept: number;
  /** Rows that an earlier version recorded for a shared database; they are in the totals now. */
  readonly counted: number;
}

/**
 * Makes the embedded database ready, before anything else opens it. `spoolPath`: a migrated spool,
 * which takes the copies of tokens that earlier versions kept in the database. `isStore`: it gets
 * the rows; otherwise it is handed over. Throws `SchemaTooNew` or SQLite's error; then the next
 * start continues.
 */
export function upgradeDatabase(
  path: string,
  { spoolPath, isStore }: { readonly spoolPath: string; readonly isStore: boolean },
): Upgraded {
  takeTokenCopies(path, spoolPath);
  const migrated = migrateSqlite(path);
  const db = openConnection(path, { synchronous: "full", busyTimeoutMs: 5_000, autoCheckpointPages: 1_000, cacheKib: 8_000 });
  try {
    // What it gets from now on is to be handed over later.
    if (isStore) db.exec("DELETE FROM handed_over");
    return { migrated, ...new Rows(db).settle(isStore) };
  } finally {
    db.close();
  }
}

/** A token works on while the shared database is down, even across the upgrade. */
function takeTokenCopies(path: string, spoolPath: string): void {
  // ATTACH would make a missing database, with rights for all users.
  if (fileBytes(path) === 0) return;
  const db = openConnection(spoolPath, {
    synchronous: "full",
    busyTimeoutMs: 5_000,
    autoCheckpointPages: 1_000,
    cacheKib: 2_000,
  });
  try {
    db.prepare("ATTACH ? AS earlier").run(path);
    const table = db.prepare("SELECT 1 FROM earlier.sqlite_schema WHERE name = 'token_copies'").get();
    if (table !== undefined) db.exec("INSERT OR IGNORE INTO main.token_copies SELECT * FROM earlier.token_copies");
  } finally {
    db.close();
  }
}
