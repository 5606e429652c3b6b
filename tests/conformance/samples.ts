import type { AuditStamp } from "../../src/domain/audit.ts";
import { DEFAULT_GROUPING, NO_TRACE_FILTERS, type TraceQuery, type UsageQuery } from "../../src/domain/query.ts";
import { EMPTY_READING, type UsageReading } from "../../src/domain/reading.ts";
import type { UsageTotals } from "../../src/domain/totals.ts";
import type { Trace } from "../../src/domain/trace.ts";
import { type Closing, type OpenCall, REVISION, UNSAID, type UsageRow } from "../../src/domain/usage.ts";

/** 2026-01-01T00:00:00Z */
export const T0 = 1_767_225_600_000;

/** Everything, in the usual order of usage and of refusals. */
export const ALL: UsageQuery = {
  workspaceId: null,
  sandboxId: null,
  upstream: null,
  model: null,
  outcome: null,
  accuracy: null,
  since: null,
  until: null,
  limit: 100,
  offset: 0,
  groupBy: DEFAULT_GROUPING,
  order: { by: "tokens", isAscending: false },
  after: null,
};

export const ALL_TRACES: TraceQuery = { ...ALL, ...NO_TRACE_FILTERS, order: { by: "activity", isAscending: false } };

let lastSample = 0;

/** A call with an id of its own. */
export function callOf(given: Partial<OpenCall> = {}): OpenCall {
  return {
    id: `ar-${String(++lastSample).padStart(26, "0")}`,
    instanceId: "run-1",
    workspaceId: "w-1",
    sandboxId: "sb-1",
    traceId: "at-1",
    kind: "message",
    provider: "anthropic",
    requestedModel: "claude-asked",
    streaming: true,
    createdAt: T0,
    maxTokens: 1_024,
    requestBytes: 2_000,
    ...UNSAID,
    ...given,
  };
}

export function closingOf(reading: Partial<UsageReading> = {}, given: Partial<Omit<Closing, "reading">> = {}): Closing {
  return {
    outcome: "completed",
    accuracy: "exact",
    status: 200,
    upstreamRequestId: "req_1",
    duration: 1_000,
    ttft: 100,
    cost: 1_000,
    priceVersion: "2026-11-24",
    unpricedUses: {},
    ...given,
    reading: { ...EMPTY_READING, servedModel: "claude-served", ...reading },
  };
}

/** A closed row as the ledger writes it. */
export function rowOf(call: Partial<OpenCall> = {}, reading: Partial<UsageReading> = {}): UsageRow {
  return { call: callOf(call), closing: closingOf(reading), revision: REVISION.closed };
}

/** The trace that a call belongs to, as its opening makes it. */
export function traceOf(call: OpenCall): Trace {
  return {
    id: call.traceId,
    workspaceId: call.workspaceId,
    sandboxId: call.sandboxId,
    source: "header",
    createdAt: call.createdAt,
    updatedAt: call.createdAt,
  };
}

/** The money of totals, or of a trace. */
export function moneyOf(totals: Pick<UsageTotals, keyof typeof NO_MONEY>): Pick<UsageTotals, keyof typeof NO_MONEY> {
  const { cost, estimatedCost, estimatedCount, unknownCount, unpricedCount, partlyPricedCount } = totals;
  return { cost, estimatedCost, estimatedCount, unknownCount, unpricedCount, partlyPricedCount };
}

const NO_MONEY = { cost: 0n, estimatedCost: 0n, estimatedCount: 0, unknownCount: 0, unpricedCount: 0, partlyPricedCount: 0 };

/** The retries of totals, or of a trace. */
export function retriesOf({ retryCount, retriedCost }: Pick<UsageTotals, "retryCount" | "retriedCost">) {
  return { count: retryCount, cost: retriedCost };
}

/** Numbers from 0 up to 1, the same ones for a seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Resolves when the condition holds; rejects if it does not within the deadline. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`Waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The stamp of a change at that time, with an id that no change of another time has. */
export function stampAt(at: number): AuditStamp {
  return { id: `au-${at}`, at, who: "admin", claimed: "alice", address: "127.0.0.1" };
}
