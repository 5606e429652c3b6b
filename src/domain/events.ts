import type { Bound } from "./limits.ts";

/** Something that an operator wants to be told at once. */
export type OperatorEvent = LimitReached | TracePaused;

/** A share of a limit is used, counting what running calls hold. Once for each share and period. */
export interface LimitReached {
  readonly type: "limit.reached";
  readonly workspaceId: string;
  readonly bound: Bound;
  readonly percent: number;
  readonly used: number;
}

/** The runaway guard has stopped a trace. */
export interface TracePaused {
  readonly type: "trace.paused";
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly traceId: string;
  /** A kind of limit, or `loop`: the same question many times. */
  readonly why: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** Takes events. Never throws, and nothing waits for it. */
export type TellOperator = (event: OperatorEvent) => void;
