import { setImmediate } from "node:timers";

/** Shares the event loop with the rest of the process: after so many bytes of work others have their turn. */
export class Turns {
  readonly #bytesATurn: number;
  #bytes = 0;

  constructor(bytesATurn: number) {
    this.#bytesATurn = bytesATurn;
  }

  /** So many bytes have been worked on. A promise, which is to be awaited, where it is time for others. */
  took(bytes: number): Promise<void> | undefined {
    this.#bytes += bytes;
    if (this.#bytes < this.#bytesATurn) return undefined;
    this.#bytes = 0;
    return nextTurn();
  }
}

/** Resolves after whatever else the process has to do at the moment. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
