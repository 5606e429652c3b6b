/** Who waits: lower ranks go first, and within a rank the holders take turns. */
export interface Place {
  readonly rank: number;
  readonly holder: string;
}

/** Things that wait for a turn. A holder with many of them delays no other holder of its rank. */
export class FairQueue<T> {
  readonly #ranks = new Map<number, Map<string, Set<T>>>();
  readonly #places = new Map<T, Place>();

  get size(): number {
    return this.#places.size;
  }

  add(item: T, place: Place): void {
    const holders = this.#ranks.get(place.rank) ?? new Map<string, Set<T>>();
    const items = holders.get(place.holder) ?? new Set<T>();
    this.#ranks.set(place.rank, holders.set(place.holder, items.add(item)));
    this.#places.set(item, place);
  }

  items(): readonly T[] {
    return [...this.#places.keys()];
  }

  countOf(holder: string): number {
    return this.#ranks.values().reduce((count, holders) => count + (holders.get(holder)?.size ?? 0), 0);
  }

  /** The next one of each holder, in the order of their turns. */
  heads(): readonly T[] {
    const ranks = [...this.#ranks].toSorted(([a], [b]) => a - b);
    return ranks.flatMap(([, holders]) => [...holders.values()].map((items) => items.values().next().value as T));
  }

  /** Removes the next one; undefined if none waits. */
  take(): T | undefined {
    const [next] = this.heads();
    if (this.size > 0) this.hadTurn(next!);
    return next;
  }

  /** Removes it, if it waits. Its holder's next turn comes after all others. */
  hadTurn(item: T): void {
    const place = this.#places.get(item);
    if (place === undefined) return;
    const holders = this.#ranks.get(place.rank)!;
    const items = holders.get(place.holder)!;
    this.delete(item);
    // To the end of the round.
    if (holders.delete(place.holder)) holders.set(place.holder, items);
  }

  /** Removes it, if it waits. */
  delete(item: T): void {
    const place = this.#places.get(item);
    if (place === undefined) return;
    this.#places.delete(item);
    const holders = this.#ranks.get(place.rank)!;
    const items = holders.get(place.holder)!;
    items.delete(item);
    if (items.size === 0) holders.delete(place.holder);
    if (holders.size === 0) this.#ranks.delete(place.rank);
  }
}
