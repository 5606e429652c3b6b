import { agentTree } from "../domain/agents.ts";
import { RowsDropped } from "../domain/query.ts";
import type { Store, TraceDetail } from "../domain/store.ts";
import { AdminRefusal, shown } from "./admin_refusal.ts";
import { traceQueryOf, usageQueryOf } from "./usage_filters.ts";
import { filtersOf, queryOptsOf } from "./admin_filters.ts";
import {
  agentJson,
  refusalCountJson,
  requestJson,
  timeJson,
  totalsJson,
  traceJson,
  traceWithStatsJson,
  usageJson,
} from "./admin_json.ts";
import { type CacheDeps, traceCacheJson } from "./trace_cache.ts";

/** A 409 names no more workspaces than these. */
const MAX_NAMED_WORKSPACES = 10;

/** The queries of the admin API. Each throws `AdminRefusal` or the store's own error. */
export type InternalStore = Pick<
  Store,
  | ("queryUsage" | "queryTraces" | "listTraces" | "getTraceDetail" | "queryRefusals" | "queryRuns")
  | ("findTraces" | "getAgents" | "queryCalls" | "getCachedCalls" | "callsAfter")
>;

export const TRACE_DETAIL_FILTERS = ["workspace_id"] as const;

export interface InternalDeps extends CacheDeps {
  readonly store: InternalStore;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
}

/**
 * `GET /internal/usage`: `{"usage": UsageSummary[], "totals", "nextCursor"?, "since"?, "until"?}`.
 */
export async function answerUsage(request: Request, { store, now }: InternalDeps): Promise<Response> {
  const { query, cursorOf } = usageQueryOf(request.url, now);
  const { usage, totals, next } = await answerable(store.queryUsage(query));
  return Response.json({
    usage: usage.map(usageJson),
    totals: totalsJson(totals),
    ...(next === null ? {} : { nextCursor: cursorOf(next) }),
    ...(query.since === null ? {} : { since: timeJson(query.since) }),
    ...(query.until === null ? {} : { until: timeJson(query.until) }),
  });
}

/** `GET /internal/traces`: `{"traces": TraceWithStats[], "total", "totals", "nextCursor"?}`. */
export async function answerTraces(request: Request, { store, now }: InternalDeps): Promise<Response> {
  const { query, cursorOf } = traceQueryOf(request.url, now);
  const { traces, total, totals, next } = await answerable(store.queryTraces(query));
  return Response.json({
    traces: traces.map(traceWithStatsJson),
    total,
    totals: totalsJson(totals),
    ...(next === null ? {} : { nextCursor: cursorOf(next) }),
  });
}

/**
 * `GET /internal/traces/:id`: `{"trace": Trace, "requests": TokenUsage[], "agents": [main],
 * "cache"}`, newest request last. 404, or 409 if the id is in several workspaces.
 */
export async function answerTrace(request: Request, id: string, deps: InternalDeps): Promise<Response> {
  const { workspace_id } = filtersOf(request.url, TRACE_DETAIL_FILTERS);
  const found = await deps.store.getTraceDetail(id, workspace_id);
  if (found.length > 1) throw ambiguousTrace(id, found);
  const [detail] = found;
  if (detail === undefined) throw new AdminRefusal("not_found_error", `There is no trace ${shown(id)}`);
  return Response.json({
    trace: traceJson(detail.trace),
    requests: detail.requests.map(requestJson),
    agents: [agentJson(agentTree(detail.agents))],
    cache: await traceCacheJson(detail.trace, deps),
  });
}

/**
 * `GET /internal/refusals`: `{"refusals": [{workspaceId?, sandboxId?, fault, minute, count}]}`,
 * newest first.
 */
export async function answerRefusals(request: Request, { store }: InternalDeps): Promise<Response> {
  const refusals = await store.queryRefusals(queryOptsOf(request.url));
  return Response.json({ refusals: refusals.map(refusalCountJson) });
}

/** Refuses a query that needs rows that retention has dropped. */
export async function answerable<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    // By name, because it may come from a Worker.
    if (!(error instanceof Error) || error.name !== RowsDropped.name) throw error;
    throw new AdminRefusal("invalid_request_error", `Cannot answer this: ${error.message}`);
  }
}

function ambiguousTrace(id: string, found: readonly TraceDetail[]): AdminRefusal {
  const named = found.slice(0, MAX_NAMED_WORKSPACES).map(({ trace }) => shown(trace.workspaceId)).join(", ");
  const more = found.length > MAX_NAMED_WORKSPACES ? `, and ${found.length - MAX_NAMED_WORKSPACES} more` : "";
  return new AdminRefusal(
    "conflict_error",
    `The trace ${shown(id)} exists in ${found.length} workspaces: add workspace_id, one of ${named}${more}`,
  );
}
