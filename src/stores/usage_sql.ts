import {
  type CallFilters,
  type Grouping,
  type Position,
  RowsDropped,
  type UsageOrder,
  type UsagePage,
  type UsageQuery,
} from "../domain/query.ts";
import { spanOf, type Stretch } from "./query_bounds.ts";
import { type Row, summaryOf, totalsOf } from "./row_decoders.ts";

/** A statement that both databases understand: `?` for each of its values, in their order. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly (string | number | bigint)[];
}

export interface Filter {
  readonly sql: string;
  readonly value: string | number | null;
}

interface Column {
  readonly name: string;
  readonly ofRow: string;
  /** Null where the roll-ups do not tell. */
  readonly ofHour: string | null;
  readonly isInteger: boolean;
}

const WORKSPACE: Column = { name: "workspace_id", ofRow: "workspace_id", ofHour: "workspace_id", isInteger: false };

const COLUMNS: Readonly<Record<Grouping, readonly Column[]>> = {
  provider: [{ name: "provider", ofRow: "provider", ofHour: "provider", isInteger: false }],
  model: [{ name: "model", ofRow: "coalesce(served_model, requested_model)", ofHour: "model", isInteger: false }],
  workspace: [WORKSPACE],
  sandbox: [{ name: "sandbox_id", ofRow: "sandbox_id", ofHour: "sandbox_id", isInteger: false }],
  trace: [WORKSPACE, { name: "trace_id", ofRow: "trace_id", ofHour: null, isInteger: false }],
  agent: [{ name: "agent_id", ofRow: "coalesce(agent_id, '')", ofHour: null, isInteger: false }],
  client: [{ name: "client", ofRow: "coalesce(client, '')", ofHour: null, isInteger: false }],
  day: [{ name: "day", ofRow: "created_at / 86400000 * 86400000", ofHour: "hour / 86400000 * 86400000", isInteger: true }],
  hour: [{ name: "hour", ofRow: "created_at / 3600000 * 3600000", ofHour: "hour", isInteger: true }],
};

/** What a page is ordered by. `time` is the finer of the two that it may be grouped by. */
const ORDERED: Readonly<Record<Exclude<UsageOrder, "time">, string>> = {
  tokens: "sum(input_tokens + output_tokens + cache_creation_input_tokens + cache_read_input_tokens)",
  cost: "sum(cost)",
  requests: "sum(request_count)",
};

const TOTALS = [
  ...["request_count", "input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"],
  ...["cost", "estimated_cost", "estimated_count", "unknown_count", "unpriced_count", "partly_priced_count"],
  ...["retry_count", "retried_cost"],
];

/** Of one row what `TOTALS` names, in that order. */
export const COUNTED_ROW = `
  1 AS request_count,
  input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
  coalesce(cost, 0)                                                        AS cost,
  CASE WHEN accuracy = 'estimated' THEN coalesce(cost, 0) ELSE 0 END          AS estimated_cost,
  CASE WHEN accuracy = 'estimated' THEN 1 ELSE 0 END                          AS estimated_count,
  CASE WHEN accuracy = 'unknown' THEN 1 ELSE 0 END                            AS unknown_count,
  CASE WHEN cost IS NULL AND accuracy <> 'unknown' THEN 1 ELSE 0 END          AS unpriced_count,
  CASE WHEN unpriced_uses IS NOT NULL THEN 1 ELSE 0 END                    AS partly_priced_count,
  CASE WHEN retry_of IS NOT NULL THEN 1 ELSE 0 END                         AS retry_count,
  CASE WHEN asked_again THEN coalesce(cost, 0) ELSE 0 END                  AS retried_cost`;

export const SUMS = TOTALS.map((name) => `sum(${name}) AS ${name}`).join(", ");
const SUMS_OR_NOTHING = TOTALS.map((name) => `coalesce(sum(${name}), 0) AS ${name}`).join(", ");

/**
 * One statement for a page of groups, one more than the page has, and behind them the totals of all of them. The totals of
 * hours answer where they can tell, rows where they cannot. Throws `RowsDropped` where neither can.
 */
export function usageStatement(query: UsageQuery, droppedBefore: number): Statement {
  const columns = columnsOf(query.groupBy);
  const keys = columns.map(({ name }) => name).join(", ");
  const sources = sourcesOf(query, { columns, droppedBefore });
  const [way, beyond] = query.order.isAscending ? ["ASC", ">"] : ["DESC", "<"];
  const after = query.after === null ? { sql: "", values: [] } : {
    sql: `WHERE ordered ${beyond} CAST(? AS NUMERIC) OR (ordered = CAST(? AS NUMERIC) AND (${keys}) > (${marks(columns)}))`,
    values: afterOf(query.after, columns),
  };
  return {
    sql: `
      WITH counted AS (${sources.map(({ sql }) => sql).join(" UNION ALL ")}),
      grouped AS MATERIALIZED (
        SELECT ${keys}, ${orderedBy(query)} AS ordered, ${SUMS}
        FROM counted
        GROUP BY ${keys}
        HAVING sum(request_count) > 0
      ),
      page AS (
        SELECT * FROM grouped
        ${after.sql}
        ORDER BY ordered ${way}, ${keys}
        LIMIT ? OFFSET ?
      )
      SELECT 0 AS part, ${keys}, ordered, ${TOTALS.join(", ")} FROM page
      UNION ALL
      SELECT 1, ${columns.map(() => "NULL").join(", ")}, NULL, ${SUMS_OR_NOTHING} FROM grouped
      ORDER BY part, ordered ${way}, ${keys}`,
    values: [...sources.flatMap(({ values }) => values), ...after.values, query.limit + 1, query.offset],
  };
}

export function usagePageOf(rows: readonly Row[], query: UsageQuery): UsagePage {
  const names = columnsOf(query.groupBy).map(({ name }) => name);
  const groups = rows.slice(0, -1);
  const shown = groups.slice(0, query.limit);
  return {
    usage: shown.map((row) => summaryOf(row, names)),
    totals: totalsOf(rows.at(-1)!),
    next: groups.length > shown.length ? positionOf(shown.at(-1)!, ["ordered", ...names]) : null,
  };
}

/** Null where there is no last one: an empty page ends nowhere. */
export function positionOf(row: Row | undefined, columns: readonly string[]): Position | null {
  return row === undefined ? null : columns.map((column) => String(row[column]));
}

/** The filters of calls, on rows of `usage` or of `usage_hours`; those that are null are left away, so that each fits its own index. */
export function narrowed(filters: readonly Filter[]): Statement {
  const given = filters.filter(({ value }) => value !== null);
  return { sql: given.map(({ sql }) => sql).join(" "), values: given.map(({ value }) => value!) };
}

/** What keeps a call, besides when it was made; for export and whoever else reads rows. */
export function callFilters(
  { workspaceId, sandboxId, model, outcome, accuracy }: Omit<CallFilters, "since" | "until">,
): readonly Filter[] {
  return [
    { sql: "AND workspace_id = ?", value: workspaceId },
    { sql: "AND sandbox_id = ?", value: sandboxId },
    { sql: "AND coalesce(served_model, requested_model) = ?", value: model },
    { sql: "AND outcome = ?", value: outcome },
    { sql: "AND accuracy = ?", value: accuracy },
  ];
}

function columnsOf(groupBy: readonly Grouping[]): readonly Column[] {
  return [...new Map(groupBy.flatMap((grouping) => COLUMNS[grouping]).map((column) => [column.name, column])).values()];
}

function orderedBy({ order: { by }, groupBy }: UsageQuery): string {
  if (by !== "time") return ORDERED[by];
  return groupBy.includes("hour") ? "hour" : "day";
}

function marks(columns: readonly Column[]): string {
  return columns.map(() => "?").join(", ");
}

/** Integers as bigint: a number would be bound as a float. */
function afterOf([ordered = "", ...keys]: Position, columns: readonly Column[]): readonly (string | bigint)[] {
  return [BigInt(ordered), BigInt(ordered), ...columns.map(({ isInteger }, n) => isInteger ? BigInt(keys[n]!) : keys[n]!)];
}

function sourcesOf(
  query: UsageQuery,
  { columns, droppedBefore }: { readonly columns: readonly Column[]; readonly droppedBefore: number },
): readonly Statement[] {
  const needsRows = query.outcome !== null || query.accuracy !== null || columns.some(({ ofHour }) => ofHour === null);
  if (needsRows) {
    if ((query.since ?? Number.MIN_SAFE_INTEGER) < droppedBefore) throw new RowsDropped(droppedBefore);
    return [rowsOf(query, { columns, stretch: { from: query.since, to: query.until } })];
  }
  const { hours, head, tail } = spanOf(query, droppedBefore);
  const rows = [head, tail].filter((stretch) => stretch !== null).map((stretch) => rowsOf(query, { columns, stretch }));
  const all = hours === null ? rows : [hoursOf(query, { columns, stretch: hours }), ...rows];
  return all.length > 0 ? all : [rowsOf(query, { columns, stretch: NEVER })];
}

const NEVER: Stretch = { from: 0, to: 0 };

interface Source {
  readonly columns: readonly Column[];
  readonly stretch: Stretch;
}

function rowsOf(query: UsageQuery, { columns, stretch }: Source): Statement {
  const { sql, values } = narrowed([
    { sql: "AND created_at >= ?", value: stretch.from },
    { sql: "AND created_at < ?", value: stretch.to },
    ...callFilters(query),
  ]);
  return {
    sql: `
      SELECT ${columns.map(({ name, ofRow }) => `${ofRow} AS ${name}`).join(", ")}, ${COUNTED_ROW}
      FROM usage
      WHERE revision > 0 ${sql}`,
    values,
  };
}

function hoursOf(query: UsageQuery, { columns, stretch }: Source): Statement {
  const { sql, values } = narrowed([
    { sql: "AND hour >= ?", value: stretch.from },
    { sql: "AND hour < ?", value: stretch.to },
    { sql: "AND workspace_id = ?", value: query.workspaceId },
    { sql: "AND sandbox_id = ?", value: query.sandboxId },
    { sql: "AND model = ?", value: query.model },
  ]);
  return {
    sql: `
      SELECT ${columns.map(({ name, ofHour }) => `${ofHour} AS ${name}`).join(", ")}, ${TOTALS.join(", ")}
      FROM usage_hours
      WHERE true ${sql}`,
    values,
  };
}
