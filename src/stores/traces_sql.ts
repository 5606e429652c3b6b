import {
  LONG_ID_PREFIX,
  type Position,
  RowsDropped,
  type TraceList,
  type TraceOrder,
  type TracePage,
  type TraceQuery,
} from "../domain/query.ts";
import { TOTALS } from "../domain/totals.ts";
import type { TraceWithStats } from "../domain/trace.ts";
import { MAX_NAMESAKES } from "./query_bounds.ts";
import { integer, type Row, traceOf } from "./row_decoders.ts";
import { SUMS_OR_ZERO, totalsOf, traceColumn } from "./totals.ts";
import { callFilters, type Filters, narrowed, ownerFilters, positionOf, type Question, type Statement } from "./usage_sql.ts";

const ORDERED: Readonly<Record<TraceOrder, string>> = {
  activity: "updated_at",
  created: "created_at",
  cost: "cost",
  tokens: "total_input_tokens + total_output_tokens + total_cache_creation_input_tokens + total_cache_read_input_tokens",
  requests: "request_count",
};

/**
 * A page of traces and one trace more, and the totals of all that the filters keep. Ask both of one
 * state of the database.
 */
export function traceQuestions(
  query: TraceQuery,
  droppedBefore: number,
): { readonly page: Question<readonly Row[]>; readonly totals: Question<Row> } {
  const kept = keptOf(query, droppedBefore);
  const ordered = isFoundByActivity(query) ? `+${ORDERED[query.order.by]}` : ORDERED[query.order.by];
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
      read: (rows) => rows,
    },
    totals: { ...(isOfOwner(query) ? totalsOfOwner(query) : totalsOfKept(kept)), read: ([row]) => row! },
  };
}

/**
 * In the order of creation, an index has all older traces before the first of a span. With the plus
 * sign neither database can take that index, so both sort the traces of the span.
 */
function isFoundByActivity({ order, since, until, asOf }: TraceQuery): boolean {
  const end = until ?? asOf;
  const isShort = since !== null && end !== undefined && end - since <= MOST_SORTED_MS;
  return order.by === "created" && order.isAscending && isShort;
}

/** Of a longer span more traces would be sorted than are older. */
const MOST_SORTED_MS = 62 * 86_400_000;

function totalsOfKept({ sql, values }: Statement): Statement {
  return { sql: `SELECT count(*) AS total, ${ALL_TOTALS} FROM traces WHERE true ${sql}`, values };
}

/** Whether the filters keep all traces of the fleet or of a workspace. */
function isOfOwner({ sandboxId, since, until, upstream, model, outcome, accuracy, ...own }: TraceQuery): boolean {
  const { idPrefix, begunBefore, client, hasFailed, leastCost } = own;
  return !hasFailed &&
    [sandboxId, since, until, upstream, model, outcome, accuracy, idPrefix, begunBefore, client, leastCost].every((filter) =>
      filter === null
    );
}

/**
 * Every call is in a trace and no trace is dropped, so the roll-ups have the totals of all traces,
 * in far fewer rows.
 */
function totalsOfOwner({ workspaceId }: TraceQuery): Statement {
  const { sql, values } = narrowed({ "workspace_id =": workspaceId });
  const [owner, level] = workspaceId === null ? ["", "fleet_day"] : [workspaceId, "workspace_month"];
  return {
    sql: `
      SELECT (SELECT count(*) FROM traces WHERE true ${sql}) AS total, ${SUMS_OR_ZERO}
      FROM usage_rollups
      WHERE workspace_id = ? AND level = ?`,
    values: [...values, owner, level],
  };
}

export function tracePageOf(
  { page, totals }: { readonly page: readonly Row[]; readonly totals: Row },
  query: TraceQuery,
): TracePage {
  return { ...traceListOf(page, query), total: integer(totals, "total"), totals: totalsOf(totals) };
}

export function traceListOf(page: readonly Row[], { limit }: Pick<TraceQuery, "limit">): TraceList {
  const shown = page.slice(0, limit);
  return {
    traces: shown.map(traceWithStatsOf),
    next: page.length > shown.length ? positionOf(shown.at(-1), ["ordered", "id", "workspace_id"]) : null,
  };
}

/** The traces of that id, in all workspaces or in one. */
export function tracesOfId(id: string, workspaceId: string | null): Question<readonly TraceWithStats[]> {
  const { sql, values } = narrowed({ "workspace_id =": workspaceId });
  return {
    sql: `SELECT * FROM traces WHERE id = ? ${sql} ORDER BY workspace_id LIMIT ${MAX_NAMESAKES}`,
    values: [id, ...values],
    read: (rows) => rows.map(traceWithStatsOf),
  };
}

function traceWithStatsOf(row: Row): TraceWithStats {
  const columns = TOTALS.map((total) => [total.name, row[traceColumn(total)]]);
  const { inputTokens, outputTokens, cacheCreationInputTokens, cacheReadInputTokens, ...rest } = totalsOf(
    Object.fromEntries(columns),
  );
  return {
    ...traceOf(row),
    totalInputTokens: inputTokens,
    totalOutputTokens: outputTokens,
    totalCacheCreationInputTokens: cacheCreationInputTokens,
    totalCacheReadInputTokens: cacheReadInputTokens,
    ...rest,
  };
}

const ALL_TOTALS = TOTALS.map((total) => `coalesce(sum(${traceColumn(total)}), 0) AS ${total.name}`).join(", ");

/** Filters of calls need rows: the totals of a trace do not have them. */
function keptOf(query: TraceQuery, droppedBefore: number): Statement {
  const { since, until, begunBefore, idPrefix, leastCost, client, hasFailed } = query;
  const times = { "updated_at >=": since, "updated_at <": until, "created_at <": begunBefore };
  const own = narrowed({
    ...ownerFilters(query),
    ...times,
    ...idFilters(idPrefix),
    "cost >=": leastCost,
    "failed_count >=": hasFailed ? 1 : null,
  });
  const calls = narrowed({ ...callFilters(query), "client =": client });
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

/** With a short prefix the traces are read in the order of the page, until it is full. */
function idFilters(prefix: string | null): Filters {
  if (prefix === null) return {};
  const { length } = [...prefix];
  return length < LONG_ID_PREFIX
    ? { [`substr(id, 1, ${length}) =`]: prefix }
    : { "id >=": prefix, "id <": `${prefix}${LAST_CHARACTER}` };
}

/** Behind all others, byte by byte. */
const LAST_CHARACTER = "\u{10FFFF}";

function valuesOf([ordered = "", id = "", workspaceId = ""]: Position): readonly (string | bigint)[] {
  return [BigInt(ordered), id, workspaceId];
}
