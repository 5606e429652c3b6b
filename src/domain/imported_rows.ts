import type { Trace } from "./trace.ts";

/**
 * A row as the Go program records it: its `TokenUsage`. Durations are milliseconds, times since the
 * epoch.
 */
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
  /** 0 if it was not measured. */
  readonly ttft: number;
  readonly createdAt: number;
}

export interface ImportBatch {
  readonly traces: readonly Trace[];
  readonly usage: readonly ImportedUsage[];
}

/**
 * Records a batch; a row that is there already counts once. A row of an unknown trace makes the
 * trace. Resolves to the number of rows without a price.
 */
export type ImportRows = (batch: ImportBatch) => Promise<{ readonly unpriced: number }>;
