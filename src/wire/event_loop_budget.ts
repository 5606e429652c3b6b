/**
 * Bytes, of all bodies together, in one turn of the event loop: at most ten ms. What takes less a
 * byte counts less, because each turn costs a body at least one ms.
 */
const BYTES_A_TURN = 256 * 1024;

/**
 * Shares the event loop between looking at bodies and all other work. There is one loop, so there
 * is one budget: bounds for each body would add up if many come at once.
 */
export class EventLoopBudget {
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = [];
  #bytes = 0;
  #isNextDue = false;

  /**
   * Call it before looking at so many bytes. If it returns a promise, others come first: await it.
   * It makes one timer for each `BYTES_A_TURN`, and whatever comes in a later turn never waits.
   */
  enter(bytes: number): Promise<void> | undefined {
    if (!this.#isNextDue) {
      this.#bytes += bytes;
      if (this.#bytes >= BYTES_A_TURN) this.#awaitNext();
      return undefined;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ bytes, go: resolve });
    return promise;
  }

  #awaitNext(): void {
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
    this.#awaitNext();
  }
}

export const EVENT_LOOP_BUDGET = new EventLoopBudget();

/**
 * Resolves after all other work that is due now. By a timer: a loop that always has a
 * `setImmediate` due looks at its sockets only once in some sixty turns (Deno 2.9.6; a request
 * waited 300 ms beside turns of 5 ms).
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
