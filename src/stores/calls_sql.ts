import type { CallOrder, CallPage, CallQuery, Position } from "../domain/query.ts";
import type { Row } from "./row_decoders.ts";
import { narrowed, positionOf, type Question, type Statement } from "./usage_sql.ts";
import { tokenUsageOf } from "./usage_row.ts";

const ORDERED: Readonly<Record<Exclude<CallOrder, "time">, { readonly column: string; readonly isNullable?: true }>> = {
  duration: { column: "duration_ms", isNullable: true },
  ttft: { column: "ttft_ms", isNullable: true },
  cost: { column: "cost", isNullable: true },
  input: { column: "input_tokens" },
  cacheWrite: { column: "cache_creation_input_tokens" },
  cacheRead: { column: "cache_read_input_tokens" },
  output: { column: "output_tokens" },
};

/** No value of a column is so large, or so small. */
const [LARGEST, SMALLEST] = ["9223372036854775807", "-1"];

/** Columns by which a call that did not complete, or that retries another, differs. */
const TROUBLED = "AND (outcome <> 'completed' OR retry_of IS NOT NULL OR asked_again)";

/**
 * A page of one trace's ended calls. In the order of time it reads an index from its place on; for
 * any other it reads all calls of the trace.
 */
export function callsQuestion(query: CallQuery): Question<CallPage> {
  const { traceId, workspaceId, agentId, isTroubled, order, limit } = query;
  const kept = narrowed({ "trace_id =": traceId, "workspace_id =": workspaceId, "coalesce(agent_id, '') =": agentId });
  const behind = query.after === null ? { sql: "", values: [] } : placeOf(query, query.after);
  const ordered = orderedBy(query);
  const way = order.isAscending ? "ASC" : "DESC";
  return {
    sql: `
      SELECT *, ${ordered} AS ordered
      FROM usage
      WHERE revision > 0 ${kept.sql} ${isTroubled ? TROUBLED : ""} ${behind.sql}
      ORDER BY ${order.by === "time" ? "" : `${ordered} ${way},`} created_at ${way}, id ${way}
      LIMIT ?`,
    values: [...kept.values, ...behind.values, limit + 1],
    read: (rows) => callPageOf(rows, limit),
  };
}

function callPageOf(rows: readonly Row[], limit: number): CallPage {
  const shown = rows.slice(0, limit);
  return {
    calls: shown.map(tokenUsageOf),
    next: rows.length > shown.length ? positionOf(shown.at(-1), ["ordered", "created_at", "id"]) : null,
  };
}

function orderedBy({ order: { by, isAscending } }: CallQuery): string {
  if (by === "time") return "created_at";
  const { column, isNullable } = ORDERED[by];
  return isNullable ? `coalesce(${column}, ${isAscending ? LARGEST : SMALLEST})` : column;
}

/** Of time alone: PostgreSQL looks only at the months behind the place. */
function placeOf(query: CallQuery, [ordered = "", createdAt = "", id = ""]: Position): Statement {
  const beyond = query.order.isAscending ? ">" : "<";
  if (query.order.by !== "time") {
    const values = [BigInt(ordered), BigInt(createdAt), id];
    return { sql: `AND (${orderedBy(query)}, created_at, id) ${beyond} (?, ?, ?)`, values };
  }
  const values = [BigInt(createdAt), BigInt(createdAt), id];
  return { sql: `AND created_at ${beyond}= ? AND (created_at ${beyond} ? OR id ${beyond} ?)`, values };
}
