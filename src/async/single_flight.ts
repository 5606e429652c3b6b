/** Callers that ask for a key while it is being fetched share the fetch. Nothing is cached. */
export class SingleFlight<K, V> {
  readonly #flights = new Map<K, Promise<V>>();

  /** Joins the flight of that key, or starts one. Settles as `start` does. */
  run(key: K, start: () => Promise<V>): Promise<V> {
    const joined = this.#flights.get(key);
    if (joined !== undefined) return joined;
    const flight = start().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }

  /** Flights under way. */
  get size(): number {
    return this.#flights.size;
  }

  /** Resolves when the flights that are under way have settled. Never rejects. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#flights.values());
  }

  has(key: K): boolean {
    return this.#flights.has(key);
  }
}
