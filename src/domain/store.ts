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
   * revision replaces it. Traces' totals move in the same transaction, by exactly the difference.
   */
  readonly recordUsage: (rows: readonly UsageRow[]) => Promise<void>;
  /** The trace of that (workspaceId, id): the one that is there, else this one, inserted. Raced by many, one is made. */
  readonly getOrCreateTrace: (trace: Trace) => Promise<Trace>;
  /** Moves a trace's `updatedAt` on, never back. An unknown trace is left unknown. */
  readonly updateTraceActivity: (workspaceId: string, id: string, at: number) => Promise<void>;
  /** Totals of ended calls by provider and model, the largest sum of tokens first. `limit` and `offset` page the groups. */
  readonly queryUsage: (opts: QueryOpts) => Promise<readonly UsageSummary[]>;
  /** Traces by newest activity, and how many there are in all. `since` narrows by `updatedAt`. */
  readonly queryTraces: (opts: QueryOpts) => Promise<{ readonly traces: readonly TraceWithStats[]; readonly total: number }>;
  /** Every trace of that id, in whatever workspaces (or only in the one named), with their rows: usually one or none. */
  readonly getTraceDetail: (id: string, workspaceId: string | null) => Promise<readonly TraceDetail[]>;
  /** Refusals by sandbox, fault and minute, newest first. */
  readonly queryRefusals: (opts: QueryOpts) => Promise<readonly RefusalCount[]>;
  readonly close: () => Promise<void>;
}
