import type { RefusalCount } from "./ledger.ts";
import type { Trace, TraceWithStats } from "./trace.ts";
import type { QueryOpts, TokenUsage, UsageRow, UsageSummary } from "./usage.ts";

/** A trace with its rows, newest last. */
export interface TraceDetail {
  readonly trace: Trace;
  readonly requests: readonly TokenUsage[];
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
  /** Sets the counters of one journal; a counter never goes down, so that sending it twice counts once. */
  readonly recordRefusals: (counts: readonly RefusalCount[], journalId: string) => Promise<void>;
  /** The trace of that (workspaceId, id): the one that is there, else this one, inserted. Raced by many, one is made. */
  readonly getOrCreateTrace: (trace: Trace) => Promise<Trace>;
  /** Moves a trace's `updatedAt` on, never back. An unknown trace is left unknown. */
  readonly updateTraceActivity: (workspaceId: string, id: string, at: number) => Promise<void>;
  /**
   * Totals of ended calls by provider and model, the largest sum of tokens first. `limit` and `offset` page the groups.
   * Whole hours come from the roll-ups, so that a year is not read row by row; the hour in which `since` lies comes from
   * its rows, or, where they have been dropped, counts whole.
   */
  readonly queryUsage: (opts: QueryOpts) => Promise<readonly UsageSummary[]>;
  /** Traces by newest activity, and how many there are in all. `since` narrows by `updatedAt`. */
  readonly queryTraces: (opts: QueryOpts) => Promise<{ readonly traces: readonly TraceWithStats[]; readonly total: number }>;
  /** Every trace of that id, in whatever workspaces (or only in the one named), with their rows: usually one or none. */
  readonly getTraceDetail: (id: string, workspaceId: string | null) => Promise<readonly TraceDetail[]>;
  /** Refusals by sandbox, fault and minute, newest first. */
  readonly queryRefusals: (opts: QueryOpts) => Promise<readonly RefusalCount[]>;
  /**
   * Drops the rows of the months (UTC) that ended at or before `before`; totals of traces and hours stay.
   * May do a part of it: resolves to whether more is left to drop.
   */
  readonly dropMonths: (before: number) => Promise<boolean>;
  /** Makes ready for rows of that time, so that the first of them need not wait. */
  readonly makeReady: (now: number) => Promise<void>;
  readonly close: () => Promise<void>;
}
