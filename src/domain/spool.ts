import type { RunRefusals } from "./ledger.ts";
import type { Owned } from "./owned.ts";
import type { Trace } from "./trace.ts";
import type { UsageRow } from "./usage.ts";

export interface Shipment {
  readonly rows: readonly UsageRow[];
  readonly traces: readonly Trace[];
  readonly refusals: readonly RunRefusals[];
  readonly owned: readonly Owned[];
  /** The highest numbers in the shipment, so that what changes meanwhile is shipped again. */
  readonly upTo: ShipmentMarks;
  /** More may wait. */
  readonly isFull: boolean;
}

/** Numbers of changes in the spool. */
export interface ShipmentMarks {
  readonly rows: number;
  readonly traces: number;
  readonly refusals: number;
  readonly owned: number;
}

/** How far the shared database lags behind. */
export interface Backlog {
  /** Closed rows that wait to be shipped, without quarantined ones. */
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
  /** The oldest changes: at most `most` rows, with their traces, and of each other kind. */
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

/** What the shared database refused although it works. */
export interface Refused extends Pick<Shipment, "traces" | "refusals" | "owned"> {
  readonly rows: readonly QuarantinedRow[];
}

export const NOTHING_REFUSED: Refused = { rows: [], traces: [], refusals: [], owned: [] };

/** Maintenance, off the hot path. Methods that do a part resolve to whether more is left. */
export interface SpoolCare {
  /**
   * Queues a part of what the file held before it became a spool. Until nothing is left, do not
   * call `prune`: it would delete what was never shipped.
   */
  readonly handOver: () => Promise<boolean>;
  /**
   * Deletes a part of what was recorded before `before`, the oldest first. Keeps what was not
   * shipped, quarantined rows, and sessions that are active `now`.
   */
  readonly prune: (before: number, now: number) => Promise<boolean>;
  /** Deletes some copies of tokens that the shared database has not confirmed since `before`. */
  readonly pruneTokens: (before: number) => Promise<boolean>;
  /** Queues everything recorded since then to be shipped again. Resolves to the number of rows. */
  readonly reship: (since: number) => Promise<number>;
}
