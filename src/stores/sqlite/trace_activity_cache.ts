import { LRUCache } from "lru-cache";
import type { Trace } from "../../domain/trace.ts";

/** By so much a trace may be behind what its rows say of its activity. */
export const BEHIND_MS = 60_000;
const TRACES = 10_000;

/** Which traces have said lately that they are active: whoever counts the row of a call says it again, so that its beginning need not. */
export class TraceActivityCache {
  readonly #writtenAt = new LRUCache<string, number>({ max: TRACES });

  isFresh(trace: Trace): boolean {
    const at = this.#writtenAt.get(keyOf(trace));
    return at !== undefined && Math.abs(trace.updatedAt - at) < BEHIND_MS;
  }

  /** To be called when it is committed. */
  written(trace: Trace): void {
    this.#writtenAt.set(keyOf(trace), trace.updatedAt);
  }
}

function keyOf({ workspaceId, id }: Trace): string {
  return JSON.stringify([workspaceId, id]);
}
