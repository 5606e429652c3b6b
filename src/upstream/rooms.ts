/** A share is shown for so long: limits of the upstream fill up again within a minute. */
export const SHOWN_MS = 60_000;

interface Room {
  /** Of the limit, from 0 to 1. */
  readonly share: number;
  readonly seenAt: number;
}

/** How much of each of the upstream's limits was left, the least of the last minute. */
export class Rooms {
  readonly #elapsed: () => number;
  /** By credential and kind of limit. Both are few. */
  readonly #rooms = new Map<string, Map<string, Room>>();

  /** `elapsed`: milliseconds of a clock that never goes back. */
  constructor(elapsed: () => number) {
    this.#elapsed = elapsed;
  }

  /** What one answer said, by kind of limit. */
  saw(credentialId: string, shares: Readonly<Record<string, number>>): void {
    const seenAt = this.#elapsed();
    for (const [kind, share] of Object.entries(shares)) {
      const kinds = this.#rooms.get(credentialId) ?? new Map<string, Room>();
      const before = kinds.get(kind);
      if (before === undefined || share <= before.share || !this.#isShown(before)) kinds.set(kind, { share, seenAt });
      this.#rooms.set(credentialId, kinds);
    }
  }

  /** Of these credentials; without limits that no answer named lately. */
  of(credentialIds: readonly string[]): ReadonlyMap<string, ReadonlyMap<string, number>> {
    for (const id of this.#rooms.keys()) if (!credentialIds.includes(id)) this.#rooms.delete(id);
    return new Map(credentialIds.map((id) => {
      const shown = [...this.#rooms.get(id) ?? []].filter(([, room]) => this.#isShown(room));
      return [id, new Map(shown.map(([kind, { share }]) => [kind, share]))];
    }));
  }

  #isShown({ seenAt }: Room): boolean {
    return this.#elapsed() - seenAt < SHOWN_MS;
  }
}
