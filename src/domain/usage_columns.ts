import { costUsd } from "./money.ts";

/**
 * `call` is known at admission, `closing` and `reading` at the end; the store sets the rest itself.
 */
type Source = "call" | "closing" | "reading" | "store";

/** Field values by kind. In a row, `counts` and `list` are JSON, and NULL if they are empty. */
interface Values {
  readonly text: string;
  readonly count: number;
  /** Milliseconds, stored as whole ones. */
  readonly ms: number;
  /** Milliseconds since the epoch, UTC. */
  readonly time: number;
  /** Whole nano-dollars. */
  readonly money: number;
  readonly flag: boolean;
  readonly counts: Readonly<Record<string, number>>;
  readonly list: readonly Readonly<Record<string, unknown>>[];
}

export type Kind = keyof Values;

interface UsageColumn {
  readonly from: Source;
  readonly kind: Kind;
  readonly isNullable?: true;
  /**
   * Its name in `OpenCall`, `Closing` or `UsageReading`, if that is not the column's in camel case.
   */
  readonly field?: string;
  /** Its name in answers and exports, if that is not the field's. */
  readonly shownAs?: string;
  /** Left out: a trace's detail and exports both show it. */
  readonly shownIn?: "detail" | "export" | "neither";
  /** Shown instead of NULL. Without it a nullable column is left out if it is NULL. */
  readonly ifNull?: string | number;
  /** Left out if it is empty. */
  readonly isOptional?: true;
}

/**
 * The columns of `usage` in the order of the exports. The stores' statements, their readers,
 * shipping, exports and the admin API are made from this table, and so are the types below.
 *
 * A new column is one row here and one migration on each side. An exported one is the last of those
 * that are exported: readers go by place.
 */
const TABLE = {
  id: { from: "call", kind: "text" },
  created_at: { from: "call", kind: "time" },
  workspace_id: { from: "call", kind: "text" },
  sandbox_id: { from: "call", kind: "text" },
  trace_id: { from: "call", kind: "text", isOptional: true },
  kind: { from: "call", kind: "text", shownIn: "export" },
  provider: { from: "call", kind: "text" },
  requested_model: { from: "call", kind: "text" },
  // No column: the served model, or the requested one if no answer named one.
  model: { from: "store", kind: "text" },
  outcome: { from: "closing", kind: "text", ifNull: "open" },
  accuracy: { from: "closing", kind: "text" },
  cost: { from: "closing", kind: "money", isNullable: true },
  price_version: { from: "closing", kind: "text", isNullable: true },
  input_tokens: { from: "reading", kind: "count" },
  output_tokens: { from: "reading", kind: "count" },
  cache_creation_input_tokens: { from: "reading", kind: "count" },
  cache_read_input_tokens: { from: "reading", kind: "count" },
  // 5-minute and 1-hour writes sum to all cache writes if the upstream names the split.
  cache_creation_5m_tokens: { from: "reading", kind: "count", shownAs: "cacheCreation5mInputTokens" },
  cache_creation_1h_tokens: { from: "reading", kind: "count", shownAs: "cacheCreation1hInputTokens" },
  // A part of the output tokens, not an addition.
  thinking_tokens: { from: "reading", kind: "count" },
  server_tool_use: { from: "reading", kind: "counts", isOptional: true },
  iterations: { from: "reading", kind: "list", isOptional: true },
  service_tier: { from: "reading", kind: "text", isNullable: true },
  inference_geo: { from: "reading", kind: "text", isNullable: true },
  speed: { from: "reading", kind: "text", isNullable: true },
  streaming: { from: "call", kind: "flag" },
  duration_ms: { from: "closing", kind: "ms", isNullable: true, field: "duration", ifNull: 0 },
  ttft_ms: { from: "closing", kind: "ms", isNullable: true, field: "ttft", ifNull: 0 },
  status: { from: "closing", kind: "count", isNullable: true },
  error_type: { from: "reading", kind: "text", isNullable: true },
  stop_reason: { from: "reading", kind: "text", isNullable: true },
  message_id: { from: "reading", kind: "text", isNullable: true },
  upstream_request_id: { from: "closing", kind: "text", isNullable: true },
  max_tokens: { from: "call", kind: "count", isNullable: true, shownIn: "export" },
  request_bytes: { from: "call", kind: "count", shownIn: "export" },
  agent_id: { from: "call", kind: "text", isNullable: true },
  parent_agent_id: { from: "call", kind: "text", isNullable: true },
  agent_type: { from: "call", kind: "text", isNullable: true },
  request_class: { from: "call", kind: "text", isNullable: true },
  prompt_id: { from: "call", kind: "text", isNullable: true },
  client: { from: "call", kind: "text", isNullable: true },
  token_id: { from: "call", kind: "text", isNullable: true, shownIn: "export" },
  credential_id: { from: "call", kind: "text", isNullable: true, shownIn: "export" },
  // The first call of the chain of retries that this one continues (`retry.ts`).
  retry_of: { from: "store", kind: "text", isNullable: true },
  // The message batch of a line, and the client's own id of that line.
  batch_id: { from: "call", kind: "text", isNullable: true, shownIn: "export" },
  custom_id: { from: "call", kind: "text", isNullable: true, shownIn: "export" },
  // Why the upstream declined; "" if it named no category, null if it said nothing about one.
  refusal_category: { from: "reading", kind: "text", isNullable: true },
  // Uses beside the cost that have no price.
  unpriced_uses: { from: "closing", kind: "counts", isOptional: true },
  // The operator's name of the upstream.
  upstream: { from: "call", kind: "text", isNullable: true },
  // Parts of the counts that have a price of their own, such as audio in the input.
  token_parts: { from: "reading", kind: "counts", isOptional: true },
  // A later call retries this one.
  asked_again: { from: "store", kind: "flag", isOptional: true, shownIn: "detail" },
  // The run of the proxy that opened the row: a sweep closes those of earlier runs.
  instance_id: { from: "call", kind: "text", shownIn: "neither" },
  // SHA-256 of the bytes of `messages`, hex.
  messages_hash: { from: "call", kind: "text", isNullable: true, shownIn: "neither" },
  served_model: { from: "reading", kind: "text", isNullable: true, shownIn: "neither" },
} as const satisfies Readonly<Record<string, UsageColumn>>;

type Table = typeof TABLE;
export type UsageColumnName = keyof Table;

export type CamelCase<S extends string> = S extends `${infer First}_${infer Rest}` ? `${First}${Capitalize<CamelCase<Rest>>}` : S;

type FieldOf<C extends UsageColumnName> = Table[C] extends { readonly field: infer F extends string } ? F : CamelCase<C>;
type ShownAs<C extends UsageColumnName> = Table[C] extends { readonly shownAs: infer S extends string } ? S : FieldOf<C>;
type Unknown<C extends UsageColumnName> = Table[C] extends { readonly isNullable: true } ? null : never;

/** The fields that a row has from one source. */
export type FieldsFrom<S extends Source> = {
  readonly [C in UsageColumnName as Table[C]["from"] extends S ? FieldOf<C> : never]: Values[Table[C]["kind"]] | Unknown<C>;
};

type IsOptional<C extends UsageColumnName> = Table[C] extends { readonly isOptional: true } ? true
  : Table[C] extends { readonly ifNull: string | number } ? false
  : Table[C] extends { readonly isNullable: true } ? true
  : false;
type ShownIn<C extends UsageColumnName> = Table[C] extends { readonly shownIn: infer P } ? P : "detail" | "export";
type Shown<C extends UsageColumnName, P, Optional> = ShownIn<C> & P extends never ? never
  : IsOptional<C> extends Optional ? ShownAs<C>
  : never;

/** What one or both of the places show of a row. */
export type ShownRow<P extends "detail" | "export"> =
  & { readonly [C in UsageColumnName as Shown<C, P, false>]: Values[Table[C]["kind"]] }
  & { readonly [C in UsageColumnName as Shown<C, P, true>]?: Values[Table[C]["kind"]] };

/** A column with everything that follows from its row in the table. */
export interface Column extends UsageColumn {
  readonly column: string;
  readonly field: string;
  readonly shownAs: string;
  /** As JSON and exports name it. */
  readonly jsonKey: string;
  /** Every shown row has a value. */
  readonly isAlwaysShown: boolean;
}

const COLUMNS: readonly Column[] = Object.entries<UsageColumn>(TABLE).map(([column, row]) => {
  const field = row.field ?? camelCase(column);
  const shownAs = row.shownAs ?? field;
  const isAlwaysShown = row.isOptional !== true && (row.isNullable !== true || row.ifNull !== undefined);
  return { ...row, column, field, shownAs, jsonKey: row.kind === "money" ? `${shownAs}Usd` : shownAs, isAlwaysShown };
});

export function columnsFrom(...sources: readonly Source[]): readonly Column[] {
  return COLUMNS.filter(({ from }) => sources.includes(from));
}

/** In the order of the exports. */
export function columnsShownIn(place: "detail" | "export"): readonly Column[] {
  return COLUMNS.filter(({ shownIn }) => shownIn === undefined || shownIn === place);
}

export type NullableFieldsFrom<S extends Source> = {
  readonly [C in UsageColumnName as Table[C] extends { readonly from: S; readonly isNullable: true } ? FieldOf<C> : never]: null;
};

export function nullableFields<S extends Source>(source: S): NullableFieldsFrom<S> {
  const nullable = columnsFrom(source).filter(({ isNullable }) => isNullable);
  return Object.fromEntries(nullable.map(({ field }) => [field, null])) as NullableFieldsFrom<S>;
}

/** The fields from one source as they are if nothing is known. */
export function unknownFields<S extends Source>(source: S): FieldsFrom<S> {
  const fields = columnsFrom(source).map(({ field, kind, isNullable }) => [field, isNullable ? null : EMPTY[kind]]);
  return Object.fromEntries(fields) as FieldsFrom<S>;
}

const EMPTY: Values = { text: "", count: 0, ms: 0, time: 0, money: 0, flag: false, counts: {}, list: [] };

/** A row as JSON shows it: times by RFC 3339, money as exact decimals of US dollars. */
export function rowJson(row: object, columns: readonly Column[]): Readonly<Record<string, unknown>> {
  const json: Record<string, unknown> = {};
  for (const { shownAs, jsonKey, kind } of columns) {
    const value = (row as Readonly<Record<string, unknown>>)[shownAs];
    if (value === undefined) continue;
    json[jsonKey] = kind === "money"
      ? costUsd(value as number)
      : kind === "time"
      ? new Date(value as number).toISOString()
      : value;
  }
  return json;
}

export function camelCase(column: string): string {
  return column.replace(/_(.)/g, (_, first: string) => first.toUpperCase());
}
