import type { OpenCall } from "../../domain/usage.ts";

type Asking = Pick<OpenCall, "id" | "workspaceId" | "traceId" | "messagesHash">;

/**
 * The prompts of the calls in flight: if a retry completes, an earlier call of its prompt may still
 * fail.
 */
export class InflightPrompts {
  readonly #askedBy = new Map<string, Set<string>>();

  begins(call: Asking): void {
    const key = keyOf(call);
    if (key === null) return;
    const ids = this.#askedBy.get(key);
    if (ids === undefined) this.#askedBy.set(key, new Set([call.id]));
    else ids.add(call.id);
  }

  /** Its row is closed, or was never written. */
  ended(call: Asking): void {
    const key = keyOf(call);
    const ids = key === null ? undefined : this.#askedBy.get(key);
    if (key !== null && ids?.delete(call.id) && ids.size === 0) this.#askedBy.delete(key);
  }

  isAskedByOthers(call: Asking): boolean {
    const key = keyOf(call);
    const ids = key === null ? undefined : this.#askedBy.get(key);
    return ids !== undefined && ids.size > (ids.has(call.id) ? 1 : 0);
  }
}

function keyOf({ workspaceId, traceId, messagesHash }: Asking): string | null {
  return messagesHash === null ? null : JSON.stringify([workspaceId, traceId, messagesHash]);
}
