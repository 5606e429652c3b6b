import type { RunRefusals } from "./ledger.ts";
import type { Owned } from "./owned.ts";
import type { Trace } from "./trace.ts";
import type { UsageRow } from "./usage.ts";

/** What is to be shipped next; `upTo` marks it, so that what changes meanwhile is shipped again. */
export interface Shipment {
  readonly rows: readonly UsageRow[];
  readonly traces: readonly Trace[];
  readonly refusals: readonly RunRefusals[];
  readonly owned: readonly Owned[];
  readonly upTo: ShipmentMarks;
  /** There may be more than what was asked for. */
  readonly isFull: boolean;
}

/** Changes of the spool are numbered; everything in the shipment has a number up to these. */
export interface ShipmentMarks {
  readonly rows: number;
  readonly traces: number;
  readonly refusals: number;
  readonly owned: number;
}

/** How far the shared database is behind. */
export interface Backlog {
  /** Closed rows that are still to be shipped, those quarantined not among them. */
  readonly rows: number;
  /** Admission of the oldest of them, milliseconds since the epoch; null where there is none. */
  readonly oldestCreatedAt: number | null;
  /** Rows that the shared database refuses for their own sake. */
  readonly quarantined: number;
}

/**
 * The ledger's other side: what has been recorded on this machine and is to be shipped to the shared database. Not on the
 * hot path: every method blocks its thread until it is committed, and throws the technology's own error.
 */
export interface Spool {
  /**
   * The oldest of what is to be shipped: at most `most` rows with the traces that they belong to, and as many traces that come
   * alone, counters and owned things.
   */
  readonly unshipped: (most: number) => Shipment;
  /** The shipment has arrived, but for what is refused: such rows are quarantined, everything else stays queued, behind the rest. */
  readonly shipped: (shipment: Shipment, refused: Refused) => void;
  /** Queues again what was quarantined. Gives back how many rows. */
  readonly retryQuarantined: () => number;
  readonly backlog: () => Backlog;
}

export interface QuarantinedRow {
  readonly row: UsageRow;
  /** The database's words. */
  readonly reason: string;
}

/** What the shared database refuses of a shipment for its own sake. */
export interface Refused extends Pick<Shipment, "traces" | "refusals" | "owned"> {
  readonly rows: readonly QuarantinedRow[];
}

export const NOTHING_REFUSED: Refused = { rows: [], traces: [], refusals: [], owned: [] };

/** What is done to a spool now and then, off the hot path. */
export interface SpoolCare {
  /**
   * Queues some of what the file held before it became a spool, once in its life as one. Resolves to whether more is left;
   * until nothing is, `prune` must not be called: it would delete what has never been shipped.
   */
  readonly handOver: () => Promise<boolean>;
  /**
   * Deletes some of what was recorded before `before` and has been shipped, the oldest first. Resolves to whether more is left.
   * What is still to be shipped, or quarantined, stays whatever its age, and so do sessions that are active `now`.
   */
  readonly prune: (before: number, now: number) => Promise<boolean>;
  /** Deletes some copies of tokens that the shared database has not vouched for since `before`, likewise. */
  readonly pruneTokens: (before: number) => Promise<boolean>;
  /** Queues everything that was recorded from `since` on to be shipped once more. Resolves to how many rows that are. */
  readonly reship: (since: number) => Promise<number>;
}
