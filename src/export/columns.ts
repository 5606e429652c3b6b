import type { UsageRecord } from "../domain/usage_record.ts";

/** `json` is an object or an array as the upstream wrote it, `money` whole nano-dollars, `time` milliseconds since the epoch. */
export type Kind = "text" | "count" | "flag" | "time" | "money" | "json";

export interface Column {
  /** As the admin API's JSON has it. */
  readonly name: string;
  readonly kind: Kind;
  /** Every row has a value. */
  readonly isRequired: boolean;
  readonly key: keyof UsageRecord;
}

/** What an export says of a row, in this order. A new column is one row at the end, so that whoever reads by place reads on. */
export const COLUMNS: readonly Column[] = [
  always("id", "text"),
  always("createdAt", "time"),
  always("workspaceId", "text"),
  always("sandboxId", "text"),
  maybe("traceId", "text"),
  always("kind", "text"),
  always("provider", "text"),
  always("requestedModel", "text"),
  always("model", "text"),
  always("outcome", "text"),
  always("accuracy", "text"),
  { ...maybe("cost", "money"), name: "costUsd" },
  maybe("priceVersion", "text"),
  always("inputTokens", "count"),
  always("outputTokens", "count"),
  always("cacheCreationInputTokens", "count"),
  always("cacheReadInputTokens", "count"),
  always("cacheCreation5mInputTokens", "count"),
  always("cacheCreation1hInputTokens", "count"),
  always("thinkingTokens", "count"),
  maybe("serverToolUse", "json"),
  maybe("iterations", "json"),
  maybe("serviceTier", "text"),
  maybe("inferenceGeo", "text"),
  maybe("speed", "text"),
  always("streaming", "flag"),
  always("duration", "count"),
  always("ttft", "count"),
  maybe("status", "count"),
  maybe("errorType", "text"),
  maybe("stopReason", "text"),
  maybe("messageId", "text"),
  maybe("upstreamRequestId", "text"),
  maybe("maxTokens", "count"),
  always("requestBytes", "count"),
  maybe("agentId", "text"),
  maybe("parentAgentId", "text"),
  maybe("agentType", "text"),
  maybe("requestClass", "text"),
  maybe("promptId", "text"),
  maybe("client", "text"),
  maybe("tokenId", "text"),
  maybe("credentialId", "text"),
  maybe("retryOf", "text"),
  maybe("batchId", "text"),
  maybe("customId", "text"),
  maybe("refusalCategory", "text"),
  maybe("unpricedUses", "json"),
];

function always(key: keyof UsageRecord, kind: Kind): Column {
  return { name: key, kind, isRequired: true, key };
}

function maybe(key: keyof UsageRecord, kind: Kind): Column {
  return { name: key, kind, isRequired: false, key };
}
