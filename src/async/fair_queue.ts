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

  /** Removes the next one; undefined if none waits. */
  take(): T | undefined {
    if (this.size === 0) return undefined;
    const holders = this.#ranks.get(Math.min(...this.#ranks.keys()))!;
    const [[holder, items]] = holders as unknown as [[string, Set<T>]];
    const [item] = items as unknown as [T];
    this.delete(item);
    // To the end of the round.
    if (holders.delete(holder) && items.size > 0) holders.set(holder, items);
    return item;
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
