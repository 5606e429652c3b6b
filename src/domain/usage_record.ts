import type { OpenCall, TokenUsage } from "./usage.ts";

/** One closed row with all that whoever pays may ask of it: what `/internal/traces/:id` shows of a call, and what else pays for it. */
export interface UsageRecord extends TokenUsage {
  readonly kind: OpenCall["kind"];
  readonly maxTokens?: number;
  readonly requestBytes: number;
  readonly tokenId?: string;
  readonly credentialId?: string;
  readonly retryOf?: string;
  readonly batchId?: string;
  readonly customId?: string;
}

export type ExportFormat = "csv" | "ndjson" | "parquet";

/** Which rows; null stands for "all". Milliseconds since the epoch: rows admitted from `since` on and before `until`. */
export interface UsageFilter {
  readonly since: number | null;
  readonly until: number | null;
  readonly workspaceId: string | null;
  readonly sandboxId: string | null;
}

/** At most `limit` rows behind `after`, a row that was read before; null for the first page. */
export interface UsagePage extends UsageFilter {
  readonly after: Pick<UsageRecord, "createdAt" | "id" | "workspaceId"> | null;
  readonly limit: number;
}

/**
 * Reads closed rows in order of (createdAt, id, workspaceId), page by page, each page in a moment of its own: a row that is
 * closed later than its place was read is not seen. Rejects with the technology's own error. Not for the hot path's thread.
 */
export interface UsageReader {
  /** Fewer rows than `limit` are the last ones. */
  readonly read: (page: UsagePage) => Promise<readonly UsageRecord[]>;
  readonly count: (filter: UsageFilter) => Promise<number>;
  readonly close: () => Promise<void>;
}
