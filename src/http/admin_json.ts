import type { AgentNode } from "../domain/agents.ts";
import type { RefusalCount } from "../domain/ledger.ts";
import { costUsd } from "../domain/money.ts";
import type { LocalToken } from "../domain/tokens.ts";
import type { Trace, TraceWithStats } from "../domain/trace.ts";
import type { MoneySummary, RetrySummary, TokenUsage, UsageSummary, UsageTotals } from "../domain/usage.ts";

/** What the internal API answers, key by key: the Go package's names, then our additions. Times are RFC 3339, UTC. */

/** What calls were grouped by, left out where they name none, and their totals. */
export function usageJson(summary: UsageSummary) {
  const { provider, model, workspaceId, sandboxId, traceId, agentId, client, day, hour } = summary;
  return {
    ...(provider === undefined ? {} : { provider }),
    ...(model === undefined ? {} : { model }),
    ...present({ workspaceId, sandboxId, traceId, agentId, client }),
    ...(day === undefined ? {} : { day: timeJson(day).slice(0, "2026-01-31".length) }),
    ...(hour === undefined ? {} : { hour: timeJson(hour) }),
    ...totalsJson(summary),
  };
}

export function totalsJson(totals: UsageTotals) {
  return {
    inputTokens: wholeJson(totals.inputTokens),
    outputTokens: wholeJson(totals.outputTokens),
    cacheCreationInputTokens: wholeJson(totals.cacheCreationInputTokens),
    cacheReadInputTokens: wholeJson(totals.cacheReadInputTokens),
    requestCount: totals.requestCount,
    ...moneyJson(totals.money),
    ...retriesJson(totals.retries),
  };
}

/** One agent and those below it; each with its own calls only. */
export function agentJson(node: AgentNode): Readonly<Record<string, unknown>> {
  return {
    kind: node.kind,
    ...present({ agentId: node.agentId, parentAgentId: node.parentAgentId, agentType: node.agentType }),
    ...totalsJson(node.totals),
    ...(node.firstAt === null ? {} : { firstAt: timeJson(node.firstAt) }),
    ...(node.lastAt === null ? {} : { lastAt: timeJson(node.lastAt) }),
    children: node.children.map(agentJson),
  };
}

/** Costs as decimals of US dollars, exact; with how much of the total is estimated, unknown or unpriced. */
function moneyJson(money: MoneySummary) {
  return {
    costUsd: costUsd(money.cost),
    estimatedCostUsd: costUsd(money.estimatedCost),
    estimatedCount: money.estimatedCount,
    unknownCount: money.unknownCount,
    unpricedCount: money.unpricedCount,
    partlyPricedCount: money.partlyPricedCount,
  };
}

/** How many calls asked again what another had asked, and what was paid for attempts that were asked again: a part of `costUsd`. */
function retriesJson({ count, cost }: RetrySummary) {
  return { retryCount: count, retriedCostUsd: costUsd(cost) };
}

export function traceJson(trace: Trace) {
  return {
    id: trace.id,
    sandboxId: trace.sandboxId,
    workspaceId: trace.workspaceId,
    source: trace.source,
    createdAt: timeJson(trace.createdAt),
    updatedAt: timeJson(trace.updatedAt),
  };
}

export function traceWithStatsJson(trace: TraceWithStats) {
  return {
    ...traceJson(trace),
    requestCount: trace.requestCount,
    totalInputTokens: wholeJson(trace.totalInputTokens),
    totalOutputTokens: wholeJson(trace.totalOutputTokens),
    ...moneyJson(trace.money),
    ...retriesJson(trace.retries),
  };
}

/** Durations are whole milliseconds. */
export function requestJson(row: TokenUsage) {
  return {
    id: row.id,
    ...present({ traceId: row.traceId }),
    sandboxId: row.sandboxId,
    workspaceId: row.workspaceId,
    provider: row.provider,
    model: row.model,
    ...present({ messageId: row.messageId }),
    inputTokens: row.inputTokens,
    outputTokens: row.outputTokens,
    cacheCreationInputTokens: row.cacheCreationInputTokens,
    cacheReadInputTokens: row.cacheReadInputTokens,
    streaming: row.streaming,
    duration: Math.round(row.duration),
    ttft: Math.round(row.ttft),
    createdAt: timeJson(row.createdAt),
    outcome: row.outcome,
    accuracy: row.accuracy,
    ...present({ status: row.status, errorType: row.errorType, stopReason: row.stopReason }),
    requestedModel: row.requestedModel,
    ...present({ upstreamRequestId: row.upstreamRequestId }),
    cacheCreation5mInputTokens: row.cacheCreation5mInputTokens,
    cacheCreation1hInputTokens: row.cacheCreation1hInputTokens,
    thinkingTokens: row.thinkingTokens,
    ...present({
      serverToolUse: row.serverToolUse,
      serviceTier: row.serviceTier,
      inferenceGeo: row.inferenceGeo,
      speed: row.speed,
      iterations: row.iterations,
      agentId: row.agentId,
      parentAgentId: row.parentAgentId,
      agentType: row.agentType,
      requestClass: row.requestClass,
      promptId: row.promptId,
      client: row.client,
      costUsd: row.cost === undefined ? undefined : costUsd(row.cost),
      priceVersion: row.priceVersion,
      retryOf: row.retryOf,
      askedAgain: row.askedAgain,
      refusalCategory: row.refusalCategory,
      unpricedUses: row.unpricedUses,
    }),
  };
}

/** The ids are left out where nobody knew who asked. */
export function refusalCountJson(row: RefusalCount) {
  return {
    ...present({ workspaceId: row.workspaceId, sandboxId: row.sandboxId }),
    fault: row.fault,
    minute: timeJson(row.minute),
    count: row.count,
  };
}

export function tokenJson(token: LocalToken) {
  return {
    id: token.id,
    workspaceId: token.workspaceId,
    sandboxId: token.sandboxId,
    createdAt: timeJson(token.createdAt),
    ...(token.expiresAt === null ? {} : { expiresAt: timeJson(token.expiresAt) }),
    ...(token.revokedAt === null ? {} : { revokedAt: timeJson(token.revokedAt) }),
  };
}

/** A JSON number, exact at any size: what is beyond 2^53 is written digit by digit (https://tc39.es/proposal-json-parse-with-source/). */
export function wholeJson(count: bigint): number | object {
  const number = Number(count);
  return Number.isSafeInteger(number) ? number : (JSON as RawJson).rawJSON(String(count));
}

/** TypeScript's library does not name it yet. */
type RawJson = typeof JSON & { readonly rawJSON: (text: string) => object };

export function timeJson(at: number): string {
  return new Date(at).toISOString();
}

/** Without what is empty: undefined, "", [] and {}. */
function present(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value)));
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
