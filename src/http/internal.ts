import type { Store, TraceDetail } from "../domain/store.ts";
import { AdminRefusal, shown } from "./admin_refusal.ts";
import { filtersOf, queryOptsOf } from "./internal_queries.ts";
import { refusalCountJson, requestJson, timeJson, traceJson, traceWithStatsJson, usageJson } from "./internal_shapes.ts";

/** A 409 names no more workspaces than these. */
const MAX_NAMED_WORKSPACES = 10;

/** The questions that the internal API answers; each throws `AdminRefusal` or the store's own error. */
export type InternalStore = Pick<Store, "queryUsage" | "queryTraces" | "getTraceDetail" | "queryRefusals">;

/** `GET /internal/usage`: `{"usage": UsageSummary[], "since"?}`. */
export async function answerUsage(request: Request, store: InternalStore): Promise<Response> {
  const opts = queryOptsOf(request.url);
  const usage = await store.queryUsage(opts);
  return Response.json({
    usage: usage.map(usageJson),
    ...(opts.since === null ? {} : { since: timeJson(opts.since) }),
  });
}

/** `GET /internal/traces`: `{"traces": TraceWithStats[], "total"}`. */
export async function answerTraces(request: Request, store: InternalStore): Promise<Response> {
  const { traces, total } = await store.queryTraces(queryOptsOf(request.url));
  return Response.json({ traces: traces.map(traceWithStatsJson), total });
}

/** `GET /internal/traces/:id`: `{"trace": Trace, "requests": TokenUsage[]}`, newest last; 404, or 409 where the id is in several workspaces. */
export async function answerTrace(
  request: Request,
  id: string,
  { store }: { readonly store: InternalStore },
): Promise<Response> {
  const { workspace_id } = filtersOf(request.url, ["workspace_id"]);
  const found = await store.getTraceDetail(id, workspace_id);
  if (found.length > 1) throw ambiguousTrace(id, found);
  const [detail] = found;
  if (detail === undefined) throw new AdminRefusal("not_found_error", `There is no trace ${shown(id)}`);
  return Response.json({ trace: traceJson(detail.trace), requests: detail.requests.map(requestJson) });
}

/** `GET /internal/refusals`: `{"refusals": [{workspaceId?, sandboxId?, fault, minute, count}]}`, newest first. */
export async function answerRefusals(request: Request, store: InternalStore): Promise<Response> {
  const refusals = await store.queryRefusals(queryOptsOf(request.url));
  return Response.json({ refusals: refusals.map(refusalCountJson) });
}

function ambiguousTrace(id: string, found: readonly TraceDetail[]): AdminRefusal {
  const named = found.slice(0, MAX_NAMED_WORKSPACES).map(({ trace }) => shown(trace.workspaceId)).join(", ");
  const more = found.length > MAX_NAMED_WORKSPACES ? `, and ${found.length - MAX_NAMED_WORKSPACES} more` : "";
  return new AdminRefusal(
    "conflict_error",
    `The trace ${shown(id)} exists in ${found.length} workspaces: add workspace_id, one of ${named}${more}`,
  );
}
