import type { Trace, TraceWithStats } from "./trace.ts";
import type { UsageTotals } from "./totals.ts";
import type { Accuracy, Outcome, QueryOpts, UsageSummary } from "./usage.ts";

/** The filters of calls; null is "all". */
export interface CallFilters extends Pick<QueryOpts, "workspaceId" | "sandboxId" | "since" | "until"> {
  /** The served model, or the requested one if no answer named one. */
  readonly model: string | null;
  readonly outcome: Outcome | null;
  readonly accuracy: Accuracy | null;
}

/**
 * A trace's key is (workspace, id), so `trace` groups by the workspace too. Days and hours are UTC.
 */
export const GROUPINGS = ["provider", "model", "workspace", "sandbox", "trace", "agent", "client", "day", "hour"] as const;
export type Grouping = (typeof GROUPINGS)[number];
export const DEFAULT_GROUPING: readonly Grouping[] = ["provider", "model"];

/** `time` is the hour, or the day, that the totals are grouped by. */
export const USAGE_ORDERS = ["tokens", "cost", "requests", "time"] as const;
export type UsageOrder = (typeof USAGE_ORDERS)[number];

export const TRACE_ORDERS = ["activity", "created", "cost", "tokens", "requests"] as const;
export type TraceOrder = (typeof TRACE_ORDERS)[number];

export interface Order<By> {
  readonly by: By;
  /** If false, the largest or newest come first. */
  readonly isAscending: boolean;
}

/**
 * The end of a page: the value that orders it, then the key of its last entry, integers as
 * decimals. The next page begins behind it, even if earlier entries were added since.
 */
export type Position = readonly string[];

export interface UsageQuery extends QueryOpts, CallFilters {
  /** At least one. */
  readonly groupBy: readonly Grouping[];
  readonly order: Order<UsageOrder>;
  readonly after: Position | null;
}

/**
 * `since` and `until` are about a trace's latest activity. Model, outcome and accuracy keep the
 * traces that have such a call.
 */
export interface TraceQuery extends QueryOpts, CallFilters {
  readonly order: Order<TraceOrder>;
  readonly after: Position | null;
}

export interface UsagePage {
  readonly usage: readonly UsageSummary[];
  /** Of all that the filters keep, on every page. */
  readonly totals: UsageTotals;
  /** Null if this is the last page. */
  readonly next: Position | null;
}

export interface TracePage {
  readonly traces: readonly TraceWithStats[];
  /** How many the filters keep. */
  readonly total: number;
  readonly totals: UsageTotals;
  readonly next: Position | null;
}

/** A call's place in its trace, to read on from. */
export interface CallPlace extends Pick<Trace, "workspaceId"> {
  readonly traceId: string;
  readonly after: { readonly createdAt: number; readonly id: string } | null;
}

/** The answer needs rows, and some rows of the time in question were dropped. */
export class RowsDropped extends Error {
  constructor(before: number) {
    super(
      `rows from before ${new Date(before).toISOString()} have been dropped, and the totals that are left do not tell: ` +
        `ask with that time, or a later one, as since`,
    );
    this.name = "RowsDropped";
  }
}
