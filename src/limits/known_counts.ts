import { LRUCache } from "lru-cache";
import { addedTo, type Bound, type Reservation, type Settled } from "../domain/limits.ts";

/** Bounds whose latest count is kept for an outage. */
const MOST_KNOWN = 50_000;

type Workspace = Pick<Reservation, "workspaceId">;

/** What counts in each bound with a period, as far as this machine knows without asking. */
export class KnownCounts {
  readonly #known = new LRUCache<string, number>({ max: MOST_KNOWN });

  /** 0 if this machine has never asked. */
  of(call: Workspace, bound: Bound): number {
    return this.#known.get(boundKey(call, bound)) ?? 0;
  }

  set(call: Workspace, bound: Bound, used: number): void {
    this.#known.set(boundKey(call, bound), used);
  }

  /** The call is over, or never was (null): what it did not use is free. */
  ended(call: Reservation, bounds: readonly Bound[], used: Settled | null): void {
    for (const bound of bounds) {
      const key = boundKey(call, bound);
      const known = this.#known.get(key);
      if (known === undefined) continue;
      const kept = used === null ? 0 : addedTo(bound, used);
      // Not below 0: the store's answers may come in another order than it gave them.
      this.#known.set(key, Math.max(0, known - addedTo(bound, call) + kept));
    }
  }
}

export function boundKey({ workspaceId }: Workspace, { kind, scope, id, from }: Bound): string {
  return JSON.stringify([workspaceId, scope, id, kind, from]);
}
