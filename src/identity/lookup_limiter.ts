import { timeLimit, unlessAborted } from "../async/deadline.ts";
import { QueueFull, Semaphore } from "../async/semaphore.ts";

/** Bounds on asking an authority, so that no sandbox can pile up lookups without end. */
export interface LookupLimits {
  readonly atOnce: number;
  readonly waiting: number;
  /** From the moment of asking, the wait for a turn included. */
  readonly timeoutMs: number;
}

/** A waiting lookup costs only its promise. */
export const LOOKUP_LIMITS = { atOnce: 64, waiting: 1024 } as const;

/** The authority was not asked: too many lookups were running already. */
export class NotAsked extends Error {
  override readonly name = "NotAsked";
}

/** The authority was asked and did not answer in time. */
export class TooSlow extends Error {
  override readonly name = "TooSlow";
}

export class LookupLimiter {
  readonly #timeoutMs: number;
  readonly #turns: Semaphore;

  constructor({ atOnce, waiting, timeoutMs }: LookupLimits) {
    this.#timeoutMs = timeoutMs;
    this.#turns = new Semaphore({ max: atOnce, maxWaiting: waiting });
  }

  /**
   * Runs `ask` when its turn comes. Rejects with `NotAsked` if too many lookups wait or no turn
   * came in time, with `TooSlow` if `ask` takes too long, and otherwise as `ask` does. The signal
   * of a slow `ask` is aborted; its turn ends only when it has settled, even if it ignores that.
   */
  async run<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    using limit = timeLimit(this.#timeoutMs, () => new TooSlow("the lookup took too long"));
    const { signal } = limit;
    let isAsked = false;
    const asked = this.#turns.run(() => {
      isAsked = true;
      return ask(signal);
    }, signal);
    try {
      return await unlessAborted(signal, asked);
    } catch (error) {
      if (error instanceof QueueFull) throw new NotAsked("too many lookups wait already");
      if (!isAsked && signal.aborted) throw new NotAsked("no turn for a lookup came in time");
      throw error;
    }
  }
}
