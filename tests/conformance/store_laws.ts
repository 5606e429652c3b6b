import assert from "node:assert/strict";
import type { RunRefusals } from "../../src/domain/ledger.ts";
import { type CallFilters, TRACE_ORDERS, type UsageQuery } from "../../src/domain/query.ts";
import type { Store } from "../../src/domain/store.ts";
import type { LocalToken, Tokens } from "../../src/domain/tokens.ts";
import type { Trace } from "../../src/domain/trace.ts";
import type { UsageTotals } from "../../src/domain/totals.ts";
import { type OpenCall, OUTCOMES, type QueryOpts, type UsageRow } from "../../src/domain/usage.ts";
import { QUESTION_LAWS } from "./question_laws.ts";
import { ALL, ALL_TRACES, callOf, closingOf, moneyOf, rowOf, seededRandom, stampAt, T0, traceOf } from "./samples.ts";
import { TRACE_LAWS } from "./trace_laws.ts";

/** An empty store that nothing else uses. */
export interface StoreUnderTest {
  readonly store: Store & Tokens;
  /** Called after each law; the store may be closed already. */
  readonly dispose: () => Promise<void>;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Registers the laws of every store, as tests. */
export function storeLaws(name: string, make: () => Promise<StoreUnderTest>): void {
  for (const [law, holds] of Object.entries({ ...LAWS, ...QUESTION_LAWS, ...TRACE_LAWS })) {
    Deno.test(`${name}: ${law}`, async () => {
      const { store, dispose } = await make();
      try {
        await holds(store);
      } finally {
        await dispose();
      }
    });
  }
}

/** Laws by name. */
export type Laws = Readonly<Record<string, (store: Store & Tokens) => Promise<void>>>;

const LAWS: Laws = {
  "recordUsage() of the same row twice counts it once": async (store) => {
    const row = rowOf({}, { inputTokens: 10, outputTokens: 20 });
    await store.recordUsage([row, row]);
    await store.recordUsage([row]);
    assert.deepEqual(await usage(store), [["claude-served", 1, 10, 20]]);
    assert.deepEqual(await totals(store), [["at-1", 1, 10, 20]]);
  },

  "recordUsage() of a higher revision moves totals by the difference, of a lower one by nothing": async (store) => {
    const row = rowOf({}, { inputTokens: 10, outputTokens: 20 });
    const repriced = { ...row, revision: 7, closing: closingOf({ inputTokens: 4, outputTokens: 50 }) };
    await store.recordUsage([row]);
    await store.recordUsage([repriced]);
    assert.deepEqual(await totals(store), [["at-1", 1, 4, 50]]);
    await store.recordUsage([row, { ...repriced, closing: closingOf({ inputTokens: 999 }) }]);
    assert.deepEqual(await totals(store), [["at-1", 1, 4, 50]]);
    assert.deepEqual(await usage(store), [["claude-served", 1, 4, 50]]);
  },

  "recordUsage() makes the same totals for every order, grouping and repetition of the same rows": async (store) => {
    const random = seededRandom(20_260_101);
    for (let n = 0; n < 300; n++) await compareWithModel(store, { random, workspaceId: `w-${n}` });
  },

  "recordUsage() of thousands of rows at once records each": async (store) => {
    await store.recordUsage(Array.from({ length: 2_500 }, () => rowOf({}, { inputTokens: 1 })));
    assert.deepEqual(await totals(store), [["at-1", 2_500, 2_500, 0]]);
  },

  "recordUsage() makes an unknown trace known": async (store) => {
    const row = rowOf({ traceId: "at-new", sandboxId: "sb-9", createdAt: T0 + 5 });
    await store.recordUsage([row]);
    const [found] = await store.getTraceDetail("at-new", "w-1");
    assert.equal(found?.trace.sandboxId, "sb-9");
    assert.equal(found?.trace.updatedAt, T0 + 5);
    assert.equal(found?.requests.length, 1);
  },

  "recordTraces() inserts traces, moves their activity forward and never back, and keeps their totals": async (store) => {
    const trace = traceOf(callOf());
    await store.recordTraces([trace, { ...trace, updatedAt: T0 + 50 }, traceOf(callOf({ traceId: "at-2" }))]);
    await store.recordUsage([rowOf({}, { inputTokens: 3 })]);
    await store.recordTraces([{ ...trace, updatedAt: T0 + 20, source: "auto" }]);
    const { traces } = await store.queryTraces(ALL_TRACES);
    assert.deepEqual(traces.map(({ id, source, updatedAt, totalInputTokens }) => [id, source, updatedAt, totalInputTokens]), [
      ["at-1", "header", T0 + 50, 3n],
      ["at-2", "header", T0, 0n],
    ]);
  },

  "recordRefusals() sets the counters of one run, never lower, and adds those of several": async (store) => {
    const counts = (instanceId: string, count: number): RunRefusals[] => [
      { workspaceId: "w-1", sandboxId: "sb-1", fault: "overloaded", minute: T0, instanceId, count },
      { workspaceId: "", sandboxId: "", fault: "unauthenticated", minute: T0, instanceId, count: 1 },
    ];
    await store.recordRefusals(counts("run-1", 5));
    await store.recordRefusals(counts("run-1", 5));
    await store.recordRefusals([...counts("run-1", 3), ...counts("run-2", 2)]);
    assert.deepEqual(await store.queryRefusals(ALL), [
      { workspaceId: "", sandboxId: "", fault: "unauthenticated", minute: T0, count: 2 },
      { workspaceId: "w-1", sandboxId: "sb-1", fault: "overloaded", minute: T0, count: 7 },
    ]);
    assert.equal((await store.queryRefusals({ ...ALL, since: T0 + 1 })).length, 0);
  },

  "queryUsage() returns the same totals by hours as by rows, since any time": async (store) => {
    const random = seededRandom(7);
    const rows = Array.from({ length: 400 }, () => {
      const createdAt = T0 + Math.floor(random() * 5 * HOUR_MS);
      return rowOf({ createdAt, sandboxId: `sb-${Math.floor(random() * 3)}` }, { inputTokens: Math.floor(random() * 1000) });
    });
    await store.recordUsage(rows);
    const times = [0, 1, HOUR_MS - 1, HOUR_MS, HOUR_MS + 1, 2.5 * HOUR_MS, 5 * HOUR_MS].map((ms) => T0 + ms);
    for (const since of times) {
      const kept = rows.filter((row) => row.call.createdAt >= since);
      assert.deepEqual(
        await usage(store, { since }),
        kept.length === 0
          ? []
          : [["claude-served", kept.length, kept.reduce((n, row) => n + row.closing.reading.inputTokens, 0), 0]],
        String(since - T0),
      );
    }
  },

  "dropMonths() drops the rows of whole months and keeps every total": async (store) => {
    const january = rowOf({ createdAt: T0 + 31 * DAY_MS - 1 }, { inputTokens: 1 });
    const february = rowOf({ createdAt: T0 + 31 * DAY_MS }, { inputTokens: 10 });
    await store.recordUsage([january, february]);
    await dropped(store, T0 + 31 * DAY_MS - 1);
    assert.equal((await store.getTraceDetail("at-1", null))[0]?.requests.length, 2);
    await dropped(store, T0 + 45 * DAY_MS);
    assert.deepEqual((await store.getTraceDetail("at-1", null))[0]?.requests.map((row) => row.id), [february.call.id]);
    for (const since of [null, T0, T0 + 31 * DAY_MS - 1]) {
      assert.deepEqual(await usage(store, { since }), [["claude-served", 2, 11, 0]], String(since));
    }
    assert.deepEqual(await usage(store, { since: T0 + 31 * DAY_MS }), [["claude-served", 1, 10, 0]]);
    assert.deepEqual(await totals(store), [["at-1", 2, 11, 0]]);
  },

  "recordUsage() of a row whose month was dropped changes nothing": async (store) => {
    const row = rowOf({}, { inputTokens: 1 });
    await store.recordUsage([row]);
    await dropped(store, T0 + 40 * DAY_MS);
    await store.recordUsage([row, rowOf({ createdAt: T0 + 31 * DAY_MS }, { inputTokens: 10 })]);
    assert.deepEqual(await usage(store), [["claude-served", 2, 11, 0]]);
    assert.deepEqual(await totals(store), [["at-1", 2, 11, 0]]);
  },

  "makeReady() may be called for any time, and rows of any time are recorded": async (store) => {
    for (const time of [T0, T0, Date.UTC(2031, 11, 31, 23, 59)]) await store.makeReady(time);
    await store.recordUsage([0, T0, Date.UTC(2099, 0), Date.UTC(2032, 1, 29)].map((createdAt) => rowOf({ createdAt })));
    assert.deepEqual(await usage(store), [["claude-served", 4, 0, 0]]);
  },

  "getOrCreateTrace() asked a hundred times at once for one new id makes one trace": async (store) => {
    const asked = Array.from({ length: 100 }, (_, n) => ({ ...traceOf(callOf()), sandboxId: `sb-${n}` }));
    const given = await Promise.all(asked.map((trace) => store.getOrCreateTrace(trace)));
    assert.equal(new Set(given.map((trace) => trace.sandboxId)).size, 1);
    assert.equal((await store.queryTraces(ALL_TRACES)).total, 1);
  },

  "getOrCreateTrace() returns the trace that is there": async (store) => {
    const trace = traceOf(callOf());
    await store.getOrCreateTrace(trace);
    const later: Trace = { ...trace, source: "auto", createdAt: T0 + 9, updatedAt: T0 + 9 };
    assert.deepEqual(await store.getOrCreateTrace(later), trace);
  },

  "getOrCreateTrace() keeps equal ids of two workspaces apart": async (store) => {
    for (const workspaceId of ["w-1", "w-2"]) await store.getOrCreateTrace(traceOf(callOf({ workspaceId })));
    await store.recordUsage([rowOf({ workspaceId: "w-2" }, { inputTokens: 3 })]);
    assert.deepEqual(await totals(store, { workspaceId: "w-1" }), [["at-1", 0, 0, 0]]);
    assert.deepEqual(await totals(store, { workspaceId: "w-2" }), [["at-1", 1, 3, 0]]);
    assert.deepEqual((await store.getTraceDetail("at-1", null)).map((found) => found.trace.workspaceId), ["w-1", "w-2"]);
    const [found] = await store.getTraceDetail("at-1", "w-1");
    assert.equal(found?.trace.workspaceId, "w-1");
    assert.equal(found?.requests.length, 0);
  },

  "updateTraceActivity() moves a trace forward, never back, and makes none": async (store) => {
    await store.getOrCreateTrace(traceOf(callOf()));
    await store.updateTraceActivity("w-1", "at-1", T0 + 50);
    await store.updateTraceActivity("w-1", "at-1", T0 + 20);
    await store.updateTraceActivity("w-1", "at-unknown", T0 + 20);
    await store.updateTraceActivity("w-2", "at-1", T0 + 90);
    const { traces, total } = await store.queryTraces(ALL_TRACES);
    assert.equal(total, 1);
    assert.equal(traces[0]?.updatedAt, T0 + 50);
  },

  "queryUsage() groups by provider and served model, or the requested one if none was served, the largest first": async (
    store,
  ) => {
    await store.recordUsage([
      rowOf({}, { servedModel: "small", inputTokens: 1 }),
      rowOf({}, { servedModel: "large", cacheReadInputTokens: 9 }),
      rowOf({}, { servedModel: "large", outputTokens: 9, cacheCreationInputTokens: 4 }),
      rowOf({ requestedModel: "asked" }, { servedModel: null }),
      rowOf({ provider: "another" }, { servedModel: "small", inputTokens: 2 }),
    ]);
    const { usage: groups } = await store.queryUsage(ALL);
    assert.deepEqual(groups.map((group) => `${group.provider} ${group.model}`), [
      "anthropic large",
      "another small",
      "anthropic small",
      "anthropic asked",
    ]);
    assert.deepEqual(groups[0], {
      provider: "anthropic",
      model: "large",
      inputTokens: 0n,
      outputTokens: 9n,
      cacheCreationInputTokens: 4n,
      cacheReadInputTokens: 9n,
      requestCount: 2,
      ...{ cost: 2_000n, estimatedCost: 0n, estimatedCount: 0, unknownCount: 0, unpricedCount: 0, partlyPricedCount: 0 },
      ...{ retryCount: 0, retriedCost: 0n, failedCount: 0, timedCount: 2, ttftSumMs: 200n },
    });
    assert.deepEqual((await store.queryUsage({ ...ALL, limit: 2, offset: 1 })).usage, groups.slice(1, 3));
  },

  "queryUsage() counts the rows that every filter keeps": async (store) => {
    const places = ["w-1", "w-2"].flatMap((workspaceId) => ["sb-1", "sb-2"].map((sandboxId) => ({ workspaceId, sandboxId })));
    const rows = places.flatMap((place) => [0, 1, 2].map((n) => rowOf({ ...place, createdAt: T0 + n })));
    await store.recordUsage(rows);
    for (const opts of everyFilter()) {
      const kept = rows.filter(({ call }) =>
        (opts.workspaceId ?? call.workspaceId) === call.workspaceId &&
        (opts.sandboxId ?? call.sandboxId) === call.sandboxId &&
        call.createdAt >= (opts.since ?? 0)
      );
      const counted = (await store.queryUsage({ ...ALL, ...opts })).usage.reduce((sum, group) => sum + group.requestCount, 0);
      assert.equal(counted, kept.length, JSON.stringify(opts));
    }
  },

  "queryUsage() and queryTraces() say what is estimated, unknown, unpriced and partly priced, by hours as by rows": async (
    store,
  ) => {
    const closings = [
      closingOf({}, { cost: 7, unpricedUses: { tool_search_requests: 2 } }),
      closingOf({}, { accuracy: "estimated", cost: 11 }),
      closingOf({}, { accuracy: "estimated", cost: null, priceVersion: null }),
      closingOf({}, { accuracy: "unknown", outcome: "unknown", cost: null, priceVersion: null }),
      closingOf({}, { cost: null, priceVersion: null }),
    ];
    await store.recordUsage(closings.map((closing) => ({ call: callOf({ createdAt: T0 + 1 }), closing, revision: 2 })));
    const money = { cost: 18n, estimatedCost: 11n, estimatedCount: 2, unknownCount: 1, unpricedCount: 2, partlyPricedCount: 1 };
    for (const since of [null, T0 + 1]) assert.deepEqual(moneyOf((await store.queryUsage({ ...ALL, since })).usage[0]!), money);
    assert.deepEqual(moneyOf((await store.queryTraces(ALL_TRACES)).traces[0]!), money);
  },

  "queryUsage() sums costs exactly beyond 2^53": async (store) => {
    const cost = Number.MAX_SAFE_INTEGER;
    await store.recordUsage([1, 2, 3].map(() => ({ call: callOf(), closing: closingOf({}, { cost }), revision: 2 })));
    assert.equal((await store.queryUsage(ALL)).usage[0]?.cost, 3n * BigInt(cost));
    assert.equal((await store.queryTraces(ALL_TRACES)).traces[0]?.cost, 3n * BigInt(cost));
  },

  "recordUsage() of a higher revision moves costs, and how many are partly priced, by the difference": async (store) => {
    const row = { call: callOf(), closing: closingOf({}, { cost: null, priceVersion: null }), revision: 2 };
    await store.recordUsage([row]);
    const unpricedUses = { tool_search_requests: 2 };
    await store.recordUsage([{ ...row, revision: 3, closing: closingOf({}, { cost: 50, unpricedUses }) }]);
    assert.equal((await store.queryUsage(ALL)).usage[0]?.partlyPricedCount, 1);
    assert.equal((await store.queryTraces(ALL_TRACES)).traces[0]?.partlyPricedCount, 1);
    assert.deepEqual((await store.getTraceDetail("at-1", null))[0]?.requests[0]?.unpricedUses, unpricedUses);
    await store.recordUsage([{ ...row, revision: 4, closing: closingOf({}, { cost: 20, priceVersion: "2" }) }]);
    assert.deepEqual(moneyOf((await store.queryUsage(ALL)).usage[0]!), {
      cost: 20n,
      estimatedCost: 0n,
      estimatedCount: 0,
      unknownCount: 0,
      unpricedCount: 0,
      partlyPricedCount: 0,
    });
    assert.equal((await store.getTraceDetail("at-1", null))[0]?.requests[0]?.unpricedUses, undefined);
    assert.equal((await store.getTraceDetail("at-1", null))[0]?.requests[0]?.priceVersion, "2");
  },

  "queryRuns() counts the calls of each run from a time on, the busiest first": async (store) => {
    const rows = [["run-a", 5], ["run-b", 6], ["run-b", 9], ["run-b", 4], ["run-c", 4]] as const;
    await store.recordUsage(rows.map(([instanceId, ms]) => rowOf({ instanceId, createdAt: T0 + ms })));
    assert.deepEqual(await store.queryRuns(T0 + 5), [
      { instanceId: "run-b", calls: 2, latestAt: T0 + 9 },
      { instanceId: "run-a", calls: 1, latestAt: T0 + 5 },
    ]);
    assert.deepEqual(await store.queryRuns(T0 + 10), []);
  },

  "recordUsage() counts failed calls and sums times to first token, and a late close moves them by the difference": async (
    store,
  ) => {
    const rows = OUTCOMES.map((outcome) => ({ call: callOf(), closing: closingOf({}, { outcome }), revision: 2 }));
    const swept = { ...rows[0]!, closing: closingOf({}, { outcome: "unknown", ttft: null }), revision: 1 };
    const sums = async () => {
      const [group] = (await store.queryUsage(ALL)).usage;
      const [trace] = (await store.queryTraces(ALL_TRACES)).traces;
      return [group!, trace!].map(({ failedCount, timedCount, ttftSumMs }) => [failedCount, timedCount, ttftSumMs]);
    };
    await store.recordUsage([swept, ...rows.slice(1)]);
    assert.deepEqual(await sums(), [[5, 6, 600n], [5, 6, 600n]]);
    await store.recordUsage(rows);
    assert.deepEqual(await sums(), [[4, 7, 700n], [4, 7, 700n]]);
  },

  "queryUsage(), queryTraces() and getTraceDetail() sum exactly beyond 2^53": async (store) => {
    const large = Number.MAX_SAFE_INTEGER;
    const reading = { inputTokens: large, outputTokens: large, cacheCreationInputTokens: large, cacheReadInputTokens: large };
    await store.recordUsage([1, 2, 3].map(() => rowOf({}, reading)));
    const sum = 3n * BigInt(large);
    const expected = [sum, sum, sum, sum];
    const tokens = (of: UsageTotals) => [of.inputTokens, of.outputTokens, of.cacheCreationInputTokens, of.cacheReadInputTokens];
    for (const since of [null, T0]) {
      const { usage, totals } = await store.queryUsage({ ...ALL, since });
      assert.deepEqual([tokens(usage[0]!), tokens(totals)], [expected, expected]);
    }
    for (const by of TRACE_ORDERS) {
      const { traces, totals } = await store.queryTraces({ ...ALL_TRACES, order: { by, isAscending: false } });
      assert.deepEqual([traces[0]!.totalInputTokens, traces[0]!.totalOutputTokens, tokens(totals)], [sum, sum, expected]);
    }
    assert.deepEqual(tokens((await store.getTraceDetail("at-1", null))[0]!.agents[0]!), expected);
    const cached = await store.getCachedCalls({ workspaceId: "w-1", traceId: "at-1", after: null });
    assert.deepEqual(cached.map((call) => call.cacheReadInputTokens), [large, large, large]);
  },

  "getCachedCalls() keeps what decides the price of a seller's writes": async (store) => {
    const terms = { serviceTier: "fast", inferenceGeo: "eu", tokenParts: { write30m: 2, write12h: 1 } };
    await store.recordUsage([
      rowOf({ provider: "openai" }, { ...terms, cacheCreationInputTokens: 3 }),
      rowOf({ createdAt: T0 + 1 }, { cacheReadInputTokens: 1 }),
    ]);
    const cached = await store.getCachedCalls({ workspaceId: "w-1", traceId: "at-1", after: null });
    assert.deepEqual(
      cached.map(({ provider, serviceTier, inferenceGeo, tokenParts }) => ({ provider, serviceTier, inferenceGeo, tokenParts })),
      [
        { provider: "openai", ...terms },
        { provider: "anthropic", serviceTier: null, inferenceGeo: null, tokenParts: {} },
      ],
    );
  },

  "getTraceDetail() and getCachedCalls() keep why a call was declined": async (store) => {
    const declined = { stopReason: "refusal", cacheReadInputTokens: 1 };
    const categories = ["cyber", "", null];
    await store.recordUsage(
      categories.map((refusalCategory, n) => rowOf({ createdAt: T0 + n }, { ...declined, refusalCategory })),
    );
    const [detail] = await store.getTraceDetail("at-1", null);
    assert.deepEqual(detail!.requests.map((row) => row.refusalCategory), ["cyber", undefined, undefined]);
    const cached = await store.getCachedCalls({ workspaceId: "w-1", traceId: "at-1", after: null });
    assert.deepEqual(cached.map((call) => [call.stopReason, call.refusalCategory]), categories.map((one) => ["refusal", one]));
  },

  "queryTraces() returns the newest activity first, in pages, with the number of all": async (store) => {
    for (const n of [2, 0, 4, 1, 3]) {
      await store.getOrCreateTrace(traceOf(callOf({ traceId: `at-${n}`, createdAt: T0 + n })));
    }
    await store.updateTraceActivity("w-1", "at-0", T0 + 9);
    const ids = async (opts: Partial<CallFilters & QueryOpts>) => {
      const { traces, total } = await store.queryTraces({ ...ALL_TRACES, ...opts });
      return [...traces.map((trace) => trace.id), total];
    };
    assert.deepEqual(await ids({}), ["at-0", "at-4", "at-3", "at-2", "at-1", 5]);
    assert.deepEqual(await ids({ limit: 2, offset: 1 }), ["at-4", "at-3", 5]);
    assert.deepEqual(await ids({ offset: 5 }), [5]);
    assert.deepEqual(await ids({ since: T0 + 4 }), ["at-0", "at-4", 2]);
  },

  "queryTraces() pages traces of one moment without losing or repeating any": async (store) => {
    const traces = Array.from({ length: 12 }, (_, n) => traceOf(callOf({ traceId: `at-${n % 4}`, workspaceId: `w-${n % 3}` })));
    for (const trace of traces) await store.getOrCreateTrace(trace);
    const seen = new Set<string>();
    for (let offset = 0; offset < 12; offset += 5) {
      const page = await store.queryTraces({ ...ALL_TRACES, limit: 5, offset });
      for (const trace of page.traces) seen.add(`${trace.workspaceId} ${trace.id}`);
    }
    assert.equal(seen.size, 12);
  },

  "queryTraces() keeps the traces that every filter keeps": async (store) => {
    const traces = ["w-1", "w-2"].flatMap((workspaceId) =>
      ["sb-1", "sb-2"].flatMap((sandboxId) =>
        [0, 1, 2].map((n) => traceOf(callOf({ workspaceId, sandboxId, traceId: `at-${sandboxId}-${n}`, createdAt: T0 + n })))
      )
    );
    for (const trace of traces) await store.getOrCreateTrace(trace);
    for (const opts of everyFilter()) {
      const kept = traces.filter((trace) =>
        (opts.workspaceId ?? trace.workspaceId) === trace.workspaceId &&
        (opts.sandboxId ?? trace.sandboxId) === trace.sandboxId &&
        trace.updatedAt >= (opts.since ?? 0)
      );
      const found = await store.queryTraces({ ...ALL_TRACES, ...opts, order: ALL_TRACES.order });
      assert.equal(found.total, kept.length, JSON.stringify(opts));
      assert.equal(found.traces.length, kept.length, JSON.stringify(opts));
    }
  },

  "getTraceDetail() shows every field of its rows, the newest last": async (store) => {
    const call = callOf({
      createdAt: T0 + 7,
      streaming: false,
      agentId: "a",
      parentAgentId: "b",
      agentType: "c",
      requestClass: "d",
      promptId: "e",
      client: "f",
    });
    const reading = {
      messageId: "msg_1",
      stopReason: "end_turn",
      inputTokens: 1,
      outputTokens: 2,
      cacheCreationInputTokens: 7,
      cacheReadInputTokens: 4,
      cacheCreation5mTokens: 5,
      cacheCreation1hTokens: 2,
      thinkingTokens: 1,
      serverToolUse: { web_search_requests: 3 },
      serviceTier: "standard",
      inferenceGeo: "us",
      speed: "fast",
      iterations: [{ type: "message", model: "x", output_tokens: 2 }],
      errorType: "overloaded_error",
    };
    const closing = closingOf(reading, {
      outcome: "upstream_error",
      accuracy: "estimated",
      status: 529,
      duration: 12.6,
      ttft: 3.2,
    });
    await store.recordUsage([{ call, closing, revision: 2 }, rowOf({ createdAt: T0 + 6 }), rowOf({ createdAt: T0 + 8 })]);
    const [found] = await store.getTraceDetail("at-1", null);
    assert.deepEqual(found?.requests.map((request) => request.createdAt), [T0 + 6, T0 + 7, T0 + 8]);
    assert.deepEqual(found?.requests[1], {
      id: call.id,
      traceId: "at-1",
      sandboxId: "sb-1",
      workspaceId: "w-1",
      provider: "anthropic",
      model: "claude-served",
      messageId: "msg_1",
      inputTokens: 1,
      outputTokens: 2,
      cacheCreationInputTokens: 7,
      cacheReadInputTokens: 4,
      streaming: false,
      duration: 13,
      ttft: 3,
      createdAt: T0 + 7,
      outcome: "upstream_error",
      accuracy: "estimated",
      status: 529,
      errorType: "overloaded_error",
      stopReason: "end_turn",
      requestedModel: "claude-asked",
      upstreamRequestId: "req_1",
      cacheCreation5mInputTokens: 5,
      cacheCreation1hInputTokens: 2,
      thinkingTokens: 1,
      serverToolUse: { web_search_requests: 3 },
      serviceTier: "standard",
      inferenceGeo: "us",
      speed: "fast",
      iterations: [{ type: "message", model: "x", output_tokens: 2 }],
      agentId: "a",
      parentAgentId: "b",
      agentType: "c",
      requestClass: "d",
      promptId: "e",
      client: "f",
      cost: 1_000,
      priceVersion: "2026-11-24",
    });
  },

  "getTraceDetail() leaves out unknown fields, and returns nothing for an unknown id": async (store) => {
    const closing = closingOf({ servedModel: null }, { status: null, upstreamRequestId: null, duration: null, ttft: null });
    await store.recordUsage([{ call: callOf(), closing, revision: 1 }]);
    const [found] = await store.getTraceDetail("at-1", "w-1");
    const absent = ["messageId", "status", "upstreamRequestId", "errorType", "serverToolUse", "iterations", "agentId", "client"];
    for (const key of absent) assert.equal(key in found!.requests[0]!, false, key);
    assert.equal(found?.requests[0]?.model, "claude-asked");
    assert.deepEqual(await store.getTraceDetail("at-unknown", null), []);
    assert.deepEqual(await store.getTraceDetail("at-1", "w-2"), []);
  },

  "every text is data, whatever it spells": async (store) => {
    for (const [n, text] of HOSTILE.entries()) {
      const workspaceId = `w-${n}${text}`;
      const traceId = `at-${text}`;
      const row = rowOf(
        { workspaceId, traceId, sandboxId: text, provider: text, requestedModel: text, client: text, agentId: text },
        { servedModel: text, messageId: text, stopReason: text, iterations: [{ model: text }], serverToolUse: { [text]: 1 } },
      );
      await store.recordUsage([row]);
      const [found] = await store.getTraceDetail(traceId, workspaceId);
      assert.equal(found?.trace.sandboxId, text);
      assert.equal(found?.requests[0]?.client, text);
      assert.deepEqual(found?.requests[0]?.iterations, [{ model: text }]);
      const [group] = (await store.queryUsage({ ...ALL, workspaceId, sandboxId: text })).usage;
      assert.equal(group?.model, text);
      await store.createToken({ ...TOKEN, id: text, workspaceId, sandboxId: text }, `hash ${text}`, stampAt(T0 + n));
      assert.equal((await store.findToken(`hash ${text}`))?.token.id, text);
    }
    assert.equal((await store.queryTraces(ALL_TRACES)).total, HOSTILE.length);
  },

  "findToken() returns the token kept under that hash, or null": async (store) => {
    await store.createToken(TOKEN, "a".repeat(64), stampAt(T0));
    assert.deepEqual(await store.findToken("a".repeat(64)), { token: TOKEN, sha256: "a".repeat(64) });
    assert.equal(await store.findToken("b".repeat(64)), null);
    assert.equal(await store.findToken("A".repeat(64)), null);
    assert.equal(await store.findToken("a".repeat(63)), null);
  },

  "createToken() of an id or a hash that is there rejects and changes nothing": async (store) => {
    await store.createToken(TOKEN, "a", stampAt(T0));
    await assert.rejects(store.createToken({ ...TOKEN, id: "another" }, "a", stampAt(T0 + 1)));
    await assert.rejects(store.createToken({ ...TOKEN, sandboxId: "another" }, "b", stampAt(T0 + 2)));
    assert.deepEqual(await store.listTokens(null), [TOKEN]);
  },

  "revokeToken() keeps the first time, and returns null if the id is unknown": async (store) => {
    await store.createToken(TOKEN, "a", stampAt(T0));
    assert.deepEqual(await store.revokeToken(TOKEN.id, stampAt(T0 + 5)), { ...TOKEN, revokedAt: T0 + 5 });
    assert.deepEqual(await store.revokeToken(TOKEN.id, stampAt(T0 + 9)), { ...TOKEN, revokedAt: T0 + 5 });
    assert.equal((await store.findToken("a"))?.token.revokedAt, T0 + 5);
    assert.equal(await store.revokeToken("unknown", stampAt(T0 + 10)), null);
  },

  "listTokens() returns the newest first, of one workspace or of all": async (store) => {
    for (const n of [1, 3, 2]) {
      const token = { ...TOKEN, id: `tok-${n}`, workspaceId: `w-${n % 2}`, createdAt: T0 + n };
      await store.createToken(token, `hash-${n}`, stampAt(T0 + n));
    }
    const ids = async (workspaceId: string | null) => (await store.listTokens(workspaceId)).map((token) => token.id);
    assert.deepEqual(await ids(null), ["tok-3", "tok-2", "tok-1"]);
    assert.deepEqual(await ids("w-1"), ["tok-3", "tok-1"]);
    assert.deepEqual(await ids("w-9"), []);
  },

  "close() answers what was asked before, then every question rejects": async (store) => {
    await store.recordUsage([rowOf()]);
    const recorded = store.recordUsage([rowOf()]);
    const counted = store.queryUsage(ALL);
    await Promise.all([store.close(), store.close()]);
    await recorded;
    assert.equal((await counted).usage.length, 1);
    await assert.rejects(store.queryUsage(ALL));
    await assert.rejects(store.findToken("a"));
  },
};

const TOKEN: LocalToken = {
  id: "tok-1",
  workspaceId: "w-1",
  sandboxId: "sb-1",
  createdAt: T0,
  expiresAt: T0 + 1_000,
  revokedAt: null,
};

const HOSTILE = [
  "'; DROP TABLE usage; --",
  `" OR 1=1 --`,
  "a' OR 'a'='a",
  "\\'; SELECT 1; --",
  "%_*?[a]",
  "$1 ?1 :name @name",
  "日本語 🙂 \u202e \u0301",
  "\t\r\n\u0001",
  "NULL",
  "1e999",
  '{"a":[}',
  "x".repeat(256),
];

async function usage(store: Store, opts: Partial<CallFilters & QueryOpts> = {}): Promise<unknown[][]> {
  const { usage: groups } = await store.queryUsage({ ...ALL, ...opts });
  return groups.map((group) => [group.model, group.requestCount, Number(group.inputTokens), Number(group.outputTokens)]);
}

async function dropped(store: Store, before: number): Promise<void> {
  while (await store.dropMonths(before)) continue;
}

async function totals(store: Store, opts: Partial<CallFilters & QueryOpts> = {}): Promise<unknown[][]> {
  const { traces } = await store.queryTraces({ ...ALL_TRACES, ...opts });
  return traces.map((trace) => [trace.id, trace.requestCount, Number(trace.totalInputTokens), Number(trace.totalOutputTokens)]);
}

/** Every combination of filters, each given or not. */
function everyFilter(): UsageQuery[] {
  return ["w-1", "w-none", null].flatMap((workspaceId) =>
    ["sb-2", null].flatMap((sandboxId) => [T0 + 1, null].map((since) => ({ ...ALL, workspaceId, sandboxId, since })))
  );
}

interface Case {
  readonly random: () => number;
  readonly workspaceId: string;
}

/**
 * Records a random history in a workspace and compares every total with a plain model of the rule.
 */
async function compareWithModel(store: Store, { random, workspaceId }: Case): Promise<void> {
  const upTo = (most: number) => Math.floor(random() * most);
  const calls = Array.from(
    { length: 1 + upTo(6) },
    () => callOf({ workspaceId, traceId: `at-${upTo(3)}`, createdAt: T0 + upTo(3) }),
  );
  // Equal revisions of a row are equal rows, as with rows that are shipped twice.
  const history = calls.flatMap((call) =>
    [1, 2, 3, 4].filter(() => random() < 0.6).map((revision): UsageRow => ({ call, closing: randomClosing(random), revision }))
  );
  const sent = [...history, ...history.filter(() => random() < 0.5)].sort(() => random() - 0.5);
  while (sent.length > 0) await store.recordUsage(sent.splice(0, 1 + upTo(5)));

  const strongest = calls.flatMap((call) => {
    const rows = history.filter((row) => row.call === call).sort((a, b) => b.revision - a.revision);
    return rows.slice(0, 1);
  });
  const opts = { workspaceId };
  assert.deepEqual(
    new Set(
      (await store.queryUsage({ ...ALL, ...opts })).usage.map((g) =>
        `${g.model} ${g.requestCount} ${g.inputTokens} ${g.outputTokens}`
      ),
    ),
    new Set(sums(strongest, (row) => row.closing.reading.servedModel ?? row.call.requestedModel)),
    workspaceId,
  );
  assert.deepEqual(
    new Set((await totals(store, opts)).map((total) => total.join(" "))),
    new Set(sums(strongest, (row) => row.call.traceId)),
    workspaceId,
  );
}

function randomClosing(random: () => number) {
  const tokens = () => Math.floor(random() * 2 ** (random() < 0.2 ? 40 : 10));
  return closingOf({
    servedModel: random() < 0.2 ? null : `model-${Math.floor(random() * 3)}`,
    inputTokens: tokens(),
    outputTokens: tokens(),
  });
}

function sums(rows: readonly UsageRow[], keyOf: (row: UsageRow & { readonly call: OpenCall }) => string): string[] {
  const groups = Map.groupBy(rows, keyOf);
  return [...groups].map(([key, group]) => {
    const input = group.reduce((sum, row) => sum + row.closing.reading.inputTokens, 0);
    const output = group.reduce((sum, row) => sum + row.closing.reading.outputTokens, 0);
    return `${key} ${group.length} ${input} ${output}`;
  });
}
