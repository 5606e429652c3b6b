import { DatabaseSync, type StatementSync } from "node:sqlite";
import { pathToFileURL } from "node:url";

/**
 * `normal` survives the death of the process, `full` also a power failure
 * (https://sqlite.org/pragma.html#pragma_synchronous).
 */
export type Synchronous = "normal" | "full";

export interface ConnectionOptions {
  readonly synchronous: Synchronous;
  /** How long a statement blocks the thread while another connection holds the lock. */
  readonly busyTimeoutMs: number;
  /** Pages of the write-ahead log after which a commit writes them into the database; 0: never. */
  readonly autoCheckpointPages: number;
  /** Pages kept in memory, in KiB. */
  readonly cacheKib: number;
}

/** Another connection may be recovering the log after a crash. Nothing is served yet. */
const OPENING_PATIENCE_MS = 5_000;

const PRAGMA_OF = { normal: "NORMAL", full: "FULL" } as const satisfies Record<Synchronous, string>;

/** Opens the database in WAL mode. Throws SQLite's error, also if there is no file. */
export function openConnection(path: string, options: ConnectionOptions): DatabaseSync {
  const db = openExisting(path);
  try {
    db.exec(`PRAGMA busy_timeout = ${OPENING_PATIENCE_MS}`);
    const mode = db.prepare("PRAGMA journal_mode = WAL").get()?.journal_mode;
    if (mode !== "wal") throw new Error(`Cannot open the database ${path}: it stays in journal mode "${mode}" instead of "wal"`);
    db.exec(`
      PRAGMA synchronous = ${PRAGMA_OF[options.synchronous]};
      PRAGMA wal_autocheckpoint = ${options.autoCheckpointPages};
      PRAGMA cache_size = -${options.cacheKib};
      PRAGMA temp_store = MEMORY;
      PRAGMA busy_timeout = ${options.busyTimeoutMs};
    `);
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}

/**
 * Opens a database that exists. By path, SQLite would silently make an empty one for a missing
 * file; by URI it does not (https://sqlite.org/uri.html). Throws SQLite's error.
 */
export function openExisting(path: string): DatabaseSync {
  const url = pathToFileURL(path);
  url.search = "?mode=rw";
  return new DatabaseSync(url);
}

/** A statement that returns integers as bigints, which `row_decoders.ts` expects. */
export function readingBigInts(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  return statement;
}

/** Runs `work` in one transaction that takes the write lock first. Rolls back if it throws. */
export function inTransaction<T>(db: DatabaseSync, work: () => T): T {
  db.prepare("BEGIN IMMEDIATE").run();
  try {
    const result = work();
    db.prepare("COMMIT").run();
    return result;
  } catch (error) {
    if (db.isTransaction) db.prepare("ROLLBACK").run();
    throw error;
  }
}
