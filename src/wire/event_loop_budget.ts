/** Bytes of all bodies together that are looked at in one turn of the event loop: one to ten milliseconds, by what is in them. */
const BYTES_A_TURN = 256 * 1024;

/**
 * Shares the event loop between the bodies that are looked at and everything else. There is one loop, so there is one of these:
 * a bound for each body would add up where many come at once.
 */
export class EventLoopBudget {
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = [];
  #bytes = 0;
  #isNextDue = false;

  /** So many bytes are about to be looked at. A promise, which is to be awaited before, where others come first. */
  enter(bytes: number): Promise<void> | undefined {
    if (!this.#isNextDue && this.#bytes < BYTES_A_TURN) {
      this.#bytes += bytes;
      return undefined;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ bytes, go: resolve });
    this.#awaitNext();
    return promise;
  }

  #awaitNext(): void {
    if (this.#isNextDue) return;
    this.#isNextDue = true;
    nextTurn().then(() => this.#begin());
  }

  #begin(): void {
    this.#bytes = 0;
    this.#isNextDue = false;
    while (this.#bytes < BYTES_A_TURN) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#bytes += next.bytes;
      next.go();
    }
    if (this.#waiting.length > 0) this.#awaitNext();
  }
}

export const EVENT_LOOP_BUDGET = new EventLoopBudget();

/**
 * Resolves after whatever else the process has to do at the moment. By a timer: a loop that always has a `setImmediate` due looks
 * at its sockets once in some sixty turns only (Deno 2.9.6; a request waited 300 ms beside turns of 5 ms).
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
