import type { DatabaseSync } from "node:sqlite";
import { setImmediate } from "node:timers";
import { isBusy, isOwnFault } from "../errors.ts";

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

export interface Commits {
  /**
   * Resolves to the result of `run` when its transaction is committed. Rejects with `WriteRefused`
   * if `run` itself is at fault, otherwise with SQLite's error; then nothing of it is written.
   * `run` may run more than once.
   */
  readonly add: <T>(run: () => T) => Promise<T>;
  /** Resolves when nothing waits. */
  readonly idle: () => Promise<void>;
}

/**
 * Groups writes into transactions: each turn of the event loop commits what waits. So an idle proxy
 * commits at once, and a busy one pays one commit a turn. The connection must not wait for locks:
 * a wait in SQLite stalls every stream, a wait here only the writes.
 */
export function commitsOn(
  db: DatabaseSync,
  { limits, now, onCommit }: {
    readonly limits: GroupLimits;
    readonly now: () => number;
    readonly onCommit: () => void;
  },
): Commits {
  const [begin, commit, rollback] = [db.prepare("BEGIN IMMEDIATE"), db.prepare("COMMIT"), db.prepare("ROLLBACK")];
  const [mark, unmark] = [db.prepare("SAVEPOINT write"), db.prepare("RELEASE write")];
  const rollbackToMark = db.prepare("ROLLBACK TO write");
  const waiting: Write[] = [];
  const onIdle: (() => void)[] = [];
  /** A turn is due. There is never more than one. */
  let isDue = false;
  /** How long the oldest write has waited for a lock. */
  let waitedMs = 0;

  function turnSoon(): void {
    if (isDue) return;
    isDue = true;
    setImmediate(() => turn());
  }

  function turn(): void {
    isDue = false;
    try {
      commitGroup();
      waitedMs = 0;
    } catch (error) {
      if (isBusy(error) && waitedMs < limits.patienceMs) return turnLater();
      // All that wait for a lock give up together. Any other failure concerns only this group.
      const failed = waiting.splice(0, isBusy(error) ? waiting.length : limits.writes);
      waitedMs = 0;
      for (const write of failed) write.failed(error);
    }
    if (waiting.length > 0) return turnSoon();
    for (const resolve of onIdle.splice(0)) resolve();
  }

  function turnLater(): void {
    const delay = Math.min(1 + waitedMs / 4, 50);
    waitedMs += delay;
    isDue = true;
    setTimeout(() => turn(), delay);
  }

  /**
   * If it throws, the writes still wait. A savepoint for each write would cost a fifth more. So the
   * group is first tried without, and again with savepoints if one of its writes is at fault.
   */
  function commitGroup(): void {
    try {
      tryGroup((write) => {
        write.run();
        return null;
      });
    } catch (error) {
      if (!isOwnFault(error)) throw error;
      tryGroup((write) => marked(write));
    }
  }

  /** `attempt` runs one write. It returns why the write was refused, or null. */
  function tryGroup(attempt: (write: Write) => WriteRefused | null): void {
    const refused = new Map<Write, WriteRefused>();
    let taken = 0;
    begin.run();
    try {
      const until = now() + limits.ms;
      for (const write of waiting) {
        if (taken >= limits.writes || (taken > 0 && now() > until)) break;
        taken++;
        const refusal = attempt(write);
        if (refusal !== null) refused.set(write, refusal);
      }
      commit.run();
    } catch (error) {
      if (db.isTransaction) rollback.run();
      throw error;
    }
    onCommit();
    for (const write of waiting.splice(0, taken)) {
      const refusal = refused.get(write);
      if (refusal === undefined) write.done();
      else write.failed(refusal);
    }
  }

  function marked(write: Write): WriteRefused | null {
    mark.run();
    try {
      write.run();
    } catch (error) {
      if (!isOwnFault(error)) throw error;
      rollbackToMark.run();
      unmark.run();
      return new WriteRefused(error);
    }
    unmark.run();
    return null;
  }

  return {
    add<T>(run: () => T): Promise<T> {
      return new Promise((resolve, reject) => {
        let result: T;
        waiting.push({ run: () => void (result = run()), done: () => resolve(result), failed: reject });
        turnSoon();
      });
    },
    idle: () => waiting.length === 0 ? Promise.resolve() : new Promise((resolve) => onIdle.push(resolve)),
  };
}

interface Write {
  readonly run: () => void;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}
