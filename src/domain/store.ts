import type { RefusalCount, RunRefusals } from "./ledger.ts";
import type { AgentCalls } from "./agents.ts";
import type { CachedCall } from "./cache.ts";
import type {
  ArrivalPage,
  ArrivalQuery,
  CallPage,
  CallPlace,
  CallQuery,
  TraceList,
  TracePage,
  TraceQuery,
  UsagePage,
  UsageQuery,
} from "./query.ts";
import type { Trace, TraceWithStats } from "./trace.ts";
import type { QueryOpts, TokenUsage, UsageRow } from "./usage.ts";

/** A trace with its newest rows, newest last, and all ended calls by agent, by their start. */
export interface TraceDetail {
  readonly trace: Trace;
  readonly requests: readonly TokenUsage[];
  readonly agents: readonly AgentCalls[];
}

/** A run of the proxy, by the calls that it recorded. Each worker of each replica is a run. */
export interface RunOfCalls {
  readonly instanceId: string;
  readonly calls: number;
  /** Admission of the latest of them, milliseconds since the epoch. */
  readonly latestAt: number;
}

/**
 * The idempotent sink, and its queries. SQLite and PostgreSQL behave alike (`tests/conformance`).
 * Nothing runs on the event loop of the hot path. Each method rejects with the technology's error
 * if the database cannot be used. No error holds a token.
 */
export interface Store {
  /**
   * Writes closed rows. A higher revision replaces a row; the same or a lower one changes nothing.
   * The same transaction links retries (`domain/retry.ts`), without a new revision, and changes the
   * totals of traces and hours by exactly the difference. A row of a dropped month changes nothing.
   */
  readonly recordUsage: (rows: readonly UsageRow[]) => Promise<void>;
  /** Records traces. Their activity never goes back. Totals come from rows. */
  readonly recordTraces: (traces: readonly Trace[]) => Promise<void>;
  /** Sets the counters of runs. A counter never goes down, so what is sent twice counts once. */
  readonly recordRefusals: (counts: readonly RunRefusals[]) => Promise<void>;
  /** The trace of that (workspaceId, id), inserted if it is missing. If many race, one is made. */
  readonly getOrCreateTrace: (trace: Trace) => Promise<Trace>;
  /** Moves `updatedAt` forward, never back. Ignores an unknown trace. */
  readonly updateTraceActivity: (workspaceId: string, id: string, at: number) => Promise<void>;
  /**
   * Totals of ended calls by group, and of all groups together. Whole hours come from the roll-ups;
   * the hours of `since` and `until` come from rows, or count whole if their rows were dropped.
   * Groups and filters that the roll-ups lack need rows: rejects with `RowsDropped` if some were
   * dropped.
   */
  readonly queryUsage: (query: UsageQuery) => Promise<UsagePage>;
  /** Rejects with `RowsDropped`, like `queryUsage`, if a filter needs rows. */
  readonly queryTraces: (query: TraceQuery) => Promise<TracePage>;
  /** As `queryTraces`, without the totals, which read every trace that the filters keep. */
  readonly listTraces: (query: TraceQuery) => Promise<TraceList>;
  /** The traces of that id, in all workspaces (the first 100) or in one. */
  readonly findTraces: (id: string, workspaceId: string | null) => Promise<readonly TraceWithStats[]>;
  /** All ended calls of a trace by agent, by their start. */
  readonly getAgents: (trace: Pick<Trace, "workspaceId" | "id">) => Promise<readonly AgentCalls[]>;
  readonly queryCalls: (query: CallQuery) => Promise<CallPage>;
  /** The traces of that id, in all workspaces or in one: usually one or none. */
  readonly getTraceDetail: (id: string, workspaceId: string | null) => Promise<readonly TraceDetail[]>;
  /** The ended calls that used the prompt cache, oldest first: at most 1,000 after the place. */
  readonly getCachedCalls: (place: CallPlace) => Promise<readonly CachedCall[]>;
  /**
   * The calls that came after a place, each once, by its first end. None is passed by, whatever its
   * machine's clock said and however late it came.
   */
  readonly callsAfter: (query: ArrivalQuery) => Promise<ArrivalPage>;
  /** Refusals by sandbox, fault and minute, summed over all runs, newest first. */
  readonly queryRefusals: (opts: QueryOpts) => Promise<readonly RefusalCount[]>;
  /** The runs of the ended calls admitted from then on, the busiest first: at most 1,000. */
  readonly queryRuns: (since: number) => Promise<readonly RunOfCalls[]>;
  /**
   * Drops rows of the months (UTC) that ended at or before `before`, and keeps totals. May do a
   * part of it: resolves to whether more is left.
   */
  readonly dropMonths: (before: number) => Promise<boolean>;
  /** The clock of the technology, common to all its users; null if it has none. */
  readonly clock: () => Promise<number | null>;
  /** Prepares for rows of that time, so that the first one need not wait. */
  readonly makeReady: (now: number) => Promise<void>;
  readonly close: () => Promise<void>;
}
