import type { DatabaseSync } from "node:sqlite";

/** From this size of the write-ahead log its pages are written into the database, while the ledger goes on committing. */
const WRITE_BACK_BYTES = 4 * 1024 * 1024;

/**
 * From this size the log is begun anew, for which the ledger's commits wait: what is left to write by then is little.
 * The file keeps its size, because writing over it is cheaper than growing it again.
 */
const RESTART_BYTES = 32 * 1024 * 1024;

/** A log that outgrew this while a reader held it is cut to nothing. */
const CUT_BYTES = 192 * 1024 * 1024;

/** SQLite's default, which the migrations do not change. */
const PAGE_BYTES = 4_096;

/** How long a restart waits for the write lock, and then, holding it, for other readers. */
const RESTART_PATIENCE_MS = 250;

/** After a restart that a reader prevented, so many looks leave the write lock alone. */
const LOOKS_OFF = 20;

/**
 * Keeps the write-ahead log small from this connection's thread, so that no commit of the hot path pays for the fsync.
 * Quiet where the database is busy or away: a later look tries again.
 */
export class Checkpoints {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #busyTimeoutMs: number;
  #looksOff = 0;

  /** `busyTimeoutMs` is the connection's own, which is put back after a restart. */
  constructor(db: DatabaseSync, options: { readonly path: string; readonly busyTimeoutMs: number }) {
    this.#db = db;
    this.#path = options.path;
    this.#busyTimeoutMs = options.busyTimeoutMs;
  }

  look(): void {
    const bytes = logBytes(this.#path);
    if (bytes < WRITE_BACK_BYTES) return;
    try {
      const written = this.#db.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
      if (Number(written?.log) * PAGE_BYTES < RESTART_BYTES || this.#looksOff-- > 0) return;
      this.#looksOff = this.#restart(bytes < CUT_BYTES ? "RESTART" : "TRUNCATE") ? 0 : LOOKS_OFF;
    } catch {
      return;
    }
  }

  /** False where others prevented it. */
  #restart(mode: "RESTART" | "TRUNCATE"): boolean {
    this.#db.exec(`PRAGMA busy_timeout = ${RESTART_PATIENCE_MS}`);
    try {
      return Number(this.#db.prepare(`PRAGMA wal_checkpoint(${mode})`).get()?.busy) === 0;
    } finally {
      this.#db.exec(`PRAGMA busy_timeout = ${this.#busyTimeoutMs}`);
    }
  }
}

function logBytes(path: string): number {
  try {
    return Deno.statSync(`${path}-wal`).size;
  } catch {
    return 0;
  }
}
