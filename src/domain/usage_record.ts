import type { ShownRow } from "./usage_columns.ts";
import type { OpenCall, QueryOpts, TokenUsage } from "./usage.ts";

/**
 * A closed row as exports show it: what `/internal/traces/:id` shows of a call, and what else a
 * payer may ask.
 */
export interface UsageRecord extends TokenUsage, ShownRow<"export"> {
  readonly kind: OpenCall["kind"];
  readonly outcome: TokenUsage["outcome"];
  readonly accuracy: TokenUsage["accuracy"];
}

/** The last two have charges by the hour instead of calls: the columns of FinOps FOCUS. */
export const EXPORT_FORMATS = ["csv", "ndjson", "parquet", "focus", "focus-parquet"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Rows admitted from `since` to before `until`; null is "all". */
export type UsageFilter = Pick<QueryOpts, "since" | "until" | "workspaceId" | "sandboxId">;

/** At most `limit` rows behind `after`, a row that was read before; null for the first page. */
export interface RecordPage extends UsageFilter {
  readonly after: Pick<UsageRecord, "createdAt" | "id" | "workspaceId"> | null;
  readonly limit: number;
}

/**
 * Reads closed rows in order of (createdAt, id, workspaceId). Each page is read on its own, so the
 * reader misses a row that closes after the page of its place. Rejects with the technology's own
 * error. Not for the hot path's thread.
 */
export interface UsageReader {
  /** Fewer rows than `limit`: there are no more. */
  readonly read: (page: RecordPage) => Promise<readonly UsageRecord[]>;
  readonly count: (filter: UsageFilter) => Promise<number>;
  readonly close: () => Promise<void>;
}
