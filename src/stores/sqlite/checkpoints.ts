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

/**
 * If a reader prevented a restart, this many looks do not take the write lock. The log may grow by
 * some 10 MB between two looks.
 */
const LOOKS_OFF = 3;

/**
 * Keeps the write-ahead log small from this thread, so that no commit of the hot path pays for the
 * fsync. Call the returned function from time to time. If the database is busy or missing, a later
 * call tries again. `busyTimeoutMs` is the connection's own, which is restored after a restart.
 */
export function checkpointsOn(
  db: DatabaseSync,
  { path, busyTimeoutMs }: { readonly path: string; readonly busyTimeoutMs: number },
): () => void {
  let looksOff = 0;

  /** False if other connections prevented it. */
  function restart(mode: "RESTART" | "TRUNCATE"): boolean {
    db.exec(`PRAGMA busy_timeout = ${RESTART_PATIENCE_MS}`);
    try {
      return Number(db.prepare(`PRAGMA wal_checkpoint(${mode})`).get()?.busy) === 0;
    } finally {
      db.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    }
  }

  return () => {
    const bytes = logBytes(path);
    if (bytes < WRITE_BACK_BYTES) return;
    try {
      const written = db.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
      if (Number(written?.log) * PAGE_BYTES < RESTART_BYTES || looksOff-- > 0) return;
      looksOff = restart(bytes < CUT_BYTES ? "RESTART" : "TRUNCATE") ? 0 : LOOKS_OFF;
    } catch {
      return;
    }
  };
}

function logBytes(path: string): number {
  try {
    return Deno.statSync(`${path}-wal`).size;
  } catch {
    return 0;
  }
}
