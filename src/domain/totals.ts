import { type CamelCase, camelCase, type UsageColumnName } from "./usage_columns.ts";

/** Values by kind. A sum that is a bigint may be more than a number holds exactly. */
interface Values {
  readonly count: number;
  readonly tokens: bigint;
  readonly money: bigint;
  readonly ms: bigint;
}

export type Condition = readonly [column: UsageColumnName, operator: "=" | "<>", value: string | true | null];

export interface Total {
  readonly kind: keyof Values;
  /** What a closed row adds: one, or the value of a column. */
  readonly adds: 1 | UsageColumnName;
  /** A row that does not meet all of these adds nothing. */
  readonly if?: readonly Condition[];
}

/**
 * The totals of closed rows, by their column in `usage_hours`; in `traces` the tokens have `total_`
 * in front. Every sum is made from this table: the stores' statements, what a row adds, queries and
 * JSON. A total that depends on a retry adds one or the cost, and depends on nothing else: when a
 * row becomes part of a retry, only its cost is at hand (`retryDelta`).
 */
const TABLE = {
  input_tokens: { kind: "tokens", adds: "input_tokens" },
  output_tokens: { kind: "tokens", adds: "output_tokens" },
  cache_creation_input_tokens: { kind: "tokens", adds: "cache_creation_input_tokens" },
  cache_read_input_tokens: { kind: "tokens", adds: "cache_read_input_tokens" },
  request_count: { kind: "count", adds: 1 },
  cost: { kind: "money", adds: "cost" },
  estimated_cost: { kind: "money", adds: "cost", if: [["accuracy", "=", "estimated"]] },
  estimated_count: { kind: "count", adds: 1, if: [["accuracy", "=", "estimated"]] },
  unknown_count: { kind: "count", adds: 1, if: [["accuracy", "=", "unknown"]] },
  unpriced_count: { kind: "count", adds: 1, if: [["cost", "=", null], ["accuracy", "<>", "unknown"]] },
  // They are in the cost, although some of their uses have no price.
  partly_priced_count: { kind: "count", adds: 1, if: [["unpriced_uses", "<>", null]] },
  retry_count: { kind: "count", adds: 1, if: [["retry_of", "<>", null]] },
  // What was paid for calls that a later one retried.
  retried_cost: { kind: "money", adds: "cost", if: [["asked_again", "=", true]] },
  // Not the calls that a client left or a decision stopped: someone wanted those to end.
  failed_count: {
    kind: "count",
    adds: 1,
    if: [["outcome", "<>", "completed"], ["outcome", "<>", "client_left"], ["outcome", "<>", "stopped"]],
  },
  // The calls that the sum below it is made of: each has brought some content.
  timed_count: { kind: "count", adds: 1, if: [["ttft_ms", "<>", null]] },
  ttft_sum_ms: { kind: "ms", adds: "ttft_ms", if: [["ttft_ms", "<>", null]] },
} as const satisfies Readonly<Record<string, Total>>;

export type TotalName = keyof typeof TABLE;

export const TOTALS = Object.entries<Total>(TABLE).map(([name, total]) => ({
  ...total,
  name: name as TotalName,
  field: camelCase(name) as keyof UsageTotals,
}));

/** Totals of ended calls. Money is whole nano-dollars. */
export type UsageTotals = { readonly [T in TotalName as CamelCase<T>]: Values[(typeof TABLE)[T]["kind"]] };

/** Totals from the value of each. */
export function totalsFrom(valueOf: (total: Pick<Total, "kind"> & { readonly name: TotalName }) => number | bigint): UsageTotals {
  return Object.fromEntries(TOTALS.map(({ name, kind, field }) => [field, valueOf({ name, kind })])) as UsageTotals;
}

export const NO_TOTALS: UsageTotals = totalsFrom(({ kind }) => kind === "count" ? 0 : 0n);

export function sumOfTotals(a: UsageTotals, b: UsageTotals): UsageTotals {
  // Both values of a field are numbers, or both are bigints.
  return Object.fromEntries(
    TOTALS.map(({ field }) => [field, (a[field] as bigint) + (b[field] as bigint)]),
  ) as unknown as UsageTotals;
}
