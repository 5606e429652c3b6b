import { unlessAborted } from "./deadline.ts";

export interface SemaphoreLimits {
  /** Works that run at a time. */
  readonly max: number;
  /** Works that may wait for their turn; without it, any number. */
  readonly maxWaiting?: number;
}

/** More works wait already than the semaphore allows. */
export class QueueFull extends Error {
  override readonly name = "QueueFull";
}

const NEVER = new AbortController().signal;

/** Lets a bounded number of works run at a time; the one that has waited longest is next. */
export class Semaphore {
  readonly #limits: SemaphoreLimits;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(limits: SemaphoreLimits) {
    this.#limits = limits;
  }

  /**
   * Runs the work when its turn comes; the next work starts when this one has settled. Rejects with
   * `QueueFull`, or with the signal's reason if it aborts before the turn; otherwise as the work
   * does.
   */
  async run<T>(work: () => Promise<T>, signal: AbortSignal = NEVER): Promise<T> {
    await this.#turn(signal);
    try {
      return await work();
    } finally {
      this.#pass();
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    if (this.#running < this.#limits.max) {
      this.#running++;
      return;
    }
    if (this.#waiting.size >= (this.#limits.maxWaiting ?? Number.POSITIVE_INFINITY)) throw new QueueFull("Too many wait already");
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    // At the abort itself: a turn must not pass to a work that has left.
    const leave = () => void this.#waiting.delete(resolve);
    signal.addEventListener("abort", leave, { once: true });
    try {
      await unlessAborted(signal, promise);
    } finally {
      this.#waiting.delete(resolve);
      signal.removeEventListener("abort", leave);
    }
  }

  #pass(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running--;
    } else {
      this.#waiting.delete(next);
      next();
    }
  }
}
