import type { RunRefusals } from "./ledger.ts";
import type { Owned } from "./owned.ts";
import type { Trace } from "./trace.ts";
import type { OpenCall, UsageRow } from "./usage.ts";

export interface Shipment {
  readonly rows: readonly UsageRow[];
  /** Those of the rows, and of calls that are still open. */
  readonly traces: readonly Trace[];
  readonly refusals: readonly RunRefusals[];
  readonly owned: readonly Owned[];
  /** How far the shipment goes, for the spool that made it. */
  readonly upTo: unknown;
  /** More may wait. */
  readonly isFull: boolean;
}

/** How far the store lags behind. */
export interface Backlog {
  /** Ended calls that wait to be shipped, without quarantined ones. */
  readonly rows: number;
  /** When the oldest of them was admitted, milliseconds since the epoch; null if none waits. */
  readonly oldestCreatedAt: number | null;
  readonly quarantined: number;
}

/**
 * The ledger's other side: what was recorded on this machine and must be shipped. Not for the hot
 * path: each method blocks its thread until it is committed, and throws the technology's error.
 */
export interface Spool {
  /** The oldest changes: at most `most` of each kind. Empty if nothing waits. */
  readonly unshipped: (most: number) => Shipment;
  /** All but `refused` arrived. Refused rows are quarantined; other things are queued again. */
  readonly shipped: (shipment: Shipment, refused: Refused) => void;
  /** Queues the quarantined rows again. Returns their number. */
  readonly retryQuarantined: () => number;
  readonly backlog: () => Backlog;
}

export interface QuarantinedRow {
  readonly row: UsageRow;
  /** The database's words. */
  readonly reason: string;
}

/** What the store refused although it works. */
export interface Refused extends Pick<Shipment, "traces" | "refusals" | "owned"> {
  readonly rows: readonly QuarantinedRow[];
}

export const NOTHING_REFUSED: Refused = { rows: [], traces: [], refusals: [], owned: [] };

/** What the spool knows before the store does. */
export interface SpoolLookups {
  readonly findOwnedHere: (ids: readonly string[]) => Promise<readonly Owned[]>;
  /** The trace of an open call, or of one of the latest that were not shipped; otherwise null. */
  readonly findTraceHere: (workspaceId: string, id: string) => Promise<Trace | null>;
  /** By their admission. */
  readonly openCalls: () => Promise<readonly OpenCall[]>;
}

/** Maintenance, off the hot path. */
export interface SpoolCare {
  /**
   * Deletes a part of what was recorded before `before`, the oldest first. Keeps what was not
   * shipped, and counters and claims of the last day. Resolves to whether more is left.
   */
  readonly prune: (before: number, now: number) => Promise<boolean>;
  /** Deletes some copies of tokens that the shared database has not confirmed since `before`. */
  readonly pruneTokens: (before: number) => Promise<boolean>;
  /**
   * Queues everything since then that is still here to be shipped again. Resolves to the number
   * of its rows.
   */
  readonly reship: (since: number) => Promise<number>;
}
