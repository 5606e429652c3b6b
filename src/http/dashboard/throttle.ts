import { LRUCache } from "lru-cache";

/** Failed attempts in a window, from one address and from all together. */
export const MOST_FAILURES = 5;
const MOST_FAILURES_OF_ALL = 100;
const WINDOW_MS = 60_000;
const MOST_ADDRESSES = 10_000;
const ALL = "";

interface Window {
  readonly endsAt: number;
  readonly failures: number;
}

/** Slows down those who guess tokens. */
export class SignInThrottle {
  readonly #now: () => number;
  readonly #windows = new LRUCache<string, Window>({ max: MOST_ADDRESSES });

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Seconds until the address may try again; 0: it may. */
  secondsFor(address: string | null): number {
    const ends = [this.#closedUntil(address ?? "-", MOST_FAILURES), this.#closedUntil(ALL, MOST_FAILURES_OF_ALL)];
    return Math.ceil(Math.max(0, ...ends.map((end) => end - this.#now())) / 1_000);
  }

  failed(address: string | null): void {
    for (const key of [address ?? "-", ALL]) {
      const { endsAt, failures } = this.#windowOf(key);
      this.#windows.set(key, { endsAt, failures: failures + 1 });
    }
  }

  #closedUntil(key: string, most: number): number {
    const { endsAt, failures } = this.#windowOf(key);
    return failures >= most ? endsAt : 0;
  }

  #windowOf(key: string): Window {
    const now = this.#now();
    const window = this.#windows.get(key);
    return window === undefined || window.endsAt <= now ? { endsAt: now + WINDOW_MS, failures: 0 } : window;
  }
}
