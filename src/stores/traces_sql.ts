import { type Position, RowsDropped, type TraceOrder, type TracePage, type TraceQuery } from "../domain/query.ts";
import { integer, type Row, totalsOf, traceWithStatsOf } from "./row_decoders.ts";
import { callFilters, narrowed, positionOf, type Statement } from "./usage_sql.ts";

const ORDERED: Readonly<Record<TraceOrder, string>> = {
  activity: "updated_at",
  created: "created_at",
  cost: "cost",
  tokens: "total_input_tokens + total_output_tokens + total_cache_creation_input_tokens + total_cache_read_input_tokens",
  requests: "request_count",
};

/** A page of traces, one more than it has, and the totals of all that the filters keep: to be asked of one state of the database. */
export function traceStatements(
  query: TraceQuery,
  droppedBefore: number,
): { readonly page: Statement; readonly totals: Statement } {
  const kept = keptOf(query, droppedBefore);
  const ordered = ORDERED[query.order.by];
  const [way, beyond] = query.order.isAscending ? ["ASC", ">"] : ["DESC", "<"];
  const after = query.after === null ? [] : valuesOf(query.after);
  return {
    page: {
      sql: `
        SELECT *, ${ordered} AS ordered
        FROM traces
        WHERE true ${kept.sql} ${query.after === null ? "" : `AND (${ordered}, id, workspace_id) ${beyond} (?, ?, ?)`}
        ORDER BY ${ordered} ${way}, id ${way}, workspace_id ${way}
        LIMIT ? OFFSET ?`,
      values: [...kept.values, ...after, query.limit + 1, query.offset],
    },
    totals: { sql: `SELECT ${TOTALS} FROM traces WHERE true ${kept.sql}`, values: kept.values },
  };
}

export function tracePageOf(
  { page, totals }: { readonly page: readonly Row[]; readonly totals: readonly Row[] },
  query: TraceQuery,
): TracePage {
  const shown = page.slice(0, query.limit);
  return {
    traces: shown.map(traceWithStatsOf),
    total: integer(totals[0]!, "total"),
    totals: totalsOf(totals[0]!),
    next: page.length > shown.length ? positionOf(shown.at(-1), ["ordered", "id", "workspace_id"]) : null,
  };
}

const TOTALS = `
  count(*)                                            AS total,
  coalesce(sum(request_count), 0)                     AS request_count,
  coalesce(sum(total_input_tokens), 0)                AS input_tokens,
  coalesce(sum(total_output_tokens), 0)               AS output_tokens,
  coalesce(sum(total_cache_creation_input_tokens), 0) AS cache_creation_input_tokens,
  coalesce(sum(total_cache_read_input_tokens), 0)     AS cache_read_input_tokens,
  coalesce(sum(cost), 0)                              AS cost,
  coalesce(sum(estimated_cost), 0)                    AS estimated_cost,
  coalesce(sum(estimated_count), 0)                   AS estimated_count,
  coalesce(sum(unknown_count), 0)                     AS unknown_count,
  coalesce(sum(unpriced_count), 0)                    AS unpriced_count,
  coalesce(sum(partly_priced_count), 0)               AS partly_priced_count,
  coalesce(sum(retry_count), 0)                       AS retry_count,
  coalesce(sum(retried_cost), 0)                      AS retried_cost`;

/** Which calls a trace has only its rows tell. */
function keptOf(query: TraceQuery, droppedBefore: number): Statement {
  const own = narrowed([
    { sql: "AND workspace_id = ?", value: query.workspaceId },
    { sql: "AND sandbox_id = ?", value: query.sandboxId },
    { sql: "AND updated_at >= ?", value: query.since },
    { sql: "AND updated_at < ?", value: query.until },
  ]);
  const calls = narrowed(callFilters({ ...query, workspaceId: null, sandboxId: null }));
  if (calls.values.length === 0) return own;
  if ((query.since ?? Number.MIN_SAFE_INTEGER) < droppedBefore) throw new RowsDropped(droppedBefore);
  return {
    sql: `${own.sql} AND EXISTS (
      SELECT 1
      FROM usage
      WHERE usage.trace_id = traces.id AND usage.workspace_id = traces.workspace_id AND revision > 0 ${calls.sql})`,
    values: [...own.values, ...calls.values],
  };
}

function valuesOf([ordered = "", id = "", workspaceId = ""]: Position): readonly (string | bigint)[] {
  return [BigInt(ordered), id, workspaceId];
}
