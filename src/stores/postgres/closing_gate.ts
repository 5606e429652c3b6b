/** Lets in until it is shut; shutting waits for those who are inside. */
export class ClosingGate {
  readonly #inside = new Set<Promise<unknown>>();
  #isShut = false;

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isShut) throw new Error("The store is closed");
    const working = work();
    this.#inside.add(working);
    try {
      return await working;
    } finally {
      this.#inside.delete(working);
    }
  }

  async shut(): Promise<void> {
    this.#isShut = true;
    await Promise.allSettled(this.#inside);
  }
}
