import type { Trace, TraceWithStats } from "./trace.ts";
import type { UsageTotals } from "./totals.ts";
import type { Accuracy, Outcome, QueryOpts, UsageSummary } from "./usage.ts";

/** What calls are narrowed to; null stands for "all". */
export interface CallFilters extends Pick<QueryOpts, "workspaceId" | "sandboxId" | "since" | "until"> {
  /** The served model, or the requested one where no answer named one. */
  readonly model: string | null;
  readonly outcome: Outcome | null;
  readonly accuracy: Accuracy | null;
}

/** What totals are grouped by. A trace's key is (workspace, id), so `trace` groups by the workspace too. Days and hours are UTC. */
export const GROUPINGS = ["provider", "model", "workspace", "sandbox", "trace", "agent", "client", "day", "hour"] as const;
export type Grouping = (typeof GROUPINGS)[number];
export const DEFAULT_GROUPING: readonly Grouping[] = ["provider", "model"];

/** `time`: by the hour, or the day, that the totals are grouped by. */
export const USAGE_ORDERS = ["tokens", "cost", "requests", "time"] as const;
export type UsageOrder = (typeof USAGE_ORDERS)[number];

export const TRACE_ORDERS = ["activity", "created", "cost", "tokens", "requests"] as const;
export type TraceOrder = (typeof TRACE_ORDERS)[number];

export interface Order<By> {
  readonly by: By;
  /** The smallest or oldest first; else the largest or newest. */
  readonly isAscending: boolean;
}

/**
 * Where a page ended: the value that it is ordered by and then the key of its last entry, integers as decimals. The next page
 * begins behind it, whatever has come before it meanwhile.
 */
export type Position = readonly string[];

export interface UsageQuery extends QueryOpts, CallFilters {
  /** At least one. */
  readonly groupBy: readonly Grouping[];
  readonly order: Order<UsageOrder>;
  readonly after: Position | null;
}

/** `since` and `until` are about a trace's latest activity; model, outcome and accuracy keep the traces that have such a call. */
export interface TraceQuery extends QueryOpts, CallFilters {
  readonly order: Order<TraceOrder>;
  readonly after: Position | null;
}

export interface UsagePage {
  readonly usage: readonly UsageSummary[];
  /** Of everything that the filters keep, on whatever page. */
  readonly totals: UsageTotals;
  /** Null where nothing comes behind this page. */
  readonly next: Position | null;
}

export interface TracePage {
  readonly traces: readonly TraceWithStats[];
  /** How many the filters keep. */
  readonly total: number;
  readonly totals: UsageTotals;
  readonly next: Position | null;
}

/** A call's place within its trace, from where to read on. */
export interface CallPlace extends Pick<Trace, "workspaceId"> {
  readonly traceId: string;
  readonly after: { readonly createdAt: number; readonly id: string } | null;
}

/** What is asked can only be told from rows, and of the time that is asked about some have been dropped. */
export class RowsDropped extends Error {
  constructor(before: number) {
    super(
      `rows from before ${new Date(before).toISOString()} have been dropped, and the totals that are left do not tell: ` +
        `ask with that time, or a later one, as since`,
    );
    this.name = "RowsDropped";
  }
}
