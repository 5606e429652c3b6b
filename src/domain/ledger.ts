import type { FaultCode } from "./fault.ts";
import type { Owned } from "./owned.ts";
import type { Trace } from "./trace.ts";
import type { Closing, OpenCall } from "./usage.ts";

/** Whether and how much calls are recorded: by this process, or by all its workers. */
export interface RecordingState extends Pick<Ledger, "usedBytes" | "trouble"> {
  /** How full the spool is, or the fullest of several: what is used, by its bound. */
  readonly fill: () => number;
}

/** How often a sandbox got a fault in one minute. An unknown caller has empty ids. */
export interface RefusalCount {
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly fault: FaultCode;
  /** Start of the minute, milliseconds since the epoch, UTC. */
  readonly minute: number;
  readonly count: number;
}

/** Of one run of the proxy. Even runs on copies of one directory share no counter. */
export interface RunRefusals extends RefusalCount {
  readonly instanceId: string;
}

/**
 * The hot path's record, on this machine. Each promise resolves when its write is committed and so
 * survives the death of the process. Commits are grouped; no transaction takes more than 20 ms.
 *
 * Methods reject with `Fault` `ledger_unavailable`; then nothing was written. After a failed commit
 * `open` rejects until a probe write succeeds.
 */
export interface Ledger {
  /**
   * Commits the call's open row, and its trace if it is new or its activity is a minute old.
   * `unrecorded`: the spool is full and the operator chose to serve without rows.
   */
  readonly open: (call: OpenCall, trace: Trace) => Promise<"opened" | "unrecorded">;
  /**
   * Commits the call's end, and in the same transaction the totals if they are kept here. After a
   * failed commit the closing is kept and tried again while the process lives. Closing twice counts
   * once.
   */
  readonly close: (call: OpenCall, closing: Closing) => Promise<void>;
  /** Records the trace, or its activity, for a call without a row. */
  readonly join: (trace: Trace) => Promise<void>;
  /** Records who owns what was made. The first owner stays. */
  readonly claim: (owned: readonly Owned[]) => Promise<void>;
  /** Adds to the counters of a run. */
  readonly countRefusals: (counts: readonly RunRefusals[]) => Promise<void>;
  /** Closes, as `unknown`, the rows that other runs left open. Resolves to their number. */
  readonly sweep: (instanceId: string) => Promise<number>;
  readonly openCount: () => number;
  /** Bytes that records take on the disk. Deleted records do not count. */
  readonly usedBytes: () => number;
  /** The limit for `usedBytes`, above which new calls are not recorded; may be infinite. */
  readonly boundBytes: () => number;
  /** Why calls cannot be recorded, for an operator; null if they can. */
  readonly trouble: () => string | null;
  /** Commits what waits and closes the file. */
  readonly end: () => Promise<void>;
}
