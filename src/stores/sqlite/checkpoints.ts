import type { DatabaseSync } from "node:sqlite";

/** From this size on, the log is written into the database while the ledger keeps committing. */
const WRITE_BACK_BYTES = 4 * 1024 * 1024;

/**
 * From this size on, the log is restarted. The ledger's commits wait for that, but little is left
 * to write by then. The file keeps its size, because overwriting is cheaper than growing.
 */
const RESTART_BYTES = 32 * 1024 * 1024;

/** A log that a reader held and that grew past this is truncated. */
const CUT_BYTES = 192 * 1024 * 1024;

/** SQLite's default, which the migrations do not change. */
const PAGE_BYTES = 4_096;

/** How long a restart waits for the write lock, and then, holding it, for other readers. */
const RESTART_PATIENCE_MS = 250;

/** If a reader prevented a restart, this many looks do not take the write lock. */
const LOOKS_OFF = 20;

/**
 * Keeps the write-ahead log small from this thread, so that no commit of the hot path pays for the
 * fsync. If the database is busy or missing, a later look tries again.
 */
export class Checkpoints {
  readonly #db: DatabaseSync;
  readonly #options: { readonly path: string; readonly busyTimeoutMs: number };
  #looksOff = 0;

  /** `busyTimeoutMs` is the connection's own, which is restored after a restart. */
  constructor(db: DatabaseSync, options: { readonly path: string; readonly busyTimeoutMs: number }) {
    this.#db = db;
    this.#options = options;
  }

  look(): void {
    const bytes = logBytes(this.#options.path);
    if (bytes < WRITE_BACK_BYTES) return;
    try {
      const written = this.#db.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
      if (Number(written?.log) * PAGE_BYTES < RESTART_BYTES || this.#looksOff-- > 0) return;
      this.#looksOff = this.#restart(bytes < CUT_BYTES ? "RESTART" : "TRUNCATE") ? 0 : LOOKS_OFF;
    } catch {
      return;
    }
  }

  /** False if other connections prevented it. */
  #restart(mode: "RESTART" | "TRUNCATE"): boolean {
    this.#db.exec(`PRAGMA busy_timeout = ${RESTART_PATIENCE_MS}`);
    try {
      return Number(this.#db.prepare(`PRAGMA wal_checkpoint(${mode})`).get()?.busy) === 0;
    } finally {
      this.#db.exec(`PRAGMA busy_timeout = ${this.#options.busyTimeoutMs}`);
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
