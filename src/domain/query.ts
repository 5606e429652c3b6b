import type { Trace, TraceWithStats } from "./trace.ts";
import type { UsageTotals } from "./totals.ts";
import type { Accuracy, Outcome, QueryOpts, TokenUsage, UsageSummary } from "./usage.ts";

/** The filters of calls; null is "all". */
export interface CallFilters extends Pick<QueryOpts, "workspaceId" | "sandboxId" | "since" | "until"> {
  /** The served model, or the requested one if no answer named one. */
  readonly model: string | null;
  /** The operator's name of it. */
  readonly upstream: string | null;
  readonly outcome: Outcome | null;
  readonly accuracy: Accuracy | null;
}

/**
 * A trace's key is (workspace, id), so `trace` groups by the workspace too. Days and hours are UTC.
 */
export const GROUPINGS = [
  "provider",
  "upstream",
  "model",
  "workspace",
  "sandbox",
  "trace",
  "agent",
  "client",
  "day",
  "hour",
] as const;
export type Grouping = (typeof GROUPINGS)[number];
export const DEFAULT_GROUPING: readonly Grouping[] = ["provider", "model"];

/** `time` is the hour, or the day, that the totals are grouped by. */
export const USAGE_ORDERS = ["tokens", "cost", "requests", "failures", "time"] as const;
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
  /** When the question is asked, which tells how much of a span's last day and month there is. */
  readonly asOf?: number;
  readonly after: Position | null;
}

/**
 * `since` and `until` are about a trace's latest activity. Model, outcome, accuracy and client keep
 * the traces that have one call of all that is given.
 */
export interface TraceQuery extends QueryOpts, CallFilters {
  readonly idPrefix: string | null;
  /** Traces that began before this time: with `since` those that were active between both. */
  readonly begunBefore: number | null;
  readonly client: string | null;
  /** A call of it failed, as `failedCount` counts. */
  readonly hasFailed: boolean;
  /** What the trace costs at least, in nano-dollars. */
  readonly leastCost: number | null;
  /** When the question is asked, which tells how long a span without an end is. */
  readonly asOf?: number;
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

/** An index finds ids by a beginning of so many characters; a shorter one may keep most traces. */
export const LONG_ID_PREFIX = 8;

/** The filters that only traces have, keeping all. */
export const NO_TRACE_FILTERS = { idPrefix: null, begunBefore: null, client: null, hasFailed: false, leastCost: null } as const;

export interface TraceList {
  readonly traces: readonly TraceWithStats[];
  readonly next: Position | null;
}

export interface TracePage extends TraceList {
  /** How many the filters keep. */
  readonly total: number;
  readonly totals: UsageTotals;
}

export const CALL_ORDERS = ["time", "duration", "ttft", "cost", "input", "cacheWrite", "cacheRead", "output"] as const;
export type CallOrder = (typeof CALL_ORDERS)[number];

/** A page of one trace's ended calls. What is not known comes last in both directions. */
export interface CallQuery {
  readonly workspaceId: string;
  readonly traceId: string;
  /** Empty: the calls that name no agent. Null: all. */
  readonly agentId: string | null;
  /** Only calls that did not complete, and retries. */
  readonly isTroubled: boolean;
  readonly order: Order<CallOrder>;
  readonly after: Position | null;
  /** At most 1,000. */
  readonly limit: number;
}

export interface CallPage {
  readonly calls: readonly TokenUsage[];
  readonly next: Position | null;
}

/** The place of the first call at or after a time, in the order of time. */
export function placeBefore(at: number): Position {
  return [String(at - 1), String(at - 1), LAST_ID];
}

/** Behind every id: ids are ASCII. */
const LAST_ID = "~";

export interface ArrivalQuery extends Pick<QueryOpts, "workspaceId" | "sandboxId" | "limit"> {
  /** Null is "all". */
  readonly traceId: string | null;
  /** Null, or a place in another database: from now on. */
  readonly after: Position | null;
}

/** Ended calls in the order in which the store took them in, from all replicas. */
export interface ArrivalPage {
  readonly calls: readonly TokenUsage[];
  /** Where to read on. It moves on if no call was kept, too. */
  readonly next: Position;
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
