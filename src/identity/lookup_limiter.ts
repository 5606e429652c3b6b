/** How many look-ups of an authority run and wait at once, so that no sandbox can pile them up without end. */
export interface LookUpLimits {
  readonly atOnce: number;
  readonly waiting: number;
  /** From the moment of asking, the wait for a turn included. */
  readonly timeoutMs: number;
}

/** As many as DESIGN allows at once; the waiting ones cost only their promise. */
export const LOOK_UP_LIMITS = { atOnce: 64, waiting: 1024 } as const;

/** Runs look-ups within `LookUpLimits`. */
export class LookupLimiter {
  readonly #limits: LookUpLimits;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(limits: LookUpLimits) {
    this.#limits = limits;
  }

  /**
   * Runs `ask` when its turn comes. Rejects with `NotAsked` where too many wait already or no turn came in time, with
   * `TooSlow` where `ask` took too long (its signal is aborted then), else as `ask` does. A turn is given back when
   * `ask` has settled, so that one which ignores its signal still counts.
   */
  async run<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#waiting.size >= this.#limits.waiting) throw new NotAsked("too many look-ups wait already");
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(new TooSlow("the look-up took too long")), this.#limits.timeoutMs);
    try {
      await this.#turn(deadline.signal);
      return await beforeAbort(this.#asked(ask, deadline.signal), deadline.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  async #asked<T>(ask: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await ask(signal);
    } finally {
      this.#giveBack();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    if (this.#running < this.#limits.atOnce) {
      this.#running++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const begin = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.delete(begin);
        reject(new NotAsked("no turn for a look-up came in time"));
      };
      this.#waiting.add(begin);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  /** Hands the turn to whoever has waited longest. */
  #giveBack(): void {
    for (const begin of this.#waiting) {
      this.#waiting.delete(begin);
      begin();
      return;
    }
    this.#running--;
  }
}

/** The authority was not asked: too much was being asked already. */
export class NotAsked extends Error {
  override readonly name = "NotAsked";
}

/** The authority was asked, and had not answered in time. */
export class TooSlow extends Error {
  override readonly name = "TooSlow";
}

function beforeAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    work.then(resolve, reject);
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
