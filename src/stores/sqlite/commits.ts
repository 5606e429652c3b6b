import type { DatabaseSync, StatementSync } from "node:sqlite";
import { setImmediate } from "node:timers";
import { isBusy, isOwnFault } from "./errors.ts";

export interface GroupLimits {
  /** The most writes in one transaction. */
  readonly writes: number;
  /** After this time no further write joins the transaction. */
  readonly ms: number;
  /** How long a write waits, in total, for another connection's lock. */
  readonly patienceMs: number;
}

/** A write takes about 20 us, so 8 ms, one more write and the commit stay under 20 ms. */
export const GROUP_LIMITS: GroupLimits = { writes: 256, ms: 8, patienceMs: 5_000 };

/** The write itself is at fault, not the database's state. The others were committed without it. */
export class WriteRefused extends Error {
  constructor(cause: unknown) {
    super(`The database refuses the write: ${cause instanceof Error ? cause.message : cause}`, { cause });
    this.name = "WriteRefused";
  }
}

/**
 * Groups writes into transactions: each turn of the event loop commits what waits. So an idle proxy
 * commits at once, and a busy one pays one commit a turn. The connection must not wait for locks:
 * a wait in SQLite stalls every stream, a wait here only the writes.
 */
export class Commits {
  readonly #db: DatabaseSync;
  readonly #limits: GroupLimits;
  readonly #now: () => number;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #mark: StatementSync;
  readonly #unmark: StatementSync;
  readonly #rollbackToMark: StatementSync;
  #waiting: Write[] = [];
  /** A turn is due. There is never more than one. */
  #isDue = false;
  /** How long the oldest write has waited for a lock. */
  #waitedMs = 0;
  #onIdle: (() => void)[] = [];

  constructor(db: DatabaseSync, options: { readonly limits: GroupLimits; readonly now: () => number }) {
    this.#db = db;
    this.#limits = options.limits;
    this.#now = options.now;
    this.#begin = db.prepare("BEGIN IMMEDIATE");
    this.#commit = db.prepare("COMMIT");
    this.#rollback = db.prepare("ROLLBACK");
    this.#mark = db.prepare("SAVEPOINT write");
    this.#unmark = db.prepare("RELEASE write");
    this.#rollbackToMark = db.prepare("ROLLBACK TO write");
  }

  /**
   * Resolves to the result of `run` when its transaction is committed. Rejects with `WriteRefused`
   * if `run` itself is at fault, otherwise with SQLite's error; then nothing of it is written.
   * `run` may run more than once.
   */
  add<T>(run: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      let result: T;
      this.#waiting.push({ run: () => void (result = run()), done: () => resolve(result), failed: reject });
      this.#turnSoon();
    });
  }

  /** Resolves when nothing waits. */
  idle(): Promise<void> {
    if (this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #turnSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#isDue = false;
    try {
      this.#commitGroup();
      this.#waitedMs = 0;
    } catch (error) {
      if (isBusy(error) && this.#waitedMs < this.#limits.patienceMs) return this.#turnLater();
      // All that wait for a lock give up together. Any other failure concerns only this group.
      const failed = this.#waiting.splice(0, isBusy(error) ? this.#waiting.length : this.#limits.writes);
      this.#waitedMs = 0;
      for (const write of failed) write.failed(error);
    }
    if (this.#waiting.length > 0) return this.#turnSoon();
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #turnLater(): void {
    const delay = Math.min(1 + this.#waitedMs / 4, 50);
    this.#waitedMs += delay;
    this.#isDue = true;
    setTimeout(() => this.#turn(), delay);
  }

  /**
   * If it throws, the writes still wait. A savepoint for each write would cost a fifth more. So the
   * group is first tried without, and again with savepoints if one of its writes is at fault.
   */
  #commitGroup(): void {
    try {
      this.#tryGroup((write) => {
        write.run();
        return null;
      });
    } catch (error) {
      if (!isOwnFault(error)) throw error;
      this.#tryGroup((write) => this.#marked(write));
    }
  }

  /** `attempt` runs one write. It returns why the write was refused, or null. */
  #tryGroup(attempt: (write: Write) => WriteRefused | null): void {
    const refused = new Map<Write, WriteRefused>();
    let taken = 0;
    this.#begin.run();
    try {
      const until = this.#now() + this.#limits.ms;
      for (const write of this.#waiting) {
        if (taken >= this.#limits.writes || (taken > 0 && this.#now() > until)) break;
        taken++;
        const refusal = attempt(write);
        if (refusal !== null) refused.set(write, refusal);
      }
      this.#commit.run();
    } catch (error) {
      if (this.#db.isTransaction) this.#rollback.run();
      throw error;
    }
    for (const write of this.#waiting.splice(0, taken)) {
      const refusal = refused.get(write);
      if (refusal === undefined) write.done();
      else write.failed(refusal);
    }
  }

  #marked(write: Write): WriteRefused | null {
    this.#mark.run();
    try {
      write.run();
    } catch (error) {
      if (!isOwnFault(error)) throw error;
      this.#rollbackToMark.run();
      this.#unmark.run();
      return new WriteRefused(error);
    }
    this.#unmark.run();
    return null;
  }
}

interface Write {
  readonly run: () => void;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}
