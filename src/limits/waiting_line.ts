/**
 * Those who wait, by holder. Holders take turns, and of one holder the oldest is next: a busy one
 * does not keep the others waiting.
 */
export class WaitingLine<T> {
  /** The holder whose turn is next comes first. */
  readonly #byHolder = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  waitingOf(holder: string): number {
    return this.#byHolder.get(holder)?.length ?? 0;
  }

  join(holder: string, item: T): void {
    const line = this.#byHolder.get(holder);
    if (line === undefined) this.#byHolder.set(holder, [item]);
    else line.push(item);
    this.#size++;
  }

  /** The next of each holder, in the order of their turns. */
  heads(): readonly T[] {
    return [...this.#byHolder.values()].map(([head]) => head!);
  }

  all(): readonly T[] {
    return [...this.#byHolder.values()].flat();
  }

  /**
   * Removes it, if it is there. If it had its turn, its holder's next turn comes after all others.
   */
  leave(holder: string, item: T, { hadTurn = false } = {}): void {
    const line = this.#byHolder.get(holder) ?? [];
    const at = line.indexOf(item);
    if (at < 0) return;
    line.splice(at, 1);
    this.#size--;
    if (hadTurn || line.length === 0) this.#byHolder.delete(holder);
    if (hadTurn && line.length > 0) this.#byHolder.set(holder, line);
  }
}
