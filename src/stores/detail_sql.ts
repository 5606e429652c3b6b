import { type AgentCalls, MAX_AGENT_GROUPS } from "../domain/agents.ts";
import type { CachedCall } from "../domain/cache.ts";
import type { CallPlace } from "../domain/query.ts";
import type { UsageRow } from "../domain/usage.ts";
import { MAX_CACHED_CALLS } from "./query_bounds.ts";
import { integer, type Row, text, textOrNull, totalsOf } from "./row_decoders.ts";
import { COUNTED_ROW, type Statement, SUMS } from "./usage_sql.ts";

/** The calls of one trace by agent, parent, type and class, the first to begin first; what is beyond the bound in one, last. */
export function agentsStatement({ workspaceId, traceId }: Omit<CallPlace, "after">): Statement {
  return { sql: AGENTS, values: [traceId, workspaceId] };
}

export function agentCallsOf(row: Row): AgentCalls {
  return {
    ...totalsOf(row),
    agentId: text(row, "agent_id"),
    parentAgentId: text(row, "parent_agent_id"),
    agentType: text(row, "agent_type"),
    requestClass: text(row, "request_class"),
    firstAt: integer(row, "first_at"),
    lastAt: integer(row, "last_at"),
    isRest: integer(row, "place") > MAX_AGENT_GROUPS,
  };
}

/** The calls of one trace that read or wrote the cache, the oldest first, from a place on. */
export function cachedCallsStatement({ workspaceId, traceId, after }: CallPlace): Statement {
  return {
    sql: `
      SELECT
        id, created_at, kind, agent_id, request_class, served_model, stop_reason, refusal_category, input_tokens, output_tokens,
        cache_creation_input_tokens, cache_creation_5m_tokens, cache_creation_1h_tokens, cache_read_input_tokens, service_tier,
        inference_geo, speed, iterations
      FROM usage
      WHERE trace_id = ? AND workspace_id = ? AND revision > 0 AND cache_creation_input_tokens + cache_read_input_tokens > 0
        ${after === null ? "" : "AND created_at >= ? AND (created_at > ? OR id > ?)"}
      ORDER BY created_at, id
      LIMIT ${MAX_CACHED_CALLS}`,
    values: after === null ? [traceId, workspaceId] : [traceId, workspaceId, after.createdAt, after.createdAt, after.id],
  };
}

export function cachedCallOf(row: Row): CachedCall {
  return {
    id: text(row, "id"),
    createdAt: integer(row, "created_at"),
    agentId: textOrNull(row, "agent_id"),
    requestClass: textOrNull(row, "request_class"),
    // The column holds what `kind` names: only rows of ours are ever written.
    kind: text(row, "kind") as UsageRow["call"]["kind"],
    servedModel: textOrNull(row, "served_model"),
    stopReason: textOrNull(row, "stop_reason"),
    refusalCategory: textOrNull(row, "refusal_category"),
    inputTokens: integer(row, "input_tokens"),
    outputTokens: integer(row, "output_tokens"),
    cacheCreationInputTokens: integer(row, "cache_creation_input_tokens"),
    cacheCreation5mTokens: integer(row, "cache_creation_5m_tokens"),
    cacheCreation1hTokens: integer(row, "cache_creation_1h_tokens"),
    cacheReadInputTokens: integer(row, "cache_read_input_tokens"),
    serviceTier: textOrNull(row, "service_tier"),
    inferenceGeo: textOrNull(row, "inference_geo"),
    speed: textOrNull(row, "speed"),
    iterations: JSON.parse(textOrNull(row, "iterations") ?? "[]"),
  };
}

const NAMES = ["agent_id", "parent_agent_id", "agent_type", "request_class"];

const AGENTS = `
  WITH counted AS (
    SELECT
      ${NAMES.map((name) => `coalesce(${name}, '') AS ${name}`).join(", ")},
      created_at                                     AS began_at,
      created_at + coalesce(duration_ms, 0)          AS ended_at,
      ${COUNTED_ROW}
    FROM usage
    WHERE trace_id = ? AND workspace_id = ? AND revision > 0
  ), grouped AS (
    SELECT ${NAMES.join(", ")}, min(began_at) AS first_at, max(ended_at) AS last_at, ${SUMS}
    FROM counted
    GROUP BY ${NAMES.join(", ")}
  ), placed AS (
    SELECT *, row_number() OVER (ORDER BY first_at, ${NAMES.join(", ")}) AS found_at
    FROM grouped
  )
  SELECT
    CASE WHEN found_at <= ${MAX_AGENT_GROUPS} THEN found_at ELSE ${MAX_AGENT_GROUPS} + 1 END AS place,
    ${NAMES.map((name) => `min(${name}) AS ${name}`).join(", ")},
    min(first_at) AS first_at,
    max(last_at)  AS last_at,
    ${SUMS}
  FROM placed
  GROUP BY 1
  ORDER BY 1`;
