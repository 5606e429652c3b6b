import { DatabaseSync, type StatementSync } from "node:sqlite";
import { pathToFileURL } from "node:url";

/** `normal` survives the death of the process, `full` the loss of power too (https://sqlite.org/pragma.html#pragma_synchronous). */
export type Synchronous = "normal" | "full";

export interface ConnectionOptions {
  readonly synchronous: Synchronous;
  /** How long a statement blocks the thread while another connection holds the lock. */
  readonly busyTimeoutMs: number;
  /** Pages of the write-ahead log after which a commit of this connection writes them into the database; 0: never. */
  readonly autoCheckpointPages: number;
  /** Pages kept in memory, in KiB. */
  readonly cacheKib: number;
}

/** While a connection is made, another one may be recovering the log of a crash; this wait happens before anything is served. */
const OPENING_PATIENCE_MS = 5_000;

const PRAGMA_OF = { normal: "NORMAL", full: "FULL" } as const satisfies Record<Synchronous, string>;

/** Opens the database in WAL mode. Throws SQLite's own error, also if there is no file: only `migrateSqlite` makes one. */
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
 * A database that is there. SQLite makes an empty one if a file is missing, which nobody would notice; by URI it does not
 * (https://sqlite.org/uri.html). Throws SQLite's own error.
 */
export function openExisting(path: string): DatabaseSync {
  const url = pathToFileURL(path);
  url.search = "?mode=rw";
  return new DatabaseSync(url);
}

/** A statement whose integers come as bigints, as `readings.ts` reads them. */
export function readingBigInts(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  return statement;
}

/** Runs `work` in one transaction that takes the write lock first. Rolls back where it throws. */
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

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
const BUSY = 5;
const TOO_BIG = 18;
const CONSTRAINT = 19;
const MISMATCH = 20;
const RANGE = 25;

/** Another connection holds the lock: trying again helps. */
export function isBusy(error: unknown): boolean {
  return primaryCode(error) === BUSY;
}

/** The statement itself is refused, whatever the state of the database: trying again never helps, and nothing else is hurt. */
export function isOwnFault(error: unknown): boolean {
  const code = primaryCode(error);
  if (code === null) return true;
  return code === CONSTRAINT || code === MISMATCH || code === TOO_BIG || code === RANGE;
}

/** Null where the error is not SQLite's. Statements carry the code; `DatabaseSync.exec` does not. */
function primaryCode(error: unknown): number | null {
  if (!(error instanceof Error) || !("code" in error) || error.code !== "ERR_SQLITE_ERROR") return null;
  return "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : 0;
}
