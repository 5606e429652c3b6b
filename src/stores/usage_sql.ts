import {
  type CallFilters,
  type Grouping,
  type Position,
  RowsDropped,
  type UsageOrder,
  type UsagePage,
  type UsageQuery,
} from "../domain/query.ts";
import type { Period } from "../domain/calendar.ts";
import type { UsageSummary } from "../domain/usage.ts";
import { type Part, type PartsAsked, partsOf } from "./rollups.ts";
import { spanOf, type Stretch } from "./query_bounds.ts";
import { integer, type Row, text } from "./row_decoders.ts";
import { COUNTED_ROW, SUMS, SUMS_OR_ZERO, TOTAL_NAMES, totalsOf } from "./totals.ts";

export type Value = string | number | bigint | null;

/** A statement that both databases understand, with a `?` for each of its values. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly Value[];
}

/** A statement, and the answer that its rows are. */
export interface Question<T> extends Statement {
  readonly read: (rows: readonly Row[]) => T;
}

/** What a filter compares, such as `hour >=`, and with what; null does not filter. */
export type Filters = Readonly<Record<string, string | number | null>>;

/** What totals are grouped by. */
interface Column {
  readonly name: string;
  readonly field: keyof UsageSummary;
  readonly ofRow: string;
  /**
   * Its value in a row of totals whose period begins at `start`; null if no totals have it.
   */
  readonly ofTotals: ((start: string) => string) | null;
  /** The longest period whose totals have it. */
  readonly longest: Period;
  readonly isInteger?: true;
}

const ROWS_ONLY = { ofTotals: null, longest: "month" } as const;
const DAY = "/ 86400000 * 86400000";
const HOUR = "/ 3600000 * 3600000";

/** Of a row: empty if it has none. */
const UPSTREAM = "coalesce(upstream, '')";

const WORKSPACE = ofKey("workspace_id", "workspaceId", "workspace_id");

const COLUMNS: Readonly<Record<Grouping, readonly Column[]>> = {
  provider: [ofKey("provider", "provider", "provider")],
  upstream: [ofKey("upstream", "upstream", UPSTREAM)],
  model: [ofKey("model", "model", "coalesce(served_model, requested_model)")],
  workspace: [WORKSPACE],
  sandbox: [ofKey("sandbox_id", "sandboxId", "sandbox_id")],
  trace: [WORKSPACE, { name: "trace_id", field: "traceId", ofRow: "trace_id", ...ROWS_ONLY }],
  agent: [{ name: "agent_id", field: "agentId", ofRow: "coalesce(agent_id, '')", ...ROWS_ONLY }],
  client: [{ name: "client", field: "client", ofRow: "coalesce(client, '')", ...ROWS_ONLY }],
  day: [ofTime("day", (time) => `${time} ${DAY}`)],
  hour: [ofTime("hour", (time) => `${time} ${HOUR}`)],
};

/** What a page is ordered by. `time` is the hour, or the day if it is not grouped by the hour. */
const ORDERED: Readonly<Record<Exclude<UsageOrder, "time">, string>> = {
  tokens: "sum(input_tokens + output_tokens + cache_creation_input_tokens + cache_read_input_tokens)",
  cost: "sum(cost)",
  requests: "sum(request_count)",
  failures: "sum(failed_count)",
};

/**
 * One statement for a page of groups and one group more, and behind them the totals of all groups.
 * It reads the totals of hours, or rows if the hours lack what is asked. Throws `RowsDropped` if
 * those rows were dropped.
 */
export function usageQuestion(query: UsageQuery, droppedBefore: number): Question<UsagePage> {
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
      SELECT 0 AS part, ${keys}, ordered, ${TOTAL_NAMES.join(", ")} FROM page
      UNION ALL
      SELECT 1, ${columns.map(() => "NULL").join(", ")}, NULL, ${SUMS_OR_ZERO} FROM grouped
      ORDER BY part, ordered ${way}, ${keys}`,
    values: [...sources.flatMap(({ values }) => values), ...after.values, query.limit + 1, query.offset],
    read: (rows) => usagePageOf(rows, { query, columns }),
  };
}

function usagePageOf(
  rows: readonly Row[],
  { query, columns }: { readonly query: UsageQuery; readonly columns: readonly Column[] },
): UsagePage {
  const groups = rows.slice(0, -1);
  const shown = groups.slice(0, query.limit);
  return {
    usage: shown.map((row) => summaryOf(row, columns)),
    totals: totalsOf(rows.at(-1)!),
    next: groups.length > shown.length ? positionOf(shown.at(-1)!, ["ordered", ...columns.map(({ name }) => name)]) : null,
  };
}

function summaryOf(row: Row, columns: readonly Column[]): UsageSummary {
  const keys = columns.map(({ name, field, isInteger }) => [field, isInteger ? integer(row, name) : text(row, name)]);
  return { ...Object.fromEntries(keys), ...totalsOf(row) };
}

/** Null if there is no row: an empty page has no end. */
export function positionOf(row: Row | undefined, columns: readonly string[]): Position | null {
  return row === undefined ? null : columns.map((column) => String(row[column]));
}

/**
 * The conditions of those filters that are given, so that each combination can use its own index.
 */
export function narrowed(filters: Filters): Statement {
  const given = Object.entries(filters).filter(([, value]) => value !== null);
  return { sql: given.map(([compared]) => `AND ${compared} ?`).join(" "), values: given.map(([, value]) => value) };
}

type OfCalls = Pick<CallFilters, "upstream" | "model" | "outcome" | "accuracy">;

/** The filters that only calls have. */
export function callFilters({ upstream, model, outcome, accuracy }: OfCalls): Filters {
  return {
    [`${UPSTREAM} =`]: upstream,
    "coalesce(served_model, requested_model) =": model,
    "outcome =": outcome,
    "accuracy =": accuracy,
  };
}

/** The filters that all lists have, without those of time. */
export function ownerFilters({ workspaceId, sandboxId }: Pick<CallFilters, "workspaceId" | "sandboxId">): Filters {
  return { "workspace_id =": workspaceId, "sandbox_id =": sandboxId };
}

function columnsOf(groupBy: readonly Grouping[]): readonly Column[] {
  return [...new Map(groupBy.flatMap((grouping) => COLUMNS[grouping]).map((column) => [column.name, column])).values()];
}

function ofKey(name: string, field: keyof UsageSummary, ofRow: string): Column {
  return { name, field, ofRow, ofTotals: () => name, longest: "month" };
}

function ofTime(period: "day" | "hour", startOf: (time: string) => string): Column {
  return { name: period, field: period, ofRow: startOf("created_at"), ofTotals: startOf, longest: period, isInteger: true };
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
  const needsRows = query.outcome !== null || query.accuracy !== null || columns.some(({ ofTotals }) => ofTotals === null);
  if (needsRows) {
    if ((query.since ?? Number.MIN_SAFE_INTEGER) < droppedBefore) throw new RowsDropped(droppedBefore);
    return [rowsOf(query, { columns, stretch: { from: query.since, to: query.until } })];
  }
  const { hours, head, tail } = spanOf(query, droppedBefore);
  const rows = [head, tail].filter((stretch) => stretch !== null).map((stretch) => rowsOf(query, { columns, stretch }));
  const totals = hours === null
    ? []
    : partsOf(hours, askedOf(query, columns)).map((part) => totalsIn(query, { columns, ...part }));
  const all = [...totals, ...rows];
  return all.length > 0 ? all : [rowsOf(query, { columns, stretch: NEVER })];
}

const NEVER: Stretch = { from: 0, to: 0 };

interface Source {
  readonly columns: readonly Column[];
  readonly stretch: Stretch;
}

function rowsOf(query: UsageQuery, { columns, stretch }: Source): Statement {
  const times = { "created_at >=": stretch.from, "created_at <": stretch.to };
  const { sql, values } = narrowed({ ...times, ...ownerFilters(query), ...callFilters(query) });
  return {
    sql: `
      SELECT ${columns.map(({ name, ofRow }) => `${ofRow} AS ${name}`).join(", ")}, ${COUNTED_ROW}
      FROM usage
      WHERE revision > 0 ${sql}`,
    values,
  };
}

const PERIODS: readonly Period[] = ["month", "day", "hour"];

/** Which roll-ups may answer for a query. */
function askedOf(query: UsageQuery, columns: readonly Column[]): PartsAsked {
  const { workspaceId, sandboxId, upstream, model, asOf } = query;
  const filtered = Object.entries({ workspace_id: workspaceId, upstream, model }).filter(([, value]) => value !== null);
  const grouped = columns.filter(({ isInteger }) => !isInteger);
  const longest = Math.max(...columns.map((column) => PERIODS.indexOf(column.longest)));
  return {
    needs: [...filtered.map(([key]) => key), ...grouped.map(({ name }) => name)],
    // An index finds the hours of one sandbox among those of all.
    periods: sandboxId === null ? PERIODS.slice(longest) : [],
    asOf,
  };
}

/** Of a roll-up, or of `usage_hours` if it is null. */
function totalsIn(query: UsageQuery, { columns, stretch, rollup, isSubtracted }: Source & Part): Statement {
  const start = rollup === null ? "hour" : "start";
  const times = { [`${start} >=`]: stretch.from, [`${start} <`]: stretch.to };
  const ofFleet = rollup === null || rollup.keeps.includes("workspace_id") ? {} : { "workspace_id =": "" };
  const level = { "level =": rollup?.level ?? null };
  const ofCalls = { "upstream =": query.upstream, "model =": query.model };
  const { sql, values } = narrowed({ ...ownerFilters(query), ...ofFleet, ...level, ...times, ...ofCalls });
  const sums = TOTAL_NAMES.map((name) => isSubtracted ? `-${name} AS ${name}` : name);
  return {
    sql: `
      SELECT ${columns.map(({ name, ofTotals }) => `${ofTotals!(start)} AS ${name}`).join(", ")}, ${sums.join(", ")}
      FROM ${rollup === null ? "usage_hours" : "usage_rollups"}
      WHERE true ${sql}`,
    values,
  };
}
