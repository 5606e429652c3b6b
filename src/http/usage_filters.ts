import {
  DEFAULT_GROUPING,
  type Order,
  type Position,
  TRACE_ORDERS,
  type TraceQuery,
  USAGE_ORDERS,
  type UsageQuery,
} from "../domain/query.ts";
import { AdminRefusal } from "./admin_refusal.ts";
import { type Cursor, cursorText, readCursor } from "./cursor.ts";
import { CALL_FILTERS, callFiltersOf, filtersOf, type FilterValues, pageOf, unreadable } from "./admin_filters.ts";

/** The query of a list, and the cursor of the page behind `end`. */
export interface ListRequest<Query> {
  readonly query: Query;
  readonly cursorOf: (end: Position) => string;
}

const PAGE_FILTERS = ["limit", "offset", "order", "cursor"] as const;
export const USAGE_FILTERS = [...CALL_FILTERS, ...PAGE_FILTERS, "group_by"] as const;
export const TRACE_FILTERS = [...CALL_FILTERS, ...PAGE_FILTERS, "trace_prefix", "client", "failed", "min_cost"] as const;

/**
 * The query of `/internal/usage`. Pages by cursor count what was admitted before the first of them
 * was asked for, so totals do not change from page to page. Throws `AdminRefusal` 400 that names
 * the filters that cannot be read or combined.
 */
export function usageQueryOf(url: string, now: () => number): ListRequest<UsageQuery> {
  const read = filtersOf(url, USAGE_FILTERS);
  const filters = callFiltersOf(read);
  const groupBy = read.group_by ?? DEFAULT_GROUPING;
  const order = orderOf(read.order, USAGE_ORDERS);
  if (order.by === "time" && !groupBy.includes("day") && !groupBy.includes("hour")) {
    throw unreadable("order", {
      expects: "an order of these groups: time needs group_by=day or group_by=hour",
      value: read.order!,
    });
  }
  const question = JSON.stringify(["usage", filters, groupBy, order]);
  const cursor = cursorOf(read, question);
  // A row of this millisecond may have been counted already.
  const asOf = cursor?.asOf ?? now() + 1;
  const until = cursor === null ? filters.until : Math.min(filters.until ?? Infinity, asOf);
  return {
    query: { ...filters, until, ...pageOf(read), groupBy, order, asOf, after: cursor?.after ?? null },
    cursorOf: (after) => cursorText({ after, asOf }, question),
  };
}

/** The query of `/internal/traces`. Throws like `usageQueryOf`. */
export function traceQueryOf(url: string, now: () => number): ListRequest<TraceQuery> {
  const read = filtersOf(url, TRACE_FILTERS);
  const { trace_prefix: idPrefix, client, failed, min_cost: leastCost } = read;
  const filters = { ...callFiltersOf(read), idPrefix, begunBefore: null, client, hasFailed: failed ?? false, leastCost };
  const order = orderOf(read.order, TRACE_ORDERS);
  const question = JSON.stringify(["traces", filters, order]);
  const cursor = cursorOf(read, question);
  const asOf = cursor?.asOf ?? now();
  return {
    query: { ...filters, ...pageOf(read), asOf, order, after: cursor?.after ?? null },
    cursorOf: (after) => cursorText({ after, asOf }, question),
  };
}

/** The default is the first of `orders`. */
function orderOf<const By extends string>(value: string | null, orders: readonly [By, ...By[]]): Order<By> {
  if (value === null) return { by: orders[0], isAscending: false };
  const [name, way = "desc", ...rest] = value.split(".");
  const by = orders.find((order) => order === name);
  if (by === undefined || rest.length > 0 || (way !== "asc" && way !== "desc")) {
    throw unreadable("order", { expects: `one of ${orders.join(", ")}, alone or with .desc or .asc behind it`, value });
  }
  return { by, isAscending: way === "asc" };
}

/** Throws `AdminRefusal` for a cursor of another question, or with an offset beside it. */
export function cursorOf({ cursor, offset }: FilterValues<"cursor" | "offset">, question: string): Cursor | null {
  if (cursor === null) return null;
  if (offset !== null) {
    throw new AdminRefusal(
      "invalid_request_error",
      "Cannot read the filter offset beside cursor: a cursor says itself where to go on",
    );
  }
  const read = readCursor(cursor, question);
  if (read === null) throw unreadable("cursor", { expects: "the nextCursor of an answer to this same question", value: cursor });
  return read;
}
