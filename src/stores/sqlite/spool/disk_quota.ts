import type { DatabaseSync, StatementSync } from "node:sqlite";

/** How large the spool may become while the shared database is down, and what happens then. */
export interface SpoolBound {
  readonly maxBytes: number;
  /** `refuse` new billed calls, or `serve` them without a row. Open rows are closed either way. */
  readonly onFull: "refuse" | "serve";
}

export interface DiskQuotaOptions {
  readonly spool: SpoolBound | null;
  /** Bytes left on the database's volume; null if the system does not tell. */
  readonly freeBytes: () => number | null;
  readonly now: () => number;
}

/** Between two measurements. What is recorded meanwhile may exceed the bound. */
const LOOK_MS = 100;

/**
 * Space on the volume that new calls leave free: for closing open rows, for noting what was
 * shipped, and for checkpoints. A spool that had filled its disk could not even be emptied.
 */
const RESERVE_BYTES = 64 * 1024 * 1024;

/** How much of the file is used and how much may be, measured at most every `LOOK_MS`. */
export class DiskQuota {
  readonly #options: DiskQuotaOptions;
  readonly #pageBytes: number;
  readonly #pages: StatementSync;
  readonly #freePages: StatementSync;
  #usedBytes = 0;
  /** What the volume allows the file to use. */
  #roomBytes = Number.POSITIVE_INFINITY;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #hasEnded = false;

  constructor(db: DatabaseSync, options: DiskQuotaOptions) {
    this.#options = options;
    this.#pageBytes = Number(db.prepare("PRAGMA page_size").get()?.page_size);
    this.#pages = db.prepare("PRAGMA page_count");
    this.#freePages = db.prepare("PRAGMA freelist_count");
  }

  usedBytes(): number {
    this.#look();
    return this.#usedBytes;
  }

  /** How much may be used; infinite without a bound. */
  boundBytes(): number {
    this.#look();
    return Math.min(this.#options.spool?.maxBytes ?? Number.POSITIVE_INFINITY, this.#roomBytes);
  }

  isFull(): boolean {
    return this.usedBytes() >= this.boundBytes();
  }

  /** Call it before closing the connection. The last measurement stays. */
  end(): void {
    this.#hasEnded = true;
  }

  /** Why calls are refused, for an operator. */
  words(): string {
    const { spool } = this.#options;
    if (spool === null || this.#roomBytes < spool.maxBytes) {
      return `The volume of the database has less than ${megabytes(RESERVE_BYTES)} left, which new calls may not use`;
    }
    return `The spool has reached LLMPROXY_SPOOL_MAX_MB (${
      megabytes(spool.maxBytes)
    }) of records that the shared database has not taken`;
  }

  #look(): void {
    if (this.#hasEnded) return;
    const now = this.#options.now();
    // A clock that was set back must not stop the measurements.
    if (now - this.#lookedAt < LOOK_MS && now >= this.#lookedAt) return;
    this.#lookedAt = now;
    const pages = Number(this.#pages.get()?.page_count);
    this.#usedBytes = (pages - Number(this.#freePages.get()?.freelist_count)) * this.#pageBytes;
    const free = this.#options.freeBytes();
    this.#roomBytes = free === null ? Number.POSITIVE_INFINITY : pages * this.#pageBytes + free - RESERVE_BYTES;
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MB`;
}
