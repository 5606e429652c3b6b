import { type FaultCode, FAULTS } from "../domain/fault.ts";
import type { RefusalCount, RunRefusals } from "../domain/ledger.ts";
import type { UnpricedUses } from "../domain/price.ts";
import type { LocalToken } from "../domain/tokens.ts";
import type { Trace, TraceWithStats } from "../domain/trace.ts";
import type { Accuracy, MoneySummary, Outcome, RetrySummary, TokenUsage, UsageSummary, UsageTotals } from "../domain/usage.ts";

/** One row as a database gives it, integers as bigint; a flag is a boolean, or 1 or 0 where the database has none. */
export type Row = Readonly<Record<string, unknown>>;

/** `keys`: the columns that the totals are grouped by. */
export function summaryOf(row: Row, keys: readonly string[]): UsageSummary {
  return { ...Object.fromEntries(keys.map((key) => [KEYS[key]!.name, KEYS[key]!.read(row, key)])), ...totalsOf(row) };
}

const KEYS: Readonly<Record<string, { readonly name: keyof UsageSummary; readonly read: (row: Row, key: string) => unknown }>> = {
  provider: { name: "provider", read: text },
  model: { name: "model", read: text },
  workspace_id: { name: "workspaceId", read: text },
  sandbox_id: { name: "sandboxId", read: text },
  trace_id: { name: "traceId", read: text },
  agent_id: { name: "agentId", read: text },
  client: { name: "client", read: text },
  day: { name: "day", read: integer },
  hour: { name: "hour", read: integer },
};

export function totalsOf(row: Row): UsageTotals {
  return {
    inputTokens: bigInteger(row, "input_tokens"),
    outputTokens: bigInteger(row, "output_tokens"),
    cacheCreationInputTokens: bigInteger(row, "cache_creation_input_tokens"),
    cacheReadInputTokens: bigInteger(row, "cache_read_input_tokens"),
    requestCount: integer(row, "request_count"),
    money: moneyOf(row),
    retries: retriesOf(row),
  };
}

export function traceOf(row: Row): Trace {
  return {
    id: text(row, "id"),
    sandboxId: text(row, "sandbox_id"),
    workspaceId: text(row, "workspace_id"),
    source: text(row, "source"),
    createdAt: integer(row, "created_at"),
    updatedAt: integer(row, "updated_at"),
  };
}

export function traceWithStatsOf(row: Row): TraceWithStats {
  return {
    ...traceOf(row),
    requestCount: integer(row, "request_count"),
    totalInputTokens: bigInteger(row, "total_input_tokens"),
    totalOutputTokens: bigInteger(row, "total_output_tokens"),
    money: moneyOf(row),
    retries: retriesOf(row),
  };
}

function moneyOf(row: Row): MoneySummary {
  return {
    cost: bigInteger(row, "cost"),
    estimatedCost: bigInteger(row, "estimated_cost"),
    estimatedCount: integer(row, "estimated_count"),
    unknownCount: integer(row, "unknown_count"),
    unpricedCount: integer(row, "unpriced_count"),
    partlyPricedCount: integer(row, "partly_priced_count"),
  };
}

function retriesOf(row: Row): RetrySummary {
  return { count: integer(row, "retry_count"), cost: bigInteger(row, "retried_cost") };
}

export function tokenUsageOf(row: Row): TokenUsage {
  const messageId = textOrNull(row, "message_id");
  const errorType = textOrNull(row, "error_type");
  const stopReason = textOrNull(row, "stop_reason");
  const upstreamRequestId = textOrNull(row, "upstream_request_id");
  const serverToolUse = textOrNull(row, "server_tool_use");
  const serviceTier = textOrNull(row, "service_tier");
  const inferenceGeo = textOrNull(row, "inference_geo");
  const speed = textOrNull(row, "speed");
  const iterations = textOrNull(row, "iterations");
  const agentId = textOrNull(row, "agent_id");
  const parentAgentId = textOrNull(row, "parent_agent_id");
  const agentType = textOrNull(row, "agent_type");
  const requestClass = textOrNull(row, "request_class");
  const promptId = textOrNull(row, "prompt_id");
  const client = textOrNull(row, "client");
  const priceVersion = textOrNull(row, "price_version");
  const retryOf = textOrNull(row, "retry_of");
  const refusalCategory = textOrNull(row, "refusal_category");
  const unpricedUses = unpricedUsesOf(row);
  return {
    id: text(row, "id"),
    traceId: text(row, "trace_id"),
    sandboxId: text(row, "sandbox_id"),
    workspaceId: text(row, "workspace_id"),
    provider: text(row, "provider"),
    model: textOrNull(row, "served_model") ?? text(row, "requested_model"),
    ...(messageId && { messageId }),
    inputTokens: integer(row, "input_tokens"),
    outputTokens: integer(row, "output_tokens"),
    cacheCreationInputTokens: integer(row, "cache_creation_input_tokens"),
    cacheReadInputTokens: integer(row, "cache_read_input_tokens"),
    streaming: flag(row, "streaming"),
    duration: integerOrNull(row, "duration_ms") ?? 0,
    ttft: integerOrNull(row, "ttft_ms") ?? 0,
    createdAt: integer(row, "created_at"),
    // The column holds what `Outcome` and `Accuracy` name: only rows of ours are ever written.
    outcome: (textOrNull(row, "outcome") ?? "open") as Outcome | "open",
    accuracy: text(row, "accuracy") as Accuracy,
    ...(row.status !== null && { status: integer(row, "status") }),
    ...(errorType && { errorType }),
    ...(stopReason && { stopReason }),
    requestedModel: text(row, "requested_model"),
    ...(upstreamRequestId && { upstreamRequestId }),
    cacheCreation5mInputTokens: integer(row, "cache_creation_5m_tokens"),
    cacheCreation1hInputTokens: integer(row, "cache_creation_1h_tokens"),
    thinkingTokens: integer(row, "thinking_tokens"),
    ...(serverToolUse && { serverToolUse: JSON.parse(serverToolUse) }),
    ...(serviceTier && { serviceTier }),
    ...(inferenceGeo && { inferenceGeo }),
    ...(speed && { speed }),
    ...(iterations && { iterations: JSON.parse(iterations) }),
    ...(agentId && { agentId }),
    ...(parentAgentId && { parentAgentId }),
    ...(agentType && { agentType }),
    ...(requestClass && { requestClass }),
    ...(promptId && { promptId }),
    ...(client && { client }),
    ...(row.cost !== null && { cost: integer(row, "cost") }),
    ...(priceVersion && { priceVersion }),
    ...(retryOf && { retryOf }),
    ...(flag(row, "asked_again") && { askedAgain: true as const }),
    ...(refusalCategory && { refusalCategory }),
    ...(Object.keys(unpricedUses).length > 0 && { unpricedUses }),
  };
}

/** Uses that have no price, beside a row's cost; none if the column is NULL. */
export function unpricedUsesOf(row: Row): UnpricedUses {
  return JSON.parse(textOrNull(row, "unpriced_uses") ?? "{}");
}

export function refusalOf(row: Row): RefusalCount {
  return {
    workspaceId: text(row, "workspace_id"),
    sandboxId: text(row, "sandbox_id"),
    fault: faultCode(text(row, "fault")),
    minute: integer(row, "minute"),
    count: integer(row, "count"),
  };
}

export function runRefusalsOf(row: Row): RunRefusals {
  return { ...refusalOf(row), instanceId: text(row, "instance_id") };
}

export function localTokenOf(row: Row): LocalToken {
  return {
    id: text(row, "id"),
    workspaceId: text(row, "workspace_id"),
    sandboxId: text(row, "sandbox_id"),
    createdAt: integer(row, "created_at"),
    expiresAt: integerOrNull(row, "expires_at"),
    revokedAt: integerOrNull(row, "revoked_at"),
  };
}

function faultCode(code: string): FaultCode {
  if (!Object.hasOwn(FAULTS, code)) throw new TypeError(`Cannot read the refusals: "${code}" is not a fault`);
  return code as FaultCode;
}

export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw new TypeError(`Cannot read the column ${column}: it is not text`);
  return value;
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

/** Throws where the number is beyond what a JavaScript number holds exactly: a wrong sum would be worse than none. */
export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "bigint") throw new TypeError(`Cannot read the column ${column}: it is not an integer`);
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`Cannot give ${column} exactly as a number: it is ${value}`);
  return number;
}

export function bigInteger(row: Row, column: string): bigint {
  const value = row[column];
  if (typeof value !== "bigint") throw new TypeError(`Cannot read the column ${column}: it is not an integer`);
  return value;
}

export function integerOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : integer(row, column);
}

export function flag(row: Row, column: string): boolean {
  const value = row[column];
  return typeof value === "boolean" ? value : integer(row, column) === 1;
}
