import type { DatabaseSync, StatementSync } from "node:sqlite";

/** How large the journal may become while the shared database is away, and what happens then. */
export interface JournalBound {
  readonly maxBytes: number;
  /** `refuse` new billed calls, or `serve` them without a row. Open rows are closed in either case. */
  readonly onFull: "refuse" | "serve";
}

export interface FullnessOptions {
  readonly journal: JournalBound | null;
  readonly now: () => number;
}

/** Between two looks: so much may come over the bound as is recorded meanwhile. */
const LOOK_MS = 100;

/** How much of the file is in use, measured at most every `LOOK_MS`, and whether that is more than the bound. */
export class Fullness {
  readonly #options: FullnessOptions;
  readonly #pageBytes: number;
  readonly #pages: StatementSync;
  readonly #freePages: StatementSync;
  #usedBytes = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(db: DatabaseSync, options: FullnessOptions) {
    this.#options = options;
    this.#pageBytes = Number(db.prepare("PRAGMA page_size").get()?.page_size);
    this.#pages = db.prepare("PRAGMA page_count");
    this.#freePages = db.prepare("PRAGMA freelist_count");
  }

  usedBytes(): number {
    const now = this.#options.now();
    // A clock that was set back must not stop the looking.
    if (now - this.#lookedAt >= LOOK_MS || now < this.#lookedAt) {
      this.#lookedAt = now;
      const pages = Number(this.#pages.get()?.page_count) - Number(this.#freePages.get()?.freelist_count);
      this.#usedBytes = pages * this.#pageBytes;
    }
    return this.#usedBytes;
  }

  isFull(): boolean {
    const bound = this.#options.journal;
    return bound !== null && this.usedBytes() >= bound.maxBytes;
  }

  /** Why calls are refused, for an operator. */
  words(): string {
    const megabytes = Math.round((this.#options.journal?.maxBytes ?? 0) / 1_048_576);
    return `The journal has reached LLMPROXY_JOURNAL_MAX_MB (${megabytes} MB) of records that the shared database has not taken`;
  }
}
