import type { UsageReading } from "./reading.ts";
import type { UsageTotals } from "./totals.ts";
import { type FieldsFrom, nullableFields, type ShownRow } from "./usage_columns.ts";

/**
 * How a billed call stopped. `unknown`: the proxy died during it. `proxy_cut`: the proxy cut it at
 * the end of a drain. `stopped`: an operator's decision or the control plane's cut it; the row's
 * error type says which.
 */
export const OUTCOMES = [
  "completed",
  "client_left",
  "upstream_error",
  "upstream_broke",
  "proxy_cut",
  "stopped",
  "unknown",
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** How accurate the counts of a row are. */
export const ACCURACIES = ["exact", "estimated", "unknown"] as const;
export type Accuracy = (typeof ACCURACIES)[number];

/** What is known of a billed call at admission; committed before its first byte goes upstream. */
export interface OpenCall extends FieldsFrom<"call"> {
  readonly kind: "message" | "batch_line";
}

const { maxTokens: _, ...unsaid } = nullableFields("call");

/** Defaults for the fields that many calls lack. */
export const UNSAID = unsaid;

/**
 * How a call ended and what it used. `duration` and `ttft` count from admission: to the last byte,
 * and to the first content delta. `status` is the upstream's, null if no answer came. `cost` is
 * null if the row is unpriced or its accuracy is `unknown`; `priceVersion` names the price list
 * that made it.
 */
export interface Closing extends FieldsFrom<"closing"> {
  readonly outcome: Outcome;
  readonly accuracy: Accuracy;
  readonly reading: UsageReading;
}

/** The cost of a call that has no known price. */
export const NO_COST = { cost: null, priceVersion: null, unpricedUses: {} } as const satisfies Partial<Closing>;

/**
 * The `errorType` of a row whose upstream named an impossible count: the row keeps none of its
 * counts.
 */
export const ABSURD_USAGE = "absurd_usage";

/** A closed row of `usage`. `revision` grows with each later change of the same row. */
export interface UsageRow {
  readonly call: OpenCall;
  readonly closing: Closing;
  readonly revision: number;
}

/** Revisions, from weak to strong: a real close beats a sweep. */
export const REVISION = { open: 0, swept: 1, closed: 2 } as const;

/**
 * One row as `/internal/traces/:id` shows it. `model` is the served one, or the requested one if no
 * answer named one.
 */
export interface TokenUsage extends ShownRow<"detail"> {
  readonly outcome: Outcome | "open";
  readonly accuracy: Accuracy;
}

type GroupName = "provider" | "upstream" | "model" | "workspaceId" | "sandboxId" | "traceId" | "agentId" | "client";

/**
 * Totals of one group of calls, with what it is grouped by: empty if the calls name none. `day` and
 * `hour` are their starts, UTC, milliseconds since the epoch.
 */
export interface UsageSummary extends UsageTotals, Partial<Readonly<Record<GroupName, string>>> {
  readonly day?: number;
  readonly hour?: number;
}

/** The filters of a query; null is "all". */
export interface QueryOpts {
  readonly workspaceId: string | null;
  readonly sandboxId: string | null;
  /** Milliseconds since the epoch; rows from then on. */
  readonly since: number | null;
  /** Milliseconds since the epoch; rows before then. */
  readonly until: number | null;
  readonly limit: number;
  readonly offset: number;
}
