import { z } from "zod";
import { AUDIT_ACTIONS } from "../domain/audit.ts";
import { isEmptySpan } from "../domain/calendar.ts";
import { nanoDollarsOf } from "../domain/money.ts";
import { type CallFilters, type Grouping, GROUPINGS } from "../domain/query.ts";
import { ACCURACIES, OUTCOMES, type QueryOpts } from "../domain/usage.ts";
import { EXPORT_FORMATS } from "../domain/usage_record.ts";
import { AdminRefusal, shown } from "./admin_refusal.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
const MAX_ID_LENGTH = 256;
const MAX_CURSOR_LENGTH = 16_384;
const MAX_WAIT_SECONDS = 30;
const CURSOR_FILTER = {
  expects: `a cursor of at most ${MAX_CURSOR_LENGTH} characters`,
  schema: z.string().max(MAX_CURSOR_LENGTH),
};

interface Filter<T> {
  /** What stands after "as" in `Cannot read the filter x as …`. */
  readonly expects: string;
  readonly schema: z.ZodType<T>;
}

/** What stands after "as" in `Cannot read x as …`. */
export const RFC3339_WORDS = "a time by RFC 3339 with its seconds, such as 2026-01-31T12:00:00Z";

const EXPECTED = `expected ${RFC3339_WORDS}`;

/** RFC 3339 with its seconds, which zod makes optional. Fractions of a millisecond are cut off. */
export const rfc3339 = z.iso.datetime({ offset: true, error: EXPECTED }).regex(/T\d\d:\d\d:\d\d/, { error: EXPECTED })
  .meta({ format: "date-time" }).transform((text) => Date.parse(text));

const id = z.string().min(1).max(MAX_ID_LENGTH).regex(/^\P{Cc}+$/u);
export const ID_FILTER = { expects: `an id of 1 to ${MAX_ID_LENGTH} characters without control characters`, schema: id };

const TIME_FILTER = {
  expects: `${RFC3339_WORDS} (the + of an offset is written %2B)`,
  schema: rfc3339,
};
const YES_FILTER = {
  expects: "true or false",
  schema: z.enum(["true", "false"]).transform((text) => text === "true").pipe(z.boolean()),
};

/** A new filter is one row. */
const FILTERS = {
  workspace_id: ID_FILTER,
  sandbox_id: ID_FILTER,
  trace_id: ID_FILTER,
  since: TIME_FILTER,
  until: TIME_FILTER,
  upstream: { ...ID_FILTER, expects: ID_FILTER.expects.replace("an id", "an upstream's name") },
  model: { ...ID_FILTER, expects: ID_FILTER.expects.replace("an id", "a model") },
  trace_prefix: { ...ID_FILTER, expects: ID_FILTER.expects.replace("an id", "the beginning of an id") },
  client: { ...ID_FILTER, expects: ID_FILTER.expects.replace("an id", "a client") },
  failed: YES_FILTER,
  min_cost: {
    expects: "US dollars such as 5 or 0.25, below 10,000,000 and with at most nine decimal places",
    schema: z.string().regex(/^\d{1,7}(\.\d{1,9})?$/).transform(nanoDollarsOf).pipe(z.int()),
  },
  outcome: { expects: `one of ${OUTCOMES.join(", ")}`, schema: z.enum(OUTCOMES) },
  accuracy: { expects: `one of ${ACCURACIES.join(", ")}`, schema: z.enum(ACCURACIES) },
  action: { expects: `one of ${AUDIT_ACTIONS.join(", ")}`, schema: z.enum(AUDIT_ACTIONS) },
  group_by: {
    expects: `one or more of ${GROUPINGS.join(", ")}, each once, with commas between them`,
    schema: z.string().transform((text) => text.split(",")).pipe(z.array(z.enum(GROUPINGS))).refine(areDistinct),
  },
  // Each list has its own orders.
  order: { expects: "an order", schema: z.string() },
  cursor: CURSOR_FILTER,
  after: CURSOR_FILTER,
  wait: {
    expects: `a whole number of seconds from 0 to ${MAX_WAIT_SECONDS}`,
    schema: z.string().regex(/^\d{1,2}$/).transform(Number).pipe(z.int().min(0).max(MAX_WAIT_SECONDS)),
  },
  dry_run: YES_FILTER,
  rows: YES_FILTER,
  format: { expects: `one of ${EXPORT_FORMATS.join(", ")}`, schema: z.enum(EXPORT_FORMATS) },
  limit: {
    expects: `a whole number from 1 to ${MAX_LIMIT}`,
    schema: z.string().regex(/^\d{1,4}$/).transform(Number).pipe(z.int().min(1).max(MAX_LIMIT)),
  },
  offset: {
    expects: "a whole number from 0",
    schema: z.string().regex(/^\d{1,16}$/).transform(Number).pipe(z.int().min(0)),
  },
} satisfies Record<string, Filter<string | number | boolean | readonly Grouping[]>>;

export type FilterName = keyof typeof FILTERS;
export type FilterValues<N extends FilterName> = { readonly [K in N]: z.output<(typeof FILTERS)[K]["schema"]> | null };

export function filterSchema(name: FilterName): Filter<unknown> {
  return FILTERS[name];
}

/** The filters of calls, in every list of them. */
export const CALL_FILTERS = ["workspace_id", "sandbox_id", "since", "until", "upstream", "model", "outcome", "accuracy"] as const;
export const LIST_FILTERS = ["workspace_id", "sandbox_id", "since", "until", "limit", "offset"] as const;

/** The filters of a plain list. Throws `AdminRefusal` 400 that names what cannot be read. */
export function queryOptsOf(url: string): QueryOpts {
  const { workspace_id, sandbox_id, since, until, ...page } = filtersOf(url, LIST_FILTERS);
  return { workspaceId: workspace_id, sandboxId: sandbox_id, since, until, ...pageOf(page) };
}

export function callFiltersOf(read: FilterValues<(typeof CALL_FILTERS)[number]>): CallFilters {
  const { workspace_id, sandbox_id, since, until, upstream, model, outcome, accuracy } = read;
  return { workspaceId: workspace_id, sandboxId: sandbox_id, since, until, upstream, model, outcome, accuracy };
}

export function pageOf({ limit, offset }: FilterValues<"limit" | "offset">): Pick<QueryOpts, "limit" | "offset"> {
  return { limit: limit ?? DEFAULT_LIMIT, offset: offset ?? 0 };
}

export function unreadable(
  name: FilterName,
  { expects, value }: { readonly expects: string; readonly value: string },
): AdminRefusal {
  const message = `Cannot read the filter ${name} as ${expects}: current value is ${shown(value)}`;
  return new AdminRefusal("invalid_request_error", message);
}

/** Of every route: an empty span is a mistake, and an empty answer would look true. */
function refuseEmptySpan(since: unknown, until: unknown): void {
  if (typeof since !== "number" || typeof until !== "number" || !isEmptySpan(since, until)) return;
  throw unreadable("until", { expects: "a time after since", value: new Date(until).toISOString() });
}

/** The end of a span without `until` is now, so it cannot begin later. */
export function untilNow(since: number | null, { until, now }: { readonly until: number | null; readonly now: number }): number {
  if (until !== null) return until;
  if (since === null || !isEmptySpan(since, now)) return now;
  throw unreadable("since", { expects: "a time before now (no until is given)", value: new Date(since).toISOString() });
}

function areDistinct(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}

/**
 * The named filters of a URL's query, null if they are not given. Throws `AdminRefusal` 400 for an
 * unknown, repeated, empty or unreadable filter, with its name and value, and for an `until` that
 * is not after `since`.
 */
export function filtersOf<const N extends FilterName>(url: string, names: readonly N[]): FilterValues<N> {
  const values = new Map<string, unknown>();
  for (const { name, value, raw } of pairsOf(url)) {
    if (!names.some((known) => known === name)) throw unknownFilter(name ?? raw, names);
    const filter: Filter<unknown> = FILTERS[name as N];
    if (values.has(name!)) throw new AdminRefusal("invalid_request_error", `Cannot read the filter ${name}: it is given twice`);
    const read = filter.schema.safeParse(value);
    if (!read.success) {
      throw unreadable(name as N, { expects: filter.expects, value: value ?? raw });
    }
    values.set(name!, read.data);
  }
  refuseEmptySpan(values.get("since"), values.get("until"));
  return Object.fromEntries(names.map((name) => [name, values.get(name) ?? null])) as FilterValues<N>;
}

function unknownFilter(name: string, names: readonly string[]): AdminRefusal {
  const known = names.length === 0 ? "this route has no filters" : `there are ${names.join(", ")}`;
  return new AdminRefusal("invalid_request_error", `Cannot read the filter ${shown(name)}: ${known}`);
}

/**
 * Name and value of each pair of the query, null if they are not percent-encoded UTF-8. `raw` is
 * the value as it came.
 */
function pairsOf(url: string): readonly { readonly name: string | null; readonly value: string | null; readonly raw: string }[] {
  const start = url.indexOf("?");
  if (start < 0) return [];
  return url.slice(start + 1).split("#")[0]!.split("&").filter((pair) => pair !== "").map((pair) => {
    const [name, raw] = pair.includes("=") ? [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)] : [pair, ""];
    return { name: decoded(name), value: decoded(raw), raw };
  });
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return null;
  }
}
