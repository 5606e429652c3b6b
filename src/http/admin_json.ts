import type { AgentNode } from "../domain/agents.ts";
import type { RefusalCount } from "../domain/ledger.ts";
import { costUsd } from "../domain/money.ts";
import type { RunningCall } from "../domain/running_call.ts";
import type { Suspension } from "../domain/suspensions.ts";
import { TOTALS, type UsageTotals } from "../domain/totals.ts";
import type { Trace, TraceWithStats } from "../domain/trace.ts";
import type { TokenUsage, UsageSummary } from "../domain/usage.ts";
import { columnsShownIn, rowJson } from "../domain/usage_columns.ts";

/** The JSON of the internal API: the Go package's keys, then ours. Times are RFC 3339, UTC. */

/** The groups that calls name, and their totals. */
export function usageJson(summary: UsageSummary) {
  const { provider, upstream, model, workspaceId, sandboxId, traceId, agentId, client, day, hour } = summary;
  return {
    ...(provider === undefined ? {} : { provider }),
    ...(upstream === undefined ? {} : { upstream }),
    ...(model === undefined ? {} : { model }),
    ...present({ workspaceId, sandboxId, traceId, agentId, client }),
    ...(day === undefined ? {} : { day: timeJson(day).slice(0, "2026-01-31".length) }),
    ...(hour === undefined ? {} : { hour: timeJson(hour) }),
    ...totalsJson(summary),
  };
}

/** Costs are exact decimals of US dollars. Totals that are not there are left out. */
export function totalsJson(totals: Partial<UsageTotals>): Readonly<Record<string, unknown>> {
  const given = TOTALS.filter(({ field }) => totals[field] !== undefined);
  return Object.fromEntries(given.map(({ field, kind }) => {
    const value = totals[field]!;
    return kind === "money" ? [`${field}Usd`, costUsd(value)] : [field, wholeJson(BigInt(value))];
  }));
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
    totalInputTokens: wholeJson(trace.totalInputTokens),
    totalOutputTokens: wholeJson(trace.totalOutputTokens),
    totalCacheCreationInputTokens: wholeJson(trace.totalCacheCreationInputTokens),
    totalCacheReadInputTokens: wholeJson(trace.totalCacheReadInputTokens),
    ...totalsJson(trace),
  };
}

const DETAIL = columnsShownIn("detail");

/** Durations are whole milliseconds. */
export function requestJson(row: TokenUsage) {
  return rowJson(row, DETAIL);
}

/** Without ids if the caller was unknown. */
export function refusalCountJson(row: RefusalCount) {
  return {
    ...present({ workspaceId: row.workspaceId, sandboxId: row.sandboxId }),
    fault: row.fault,
    minute: timeJson(row.minute),
    count: row.count,
  };
}

export function suspensionJson({ workspaceId, sandboxId, createdAt, reason }: Suspension) {
  return { ...present({ workspaceId, sandboxId }), createdAt: timeJson(createdAt), ...present({ reason }) };
}

/** What is not known yet is null. */
export function runningCallJson({ cost, createdAt, ...call }: RunningCall) {
  return { ...call, createdAt: timeJson(createdAt), costUsd: cost === null ? null : costUsd(cost) };
}

/**
 * A JSON number, exact at any size: beyond 2^53 digit by digit
 * (https://tc39.es/proposal-json-parse-with-source/).
 */
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
