import type { RefusalCount, RunRefusals } from "./ledger.ts";
import type { AgentCalls } from "./agents.ts";
import type { CachedCall } from "./cache.ts";
import type { CallPlace, TracePage, TraceQuery, UsagePage, UsageQuery } from "./query.ts";
import type { Trace } from "./trace.ts";
import type { QueryOpts, TokenUsage, UsageRow } from "./usage.ts";

/** A trace with its newest rows, newest last, and all of its ended calls by agent, the first to begin first. */
export interface TraceDetail {
  readonly trace: Trace;
  readonly requests: readonly TokenUsage[];
  readonly agents: readonly AgentCalls[];
}

/**
 * The idempotent sink and what is asked of it. SQLite and PostgreSQL answer alike (`tests/conformance`).
 * Queries never run on the event loop of the hot path. Every method rejects with the technology's own error
 * where the database cannot be used; no error's message holds a token.
 */
export interface Store {
  /**
   * Writes closed rows. A row that is already there with the same or a higher revision changes nothing; a higher
   * revision replaces it. The links between attempts at one question (`domain/retry.ts`) are set in the same transaction, on
   * the other attempts too, which get no higher revision by that. Traces' totals and the hours' roll-ups move in the same
   * transaction, by exactly the difference.
   * A row of a month that `dropMonths` has dropped changes nothing: its totals stand already.
   */
  readonly recordUsage: (rows: readonly UsageRow[]) => Promise<void>;
  /** Makes traces known and moves the activity of those that are there on, never back. Their totals are the rows' affair. */
  readonly recordTraces: (traces: readonly Trace[]) => Promise<void>;
  /** Sets the counters of runs; a counter never goes down, so that sending it twice counts once. */
  readonly recordRefusals: (counts: readonly RunRefusals[]) => Promise<void>;
  /** The trace of that (workspaceId, id): the one that is there, else this one, inserted. Raced by many, one is made. */
  readonly getOrCreateTrace: (trace: Trace) => Promise<Trace>;
  /** Moves a trace's `updatedAt` on, never back. An unknown trace is left unknown. */
  readonly updateTraceActivity: (workspaceId: string, id: string, at: number) => Promise<void>;
  /**
   * Totals of ended calls in groups, with those of all groups together. Whole hours come from the roll-ups, so that a year is
   * not read row by row; the hours in which `since` and `until` lie come from their rows, or, where they have been dropped,
   * count whole. Groups and filters that the roll-ups do not know come from rows alone: rejects with `RowsDropped` where some
   * of the time that is asked about have been dropped.
   */
  readonly queryUsage: (query: UsageQuery) => Promise<UsagePage>;
  /** Rejects with `RowsDropped` like `queryUsage`, where traces are narrowed by what only rows tell. */
  readonly queryTraces: (query: TraceQuery) => Promise<TracePage>;
  /** Every trace of that id, in whatever workspaces (or only in the one named), with their rows: usually one or none. */
  readonly getTraceDetail: (id: string, workspaceId: string | null) => Promise<readonly TraceDetail[]>;
  /** The ended calls of a trace that read or wrote the prompt cache, oldest first: a thousand at most, and none behind the last. */
  readonly getCachedCalls: (place: CallPlace) => Promise<readonly CachedCall[]>;
  /** Refusals by sandbox, fault and minute, of all runs together, newest first. */
  readonly queryRefusals: (opts: QueryOpts) => Promise<readonly RefusalCount[]>;
  /**
   * Drops the rows of the months (UTC) that ended at or before `before`; totals of traces and hours stay.
   * May do a part of it: resolves to whether more is left to drop.
   */
  readonly dropMonths: (before: number) => Promise<boolean>;
  /** The time by the technology's own clock, which all who share it go by; null where it has none. */
  readonly clock: () => Promise<number | null>;
  /** Makes ready for rows of that time, so that the first of them need not wait. */
  readonly makeReady: (now: number) => Promise<void>;
  readonly close: () => Promise<void>;
}
