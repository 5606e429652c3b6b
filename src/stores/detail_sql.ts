import { type AgentCalls, MAX_AGENT_GROUPS } from "../domain/agents.ts";
import type { CachedCall } from "../domain/cache.ts";
import type { CallPlace } from "../domain/query.ts";
import type { Trace } from "../domain/trace.ts";
import { columnsFrom } from "../domain/usage_columns.ts";
import { MAX_CACHED_CALLS } from "./query_bounds.ts";
import { integer, type Row, text } from "./row_decoders.ts";
import { COUNTED_ROW, SUMS, totalsOf } from "./totals.ts";
import { fieldsOf } from "./usage_row.ts";
import type { Question } from "./usage_sql.ts";

/**
 * The calls of one trace by agent, parent, type and class, in the order of their first calls. The
 * last group is the rest.
 */
export function agentsOf({ workspaceId, id }: Pick<Trace, "workspaceId" | "id">): Question<readonly AgentCalls[]> {
  return { sql: AGENTS, values: [id, workspaceId], read: (rows) => rows.map(agentCallsOf) };
}

function agentCallsOf(row: Row): AgentCalls {
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

/** What decides on the worth of the cache. */
const CACHED: readonly (keyof CachedCall)[] = [
  ...["id", "createdAt", "kind", "provider", "agentId", "requestClass", "servedModel", "stopReason", "refusalCategory"] as const,
  ...["inputTokens", "outputTokens", "cacheCreationInputTokens", "cacheReadInputTokens"] as const,
  ...[
    "cacheCreation5mTokens",
    "cacheCreation1hTokens",
    "serviceTier",
    "inferenceGeo",
    "speed",
    "iterations",
    "tokenParts",
  ] as const,
];
const CACHED_COLUMNS = columnsFrom("call", "reading").filter(({ field }) => (CACHED as readonly string[]).includes(field));

/** The calls of one trace that read or wrote the cache, oldest first, from a place on. */
export function cachedCalls({ workspaceId, traceId, after }: CallPlace): Question<readonly CachedCall[]> {
  return {
    sql: `
      SELECT ${CACHED_COLUMNS.map(({ column }) => column).join(", ")}
      FROM usage
      WHERE trace_id = ? AND workspace_id = ? AND revision > 0 AND cache_creation_input_tokens + cache_read_input_tokens > 0
        ${after === null ? "" : "AND created_at >= ? AND (created_at > ? OR id > ?)"}
      ORDER BY created_at, id
      LIMIT ${MAX_CACHED_CALLS}`,
    values: after === null ? [traceId, workspaceId] : [traceId, workspaceId, after.createdAt, after.createdAt, after.id],
    read: (rows) => rows.map((row) => fieldsOf(row, CACHED_COLUMNS) as unknown as CachedCall),
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
