/** Calls of every kind, and their totals by the plain meaning of the words. */
import type { Grouping, UsageOrder, UsageQuery } from "../../src/domain/query.ts";
import type { Store } from "../../src/domain/store.ts";
import type { UsageTotals } from "../../src/domain/totals.ts";
import { type Outcome, OUTCOMES, type UsageRow, type UsageSummary } from "../../src/domain/usage.ts";
import { callOf, closingOf, moneyOf, seededRandom, T0 } from "./samples.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const BIG_COST = 2 ** 52 + 1;

/**
 * Some hundred calls of two days: three workspaces, their sandboxes, traces, agents and clients, of
 * every accuracy.
 */
export async function recorded(store: Store): Promise<readonly UsageRow[]> {
  const random = seededRandom(41);
  const upTo = (most: number) => Math.floor(random() * most);
  const rows = Array.from({ length: 300 }, (_, n): UsageRow => {
    const accuracy = (["exact", "exact", "estimated", "unknown"] as const)[upTo(4)]!;
    const isPriced = accuracy !== "unknown" && upTo(5) > 0;
    const call = callOf({
      createdAt: T0 + (n % 10 === 0 ? upTo(30) * HOUR_MS : upTo(4 * HOUR_MS)),
      workspaceId: `w-${upTo(3)}`,
      sandboxId: `sb-${upTo(3)}`,
      traceId: `at-${upTo(3)}`,
      agentId: [null, "a-1", "a-2"][upTo(3)]!,
      parentAgentId: [null, "a-1"][upTo(2)]!,
      agentType: [null, "Explore"][upTo(2)]!,
      requestClass: [null, "main", "subagent"][upTo(3)]!,
      client: [null, "opencode"][upTo(2)]!,
      upstream: [null, "eu", "us"][upTo(3)]!,
      requestedModel: "m-asked",
    });
    const closing = closingOf({
      servedModel: [null, "m-1", "m-2"][upTo(3)]!,
      // Counts that older versions took from an upstream: their sum is more than a number holds.
      inputTokens: upTo(20) === 0 ? Number.MAX_SAFE_INTEGER - upTo(9) : upTo(1_000),
      outputTokens: upTo(1_000),
      cacheCreationInputTokens: upTo(50),
      cacheReadInputTokens: upTo(50),
    }, {
      accuracy,
      outcome: OUTCOMES[upTo(OUTCOMES.length)]!,
      duration: upTo(9_000),
      ttft: [null, upTo(900)][upTo(2)]!,
      cost: isPriced ? [upTo(100), BIG_COST][upTo(2)]! : null,
      unpricedUses: isPriced && upTo(4) === 0 ? { tool_search_requests: 1 + upTo(3) } : {},
    });
    return { call, closing, revision: 2 };
  });
  await store.recordUsage(rows);
  return rows;
}

export function rowAt(
  createdAt: number,
  call: Parameters<typeof callOf>[0] = {},
  reading: Parameters<typeof closingOf>[0] = {},
): UsageRow {
  return { call: callOf({ createdAt, ...call }), closing: closingOf({ servedModel: "m-1", ...reading }), revision: 2 };
}

export function isKept({ call, closing }: UsageRow, query: UsageQuery): boolean {
  return (query.workspaceId ?? call.workspaceId) === call.workspaceId && (query.sandboxId ?? call.sandboxId) === call.sandboxId &&
    (query.upstream ?? call.upstream) === call.upstream &&
    (query.model ?? modelOf(call, closing)) === modelOf(call, closing) &&
    (query.outcome ?? closing.outcome) === closing.outcome &&
    (query.accuracy ?? closing.accuracy) === closing.accuracy && call.createdAt >= (query.since ?? 0) &&
    call.createdAt < (query.until ?? Infinity);
}

function modelOf(call: UsageRow["call"], { reading }: UsageRow["closing"]): string {
  return reading.servedModel ?? call.requestedModel;
}

/** The plain meaning of the sums. */
export function sumOf(rows: readonly UsageRow[]): UsageTotals {
  const sum = (value: (row: UsageRow) => number) => rows.reduce((total, row) => total + BigInt(value(row)), 0n);
  const cost = (some: readonly UsageRow[]) => some.reduce((total, { closing }) => total + BigInt(closing.cost ?? 0), 0n);
  const ofAccuracy = (accuracy: string) => rows.filter(({ closing }) => closing.accuracy === accuracy);
  return {
    inputTokens: sum(({ closing }) => closing.reading.inputTokens),
    outputTokens: sum(({ closing }) => closing.reading.outputTokens),
    cacheCreationInputTokens: sum(({ closing }) => closing.reading.cacheCreationInputTokens),
    cacheReadInputTokens: sum(({ closing }) => closing.reading.cacheReadInputTokens),
    requestCount: rows.length,
    cost: cost(rows),
    estimatedCost: cost(ofAccuracy("estimated")),
    estimatedCount: ofAccuracy("estimated").length,
    unknownCount: ofAccuracy("unknown").length,
    unpricedCount: rows.filter(({ closing }) => closing.cost === null && closing.accuracy !== "unknown").length,
    partlyPricedCount: rows.filter(({ closing }) => Object.keys(closing.unpricedUses).length > 0).length,
    // No two of these rows have one prompt: retry_laws.ts is about those that do.
    retryCount: 0,
    retriedCost: 0n,
    failedCount: rows.filter(({ closing }) => FAILED.includes(closing.outcome)).length,
    timedCount: rows.filter(({ closing }) => closing.ttft !== null).length,
    ttftSumMs: sum(({ closing }) => closing.ttft ?? 0),
  };
}

const FAILED: readonly Outcome[] = ["upstream_error", "upstream_broke", "proxy_cut", "unknown"];

/** The totals of a group without what it is grouped by. */
export function totalsOf(group: UsageTotals): UsageTotals {
  const { inputTokens, outputTokens, cacheCreationInputTokens, cacheReadInputTokens, requestCount } = group;
  return {
    ...{ inputTokens, outputTokens, cacheCreationInputTokens, cacheReadInputTokens, requestCount },
    ...moneyOf(group),
    retryCount: group.retryCount,
    retriedCost: group.retriedCost,
    failedCount: group.failedCount,
    timedCount: group.timedCount,
    ttftSumMs: group.ttftSumMs,
  };
}

type Key = Readonly<Record<string, string | number | undefined>>;

export function keyOf({ call, closing }: UsageRow, groupBy: readonly Grouping[]): Key {
  const all: Readonly<Record<Grouping, Key>> = {
    provider: { provider: call.provider },
    upstream: { upstream: call.upstream ?? "" },
    model: { model: modelOf(call, closing) },
    workspace: { workspaceId: call.workspaceId },
    sandbox: { sandboxId: call.sandboxId },
    trace: { workspaceId: call.workspaceId, traceId: call.traceId },
    agent: { agentId: call.agentId ?? "" },
    client: { client: call.client ?? "" },
    day: { day: call.createdAt - call.createdAt % DAY_MS },
    hour: { hour: call.createdAt - call.createdAt % HOUR_MS },
  };
  return ordered(Object.assign({}, ...groupBy.map((grouping) => all[grouping])));
}

export function keyOfGroup(group: UsageSummary): Key {
  const { provider, upstream, model, workspaceId, sandboxId, traceId, agentId, client, day, hour } = group;
  return ordered({ provider, upstream, model, workspaceId, sandboxId, traceId, agentId, client, day, hour });
}

function ordered(key: Key): Key {
  return Object.fromEntries(Object.entries(key).filter(([, value]) => value !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function valueOf(group: UsageSummary, by: UsageOrder): bigint {
  const { inputTokens, outputTokens, cacheCreationInputTokens, cacheReadInputTokens } = group;
  const values = {
    tokens: inputTokens + outputTokens + cacheCreationInputTokens + cacheReadInputTokens,
    cost: group.cost,
    requests: group.requestCount,
    failures: group.failedCount,
    time: group.hour!,
  };
  return BigInt(values[by]);
}

export function asText(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
