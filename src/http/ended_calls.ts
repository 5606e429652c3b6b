import { delay } from "../async/deadline.ts";
import type { ArrivalQuery } from "../domain/query.ts";
import { filtersOf, pageOf, unreadable } from "./admin_filters.ts";
import { requestJson } from "./admin_json.ts";
import type { AdminDeps } from "./admin_route.ts";
import { cursorText, readCursor } from "./cursor.ts";

export const ENDED_FILTERS = ["workspace_id", "sandbox_id", "trace_id", "after", "wait", "limit"] as const;

/** How often a waiting answer looks into the store. */
const LOOK_MS = 500;

/**
 * `GET /internal/calls`: `{"calls": TokenUsage[], "next"}`. With `wait` the answer waits for a call
 * up to that time, but not for the end of the proxy.
 */
export async function answerEndedCalls(
  request: Request,
  { store, readiness }: Pick<AdminDeps, "store" | "readiness">,
): Promise<Response> {
  const { after, wait, ...read } = filtersOf(request.url, ENDED_FILTERS);
  const { workspace_id: workspaceId, sandbox_id: sandboxId, trace_id: traceId } = read;
  const question = JSON.stringify(["calls", workspaceId, sandboxId, traceId]);
  const cursor = after === null ? null : readCursor(after, question);
  if (after !== null && cursor === null) {
    throw unreadable("after", { expects: "the next of an answer to this same question", value: after });
  }
  const { limit } = pageOf({ limit: read.limit, offset: null });
  let query: ArrivalQuery = { workspaceId, sandboxId, traceId, limit, after: cursor?.after ?? null };
  for (let left = (wait ?? 0) * 1_000;; left -= LOOK_MS) {
    const { calls, next } = await store.callsAfter(query);
    const isOver = calls.length > 0 || left <= 0 || cursor === null || request.signal.aborted;
    if (isOver || readiness().status === "unavailable") {
      return Response.json({ calls: calls.map(requestJson), next: cursorText({ after: next, asOf: 0 }, question) });
    }
    query = { ...query, after: next };
    await delay(Math.min(LOOK_MS, left), request.signal);
  }
}
