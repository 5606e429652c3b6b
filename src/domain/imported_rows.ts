import type { Trace } from "./trace.ts";

/** A row of `usage` as the Go program records it: its `TokenUsage`. Times are milliseconds since the epoch, durations milliseconds. */
export interface ImportedUsage {
  readonly id: string;
  readonly traceId: string | null;
  readonly sandboxId: string;
  readonly workspaceId: string;
  readonly provider: string;
  readonly model: string;
  readonly messageId: string | null;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheCreationInputTokens: number;
  readonly cacheReadInputTokens: number;
  readonly streaming: boolean;
  readonly duration: number;
  /** 0 where nobody measured it. */
  readonly ttft: number;
  readonly createdAt: number;
}

/** Some of what another program recorded. */
export interface ImportBatch {
  readonly traces: readonly Trace[];
  readonly usage: readonly ImportedUsage[];
}

/**
 * Takes a batch in; what is there already counts once. Resolves to how many of its rows have no price. A row whose trace is
 * not among those taken in makes it known.
 */
export type ImportRows = (batch: ImportBatch) => Promise<{ readonly unpriced: number }>;
