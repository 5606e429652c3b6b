import type { Trace } from "./trace.ts";
import type { TokenUsage } from "./usage.ts";

type Counts = "inputTokens" | "outputTokens" | "cacheCreationInputTokens" | "cacheReadInputTokens";
type Known = "id" | "sandboxId" | "workspaceId" | "provider" | "model" | "streaming" | "duration" | "ttft" | "createdAt";

/** A row as the Go program records it: its `TokenUsage`. `ttft` is 0 if it was not measured. */
export interface ImportedUsage extends Pick<TokenUsage, Known | Counts> {
  readonly traceId: string | null;
  readonly messageId: string | null;
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
