import type { FaultCode } from "./fault.ts";
import type { Trace } from "./trace.ts";
import type { Owned } from "./owned.ts";
import type { Closing, OpenCall } from "./usage.ts";

/** How often a fault was answered to a sandbox in one minute. An unknown caller has empty ids. */
export interface RefusalCount {
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly fault: FaultCode;
  /** Start of the minute, milliseconds since the epoch, UTC. */
  readonly minute: number;
  readonly count: number;
}

/** Refusals as one run of the proxy counted them. Runs share no counter, even if they were started on copies of one directory. */
export interface RunRefusals extends RefusalCount {
  /** The run of the proxy that counted. */
  readonly instanceId: string;
}

/**
 * The hot path's record, on this machine. Every promise resolves when its write is committed: from then on it
 * survives the death of the process. Commits are grouped; no transaction takes more than about 20 ms.
 *
 * After a failed commit `open` rejects with `Fault` `ledger_unavailable` until a probe write succeeds.
 */
export interface Ledger {
  /**
   * Commits the call's open row, and its trace where that is new. `trace.updatedAt` moves an existing trace's activity on where
   * that is a minute old; whoever counts the ended call does it in any case.
   * `unrecorded`: the spool is full, and the operator chose to serve on without rows; nothing was written.
   * Rejects with `Fault` `ledger_unavailable`; then nothing was written either.
   */
  readonly open: (call: OpenCall, trace: Trace) => Promise<"opened" | "unrecorded">;
  /**
   * Commits the call's end and, where totals are kept here, moves them in the same transaction.
   * Rejects with `Fault` `ledger_unavailable` where the commit failed; the closing is then kept and tried again until it
   * is written, so nothing is lost while the process lives. Closing twice counts once.
   */
  readonly close: (call: OpenCall, closing: Closing) => Promise<void>;
  /** Makes the trace known, or moves its activity on, for a call that has no row. Rejects like `open`. */
  readonly join: (trace: Trace) => Promise<void>;
  /** Keeps who owns what was made; what has an owner keeps that one. Rejects like `open`. */
  readonly claim: (owned: readonly Owned[]) => Promise<void>;
  /** Adds refusals to the counters of their run. Rejects like `open`. */
  readonly countRefusals: (counts: readonly RunRefusals[]) => Promise<void>;
  /** Closes the rows that other runs than `instanceId` left open, as `unknown`; resolves to how many. */
  readonly sweep: (instanceId: string) => Promise<number>;
  /** Rows that are open now. */
  readonly openCount: () => number;
  /** What the records take of the disk, bytes: what has been deleted is room for new ones. */
  readonly usedBytes: () => number;
  /** What they may take before new calls are not recorded any more; infinite where nothing bounds it. */
  readonly boundBytes: () => number;
  /** Null where calls can be recorded, else why not, in words for an operator. */
  readonly trouble: () => string | null;
  /** Commits what waits and closes the file. */
  readonly end: () => Promise<void>;
}
