import type { RefusalCount } from "../../domain/ledger.ts";
import type { TraceDetail } from "../../domain/store.ts";
import type { TraceWithStats } from "../../domain/trace.ts";
import type { QueryOpts, UsageSummary } from "../../domain/usage.ts";
import { MAX_DETAIL_ROWS, spanSince } from "../query_bounds.ts";
import { refusalOf, summaryOf, tokenUsageOf, traceOf, traceWithStatsOf } from "../readings.ts";
import type { Ask } from "./connection.ts";
import { droppedBefore } from "./months.ts";

/** What is not narrowed is null. Statements are planned with their values, so that every combination uses its own index. */

export async function queryUsage(ask: Ask, opts: QueryOpts): Promise<readonly UsageSummary[]> {
  const { fromHour, fromRow, toRow } = spanSince(opts.since, await droppedBefore(ask));
  const values = [opts.workspaceId, opts.sandboxId, fromHour, fromRow, toRow, opts.limit, opts.offset];
  return (await ask(USAGE, values)).map(summaryOf);
}

/** In one state of the database. */
export async function queryTraces(
  ask: Ask,
  { workspaceId, sandboxId, since, limit, offset }: QueryOpts,
): Promise<{ readonly traces: readonly TraceWithStats[]; readonly total: number }> {
  const traces = await ask(TRACES, [workspaceId, sandboxId, since, limit, offset]);
  const [counted] = await ask(COUNT_TRACES, [workspaceId, sandboxId, since]);
  return { traces: traces.map(traceWithStatsOf), total: Number(counted?.total) };
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
    found.push({ trace, requests: rows.map(tokenUsageOf).reverse() });
  }
  return found;
}

export async function queryRefusals(
  ask: Ask,
  { workspaceId, sandboxId, since, limit, offset }: QueryOpts,
): Promise<readonly RefusalCount[]> {
  return (await ask(REFUSALS, [workspaceId, sandboxId, since, limit, offset])).map(refusalOf);
}

const USAGE = `
  SELECT
    provider,
    model,
    sum(input_tokens)                AS input_tokens,
    sum(output_tokens)               AS output_tokens,
    sum(cache_creation_input_tokens) AS cache_creation_input_tokens,
    sum(cache_read_input_tokens)     AS cache_read_input_tokens,
    sum(request_count)               AS request_count,
       sum(cost)                        AS cost,
       sum(estimated_cost)              AS estimated_cost,
       sum(estimated_count)             AS estimated_count,
       sum(unknown_count)               AS unknown_count,
       sum(unpriced_count)              AS unpriced_count,
       sum(retry_count)                 AS retry_count,
       sum(retried_cost)                AS retried_cost
  FROM (
    SELECT
      provider, model, request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
           cost, estimated_cost, estimated_count, unknown_count, unpriced_count, retry_count, retried_cost
    FROM usage_hours
    WHERE ($1::text IS NULL OR workspace_id = $1) AND ($2::text IS NULL OR sandbox_id = $2) AND hour >= $3
    UNION ALL
    SELECT
      provider, coalesce(served_model, requested_model), 1,
      input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
      coalesce(cost, 0),
      CASE WHEN trust = 'estimated' THEN coalesce(cost, 0) ELSE 0 END,
      CASE WHEN trust = 'estimated' THEN 1 ELSE 0 END,
      CASE WHEN trust = 'unknown' THEN 1 ELSE 0 END,
      CASE WHEN cost IS NULL AND trust <> 'unknown' THEN 1 ELSE 0 END,
      CASE WHEN retry_of IS NOT NULL THEN 1 ELSE 0 END,
      CASE WHEN asked_again THEN coalesce(cost, 0) ELSE 0 END
    FROM usage
    WHERE ($1::text IS NULL OR workspace_id = $1) AND ($2::text IS NULL OR sandbox_id = $2)
      AND created_at >= $4 AND created_at < $5
  ) AS counted
  GROUP BY provider, model
  HAVING sum(request_count) > 0
  ORDER BY
    sum(input_tokens) + sum(output_tokens) + sum(cache_creation_input_tokens) + sum(cache_read_input_tokens) DESC,
    provider,
    model
  LIMIT $6 OFFSET $7`;

const NARROWED_TRACES = `
  FROM traces
  WHERE ($1::text IS NULL OR workspace_id = $1) AND ($2::text IS NULL OR sandbox_id = $2)
    AND ($3::bigint IS NULL OR updated_at >= $3)`;

const TRACES = `
  SELECT * ${NARROWED_TRACES}
  ORDER BY updated_at DESC, id DESC, workspace_id DESC
  LIMIT $4 OFFSET $5`;

const COUNT_TRACES = `SELECT count(*) AS total ${NARROWED_TRACES}`;

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
  WHERE ($1::text IS NULL OR workspace_id = $1) AND ($2::text IS NULL OR sandbox_id = $2) AND ($3::bigint IS NULL OR minute >= $3)
  GROUP BY minute, workspace_id, sandbox_id, fault
  ORDER BY minute DESC, workspace_id, sandbox_id, fault
  LIMIT $4 OFFSET $5`;
