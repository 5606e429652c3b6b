import type { CachedCall } from "../../domain/cache.ts";
import type { RefusalCount } from "../../domain/ledger.ts";
import type { CallPlace, TracePage, TraceQuery, UsagePage, UsageQuery } from "../../domain/query.ts";
import type { TraceDetail } from "../../domain/store.ts";
import type { QueryOpts } from "../../domain/usage.ts";
import { agentCallsOf, agentsStatement, cachedCallOf, cachedCallsStatement } from "../detail_sql.ts";
import { MAX_DETAIL_ROWS } from "../query_bounds.ts";
import { refusalOf, type Row, traceOf } from "../row_decoders.ts";
import { tracePageOf, traceStatements } from "../traces_sql.ts";
import { tokenUsageOf } from "../usage_row.ts";
import { type Statement, usagePageOf, usageStatement } from "../usage_sql.ts";
import type { Ask } from "./connection.ts";
import { droppedBefore } from "./months.ts";

/** What is not narrowed is null. Statements are planned with their values, so that every combination uses its own index. */

export async function queryUsage(ask: Ask, query: UsageQuery): Promise<UsagePage> {
  return usagePageOf(await put(ask, usageStatement(query, await droppedBefore(ask))), query);
}

/** In one state of the database. */
export async function queryTraces(ask: Ask, query: TraceQuery): Promise<TracePage> {
  const { page, totals } = traceStatements(query, await droppedBefore(ask));
  return tracePageOf({ page: await put(ask, page), totals: await put(ask, totals) }, query);
}

/** In one state of the database. */
export async function getTraceDetail(
  ask: Ask,
  id: string,
  { workspaceId }: Pick<QueryOpts, "workspaceId">,
): Promise<readonly TraceDetail[]> {
  const found: TraceDetail[] = [];
  for (const trace of (await ask(TRACES_OF_ID, [id, workspaceId])).map(traceOf)) {
    const rows = await ask(NEWEST_ROWS, [trace.id, trace.workspaceId, MAX_DETAIL_ROWS]);
    const agents = await put(ask, agentsStatement({ workspaceId: trace.workspaceId, traceId: trace.id }));
    found.push({ trace, requests: rows.map(tokenUsageOf).reverse(), agents: agents.map(agentCallsOf) });
  }
  return found;
}

export async function getCachedCalls(ask: Ask, place: CallPlace): Promise<readonly CachedCall[]> {
  return (await put(ask, cachedCallsStatement(place))).map(cachedCallOf);
}

export async function queryRefusals(
  ask: Ask,
  { workspaceId, sandboxId, since, until, limit, offset }: QueryOpts,
): Promise<readonly RefusalCount[]> {
  return (await ask(REFUSALS, [workspaceId, sandboxId, since, until, limit, offset])).map(refusalOf);
}

/** Asks with `$1`, `$2`, … for the marks. */
function put(ask: Ask, { sql, values }: Statement): Promise<readonly Row[]> {
  let count = 0;
  return ask(
    sql.replaceAll("?", () => `$${++count}`),
    values.map((value) => typeof value === "bigint" ? String(value) : value),
  );
}

const TRACES_OF_ID = `
  SELECT *
  FROM traces
  WHERE id = $1 AND ($2::text IS NULL OR workspace_id = $2)
  ORDER BY workspace_id`;

const NEWEST_ROWS = `
  SELECT *
  FROM usage
  WHERE trace_id = $1 AND workspace_id = $2
  ORDER BY created_at DESC, id DESC
  LIMIT $3`;

const REFUSALS = `
  SELECT workspace_id, sandbox_id, fault, minute, sum(count) AS count
  FROM refusals
  WHERE ($1::text IS NULL OR workspace_id = $1) AND ($2::text IS NULL OR sandbox_id = $2)
    AND ($3::bigint IS NULL OR minute >= $3) AND ($4::bigint IS NULL OR minute < $4)
  GROUP BY minute, workspace_id, sandbox_id, fault
  ORDER BY minute DESC, workspace_id, sandbox_id, fault
  LIMIT $5 OFFSET $6`;
