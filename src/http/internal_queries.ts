import { z } from "zod";
import type { ExportFormat } from "../domain/usage_record.ts";
import type { QueryOpts } from "../domain/usage.ts";
import { AdminRefusal, shown } from "./admin_refusal.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
const MAX_ID_LENGTH = 256;

/** One way to read a filter's text. */
interface Filter<T> {
  /** What stands after "as" in `Cannot read the filter x as …`. */
  readonly expects: string;
  readonly schema: z.ZodType<T>;
}

/** RFC 3339 with its seconds, which zod leaves to choice; fractions finer than a millisecond are cut off. */
export const rfc3339 = z.iso.datetime({ offset: true }).regex(/T\d\d:\d\d:\d\d/).transform((text) => Date.parse(text));

const id = z.string().min(1).max(MAX_ID_LENGTH).regex(/^\P{Cc}+$/u);
const EXPORT_FORMATS = ["csv", "ndjson", "parquet"] as const satisfies readonly ExportFormat[];
const TIME_EXPECTED = "a time by RFC 3339 such as 2026-01-31T12:00:00Z (the + of an offset is written %2B)";
const ID_FILTER = { expects: `an id of 1 to ${MAX_ID_LENGTH} characters without control characters`, schema: id };

/** A new filter is one row. */
const FILTERS = {
  workspace_id: ID_FILTER,
  sandbox_id: ID_FILTER,
  since: { expects: TIME_EXPECTED, schema: rfc3339 },
  until: { expects: TIME_EXPECTED, schema: rfc3339 },
  format: { expects: `one of ${EXPORT_FORMATS.join(", ")}`, schema: z.enum(EXPORT_FORMATS) },
  limit: {
    expects: `a whole number from 1 to ${MAX_LIMIT}`,
    schema: z.string().regex(/^\d{1,4}$/).transform(Number).refine((limit) => limit >= 1 && limit <= MAX_LIMIT),
  },
  offset: {
    expects: "a whole number from 0",
    schema: z.string().regex(/^\d{1,16}$/).transform(Number).refine(Number.isSafeInteger),
  },
} satisfies Record<string, Filter<string | number>>;

export type FilterName = keyof typeof FILTERS;
type FilterValues<N extends FilterName> = { readonly [K in N]: z.output<(typeof FILTERS)[K]["schema"]> | null };

const QUERY_FILTERS = ["workspace_id", "sandbox_id", "since", "limit", "offset"] as const;

/** The filters of a list. Throws `AdminRefusal` 400 that names what cannot be read. */
export function queryOptsOf(url: string): QueryOpts {
  const { workspace_id, sandbox_id, since, limit, offset } = filtersOf(url, QUERY_FILTERS);
  return { workspaceId: workspace_id, sandboxId: sandbox_id, since, limit: limit ?? DEFAULT_LIMIT, offset: offset ?? 0 };
}

/**
 * The named filters of a URL's query, null where one is not there. Nothing is ignored: an unknown, repeated, empty or
 * unreadable one throws `AdminRefusal` 400 that names it and shows its value.
 */
export function filtersOf<const N extends FilterName>(url: string, names: readonly N[]): FilterValues<N> {
  const values = new Map<string, unknown>();
  for (const { name, value, raw } of pairsOf(url)) {
    if (!names.some((known) => known === name)) throw unknownFilter(name ?? raw, names);
    const filter: Filter<unknown> = FILTERS[name as N];
    if (values.has(name!)) throw new AdminRefusal("invalid_request_error", `Cannot read the filter ${name}: it is given twice`);
    const read = filter.schema.safeParse(value);
    if (!read.success) {
      const current = `current value is ${shown(value ?? raw)}`;
      throw new AdminRefusal("invalid_request_error", `Cannot read the filter ${name} as ${filter.expects}: ${current}`);
    }
    values.set(name!, read.data);
  }
  return Object.fromEntries(names.map((name) => [name, values.get(name) ?? null])) as FilterValues<N>;
}

function unknownFilter(name: string, names: readonly string[]): AdminRefusal {
  const known = names.length === 0 ? "there are none here" : `there are ${names.join(", ")}`;
  return new AdminRefusal("invalid_request_error", `Cannot read the filter ${shown(name)}: ${known}`);
}

/** Name and value of each pair of the query, null where they are not percent-encoded UTF-8; `raw` is the value as it came. */
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
