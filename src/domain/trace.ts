import type { UsageTotals } from "./totals.ts";

/** One agent session: the calls that belong together. Its key is (workspaceId, id). */
export interface Trace {
  readonly id: string;
  /** The sandbox whose call made the trace. */
  readonly sandboxId: string;
  readonly workspaceId: string;
  /** `header`, an agent's name such as `claude-code`, `continued`, `inferred`, or `auto`. */
  readonly source: string;
  /** Milliseconds since the epoch, UTC. */
  readonly createdAt: number;
  /** Time of the latest activity, milliseconds since the epoch, UTC. */
  readonly updatedAt: number;
}

type Tokens = "inputTokens" | "outputTokens" | "cacheCreationInputTokens" | "cacheReadInputTokens";

/** A trace with the totals of its ended calls. */
export interface TraceWithStats extends Trace, Omit<UsageTotals, Tokens> {
  readonly totalInputTokens: bigint;
  readonly totalOutputTokens: bigint;
  readonly totalCacheCreationInputTokens: bigint;
  readonly totalCacheReadInputTokens: bigint;
}

/** The longest trace id that is accepted from a client, in visible ASCII characters. */
export const MAX_TRACE_ID_LENGTH = 128;
