import assert from "node:assert/strict";
import { CALL_ORDERS, type CallOrder, type CallQuery, placeBefore, type TraceQuery } from "../../src/domain/query.ts";
import type { Store } from "../../src/domain/store.ts";
import type { UsageRow } from "../../src/domain/usage.ts";
import { ALL_TRACES, callOf, closingOf, seededRandom, T0 } from "./samples.ts";
import type { Laws } from "./store_laws.ts";
import { rowAt } from "./usage_model.ts";

const CALLS: CallQuery = {
  workspaceId: "w-1",
  traceId: "at-1",
  agentId: null,
  isTroubled: false,
  order: { by: "time", isAscending: true },
  after: null,
  limit: 1_000,
};

/** Questions about traces and about the calls of one of them. */
export const TRACE_LAWS: Laws = {
  "queryCalls() returns every call of the trace once, page by page, in every order, the unknown last": async (store) => {
    const rows = await callsOfAll(store);
    const own = rows.filter(({ call }) => call.traceId === "at-1" && call.workspaceId === "w-1");
    for (const by of CALL_ORDERS) {
      for (const isAscending of [true, false]) {
        const query = { ...CALLS, order: { by, isAscending } };
        const whole = await store.queryCalls(query);
        assert.equal(whole.next, null);
        const sign = isAscending ? 1 : -1;
        const expected = own.toSorted((a, b) => {
          const [one, other] = [valueOf(a, by), valueOf(b, by)];
          if (one !== other && (one === null || other === null)) return one === null ? 1 : -1;
          const byValue = one === other ? 0 : one! < other! ? -sign : sign;
          return byValue || sign * (a.call.createdAt - b.call.createdAt) || (a.call.id < b.call.id ? -sign : sign);
        });
        assert.deepEqual(whole.calls.map(({ id }) => id), expected.map(({ call }) => call.id), `${by} ${isAscending}`);
        assert.deepEqual(await everyCall(store, { ...query, limit: 7 }), whole.calls);
      }
    }
  },

  "queryCalls() keeps the calls of one agent, those of none, and those that went wrong": async (store) => {
    const failed = closingOf({}, { outcome: "upstream_error" });
    const rows = [
      rowAt(T0, { agentId: "a" }),
      { ...rowAt(T0 + 1, { agentId: "b", messagesHash: "1" }), closing: failed },
      rowAt(T0 + 2, { agentId: "b", messagesHash: "1" }),
      rowAt(T0 + 3),
    ];
    await store.recordUsage(rows);
    const places = async (narrowing: Partial<CallQuery>) =>
      (await store.queryCalls({ ...CALLS, ...narrowing })).calls.map(({ createdAt }) => createdAt - T0);
    assert.deepEqual(await places({ agentId: "b" }), [1, 2]);
    assert.deepEqual(await places({ agentId: "" }), [3]);
    assert.deepEqual(await places({ isTroubled: true }), [1, 2]);
    assert.deepEqual(await places({ isTroubled: true, agentId: "a" }), []);
    assert.deepEqual(await places({ after: placeBefore(T0 + 2) }), [2, 3]);
    assert.deepEqual(await places({ workspaceId: "w-2" }), []);
  },

  "queryTraces() keeps the traces by the beginning of their id, their cost, and a client or a failure among their calls": async (
    store,
  ) => {
    const failed = closingOf({}, { outcome: "upstream_broke", cost: 7 });
    const left = closingOf({}, { outcome: "client_left" });
    await store.recordUsage([
      rowAt(T0, { traceId: "at-1", client: "claude-code" }),
      { ...rowAt(T0, { traceId: "at-1", client: "pi" }), closing: failed },
      { ...rowAt(T0, { traceId: "at-12", client: "pi" }), closing: left },
      { ...rowAt(T0, { traceId: "at-2", client: "claude-code" }), closing: failed },
      rowAt(T0, { traceId: "at-é😀" }),
      rowAt(T0, { traceId: "session-é-1" }),
      rowAt(T0, { traceId: "session-é😀" }),
      rowAt(T0, { traceId: "session-f" }),
    ]);
    const ids = async (narrowing: Partial<TraceQuery>) => {
      const query = { ...ALL_TRACES, ...narrowing };
      const { traces, total } = await store.queryTraces(query);
      assert.equal(total, traces.length);
      assert.deepEqual((await store.listTraces(query)).traces, traces);
      return traces.map(({ id }) => id).sort();
    };
    assert.deepEqual(await ids({ idPrefix: "at-1" }), ["at-1", "at-12"]);
    assert.deepEqual(await ids({ idPrefix: "at-é" }), ["at-é😀"]);
    assert.deepEqual(await ids({ idPrefix: "at-é😀" }), ["at-é😀"]);
    assert.deepEqual(await ids({ idPrefix: "at%" }), []);
    assert.deepEqual(await ids({ idPrefix: "session-é" }), ["session-é-1", "session-é😀"]);
    assert.deepEqual(await ids({ idPrefix: "session-_" }), []);
    assert.deepEqual(await ids({ idPrefix: "session-f" }), ["session-f"]);
    assert.deepEqual(await ids({ begunBefore: T0 + 1, idPrefix: "at-1" }), ["at-1", "at-12"]);
    assert.deepEqual(await ids({ begunBefore: T0 }), []);
    assert.deepEqual(await ids({ client: "claude-code" }), ["at-1", "at-2"]);
    assert.deepEqual(await ids({ hasFailed: true }), ["at-1", "at-2"]);
    assert.deepEqual(await ids({ client: "claude-code", hasFailed: true, leastCost: 8 }), ["at-1"]);
    // One call has to be both.
    assert.deepEqual(await ids({ client: "claude-code", outcome: "upstream_broke" }), ["at-2"]);
    assert.deepEqual(await ids({ leastCost: 8, idPrefix: "at-" }), ["at-1", "at-12", "at-é😀"]);
    assert.deepEqual(await ids({ leastCost: 1_001 }), ["at-1"]);
  },

  "listTraces() returns the pages of queryTraces()": async (store) => {
    await callsOfAll(store);
    const first = { ...ALL_TRACES, limit: 3 };
    const { traces, next } = await store.queryTraces(first);
    assert.deepEqual(await store.listTraces(first), { traces, next });
    const second = await store.queryTraces({ ...first, after: next });
    assert.deepEqual(await store.listTraces({ ...first, after: next }), { traces: second.traces, next: second.next });
  },

  "findTraces() returns the traces of an id by workspace, with their totals, and a bounded number of them": async (store) => {
    await store.recordUsage(Array.from({ length: 110 }, (_, n) => rowAt(T0, { workspaceId: `w-${1_000 + n}` })));
    const found = await store.findTraces("at-1", null);
    assert.deepEqual([found.length, found[0]!.workspaceId, found[99]!.workspaceId], [100, "w-1000", "w-1099"]);
    const [one] = await store.findTraces("at-1", "w-1105");
    assert.deepEqual([one!.workspaceId, one!.requestCount, one!.cost], ["w-1105", 1, 1_000n]);
    assert.deepEqual(await store.findTraces("at-1", "w-1"), []);
    assert.deepEqual(await store.findTraces("at", null), []);
  },

  "getAgents() returns the agents of a trace's detail": async (store) => {
    await callsOfAll(store);
    const [detail] = await store.getTraceDetail("at-1", "w-1");
    assert.equal(detail!.agents.length, 3);
    assert.deepEqual(await store.getAgents({ id: "at-1", workspaceId: "w-1" }), detail!.agents);
    assert.deepEqual(await store.getAgents({ id: "at-1", workspaceId: "w-9" }), []);
  },
};

/** Calls of several traces; many are of one moment or have equal values, and some lack values. */
async function callsOfAll(store: Store): Promise<readonly UsageRow[]> {
  const random = seededRandom(7);
  const upTo = (most: number) => Math.floor(random() * most);
  const rows = Array.from({ length: 200 }, (_, n): UsageRow => ({
    call: callOf({
      createdAt: T0 + upTo(40),
      workspaceId: `w-${upTo(3)}`,
      traceId: `at-${upTo(3)}`,
      agentId: [null, "a-1", "a-2"][upTo(3)]!,
    }),
    closing: closingOf({
      inputTokens: upTo(5),
      outputTokens: upTo(5),
      cacheReadInputTokens: upTo(5),
      cacheCreationInputTokens: upTo(5),
    }, {
      outcome: n % 4 === 0 ? "upstream_error" : "completed",
      cost: n % 5 === 0 ? null : upTo(9),
      duration: n % 6 === 0 ? null : upTo(9),
      ttft: n % 7 === 0 ? null : upTo(9),
    }),
    revision: 2,
  }));
  await store.recordUsage(rows);
  return rows;
}

async function everyCall(store: Store, query: CallQuery) {
  const all = [];
  let after: CallQuery["after"] = null;
  do {
    const page = await store.queryCalls({ ...query, after });
    all.push(...page.calls);
    after = page.next;
  } while (after !== null);
  return all;
}

function valueOf({ call, closing }: UsageRow, by: CallOrder): number | null {
  const { reading } = closing;
  const values: Readonly<Record<CallOrder, number | null>> = {
    time: call.createdAt,
    duration: closing.duration,
    ttft: closing.ttft,
    cost: closing.cost,
    input: reading.inputTokens,
    cacheWrite: reading.cacheCreationInputTokens,
    cacheRead: reading.cacheReadInputTokens,
    output: reading.outputTokens,
  };
  return values[by];
}
