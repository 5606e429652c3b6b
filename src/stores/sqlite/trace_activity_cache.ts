import { LRUCache } from "lru-cache";
import type { Trace } from "../../domain/trace.ts";

/** How far a trace may be behind the activity of its rows. */
export const BEHIND_MS = 60_000;
const TRACES = 10_000;

/**
 * The traces whose activity was written lately. The count of a call writes it again, so its opening
 * does not have to.
 */
export class TraceActivityCache {
  readonly #writtenAt = new LRUCache<string, number>({ max: TRACES });

  isFresh(trace: Trace): boolean {
    const at = this.#writtenAt.get(keyOf(trace));
    return at !== undefined && Math.abs(trace.updatedAt - at) < BEHIND_MS;
  }

  /** After the commit. */
  written(trace: Trace): void {
    this.#writtenAt.set(keyOf(trace), trace.updatedAt);
  }
}

function keyOf({ workspaceId, id }: Trace): string {
  return JSON.stringify([workspaceId, id]);
}
