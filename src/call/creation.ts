import { OWNED_ID, type OwnedKind } from "../domain/owned.ts";
import type { Trace } from "../domain/trace.ts";
import type { OpenCall } from "../domain/usage.ts";
import type { LiveCall } from "./live_call.ts";

/** A file or another thing that a call makes: it is the caller's before the answer ends. */
export interface Creation {
  readonly kind: OwnedKind;
  /** What the rows of a batch's lines have of the call that made it. */
  readonly made: OpenCall;
  readonly trace: Trace;
}

/** Commits who owns what the answer names. Rejects with `Fault` `ledger_unavailable`. */
export async function claim(
  answer: ReadonlyMap<string, unknown>,
  { kind, made, trace }: Creation,
  { incoming: { provider }, caller: { sandbox: { workspaceId, sandboxId } }, deps }: LiveCall,
): Promise<void> {
  // An error with a good status has made nothing.
  if (answer.get("type") === "error") return;
  const id = answer.get("id");
  if (typeof id !== "string" || !OWNED_ID.test(id)) {
    deps.observe.note("warn", "the upstream made something without an id: it has no owner", { requestId: made.id, kind });
    return;
  }
  const { createdAt } = made;
  const isBatch = kind === "batch" && provider.batches !== undefined;
  // Its lines belong to the call's trace, whose name only this call knows.
  if (isBatch) await deps.ledger.join(trace);
  const batch = isBatch
    ? { call: { ...made, batchId: id }, dueAt: createdAt + deps.batches.firstLookMs }
    : { call: made, dueAt: null };
  await deps.owners.claim([{ id, kind, workspaceId, sandboxId, createdAt, ...batch }]);
}
