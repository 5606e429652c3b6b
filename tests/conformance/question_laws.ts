import assert from "node:assert/strict";
import { MAX_AGENT_GROUPS } from "../../src/domain/agents.ts";
import {
  type ArrivalQuery,
  type Grouping,
  GROUPINGS,
  TRACE_ORDERS,
  USAGE_ORDERS,
  type UsageQuery,
} from "../../src/domain/query.ts";
import type { OpenCall, UsageRow, UsageSummary } from "../../src/domain/usage.ts";
import { ALL, ALL_TRACES, callOf, closingOf, T0 } from "./samples.ts";
import type { Laws } from "./store_laws.ts";
import { asText, isKept, keyOf, keyOfGroup, recorded, rowAt, sumOf, totalsOf, valueOf } from "./usage_model.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Queries that need rows. */
const OF_ROWS: readonly Grouping[] = ["trace", "agent", "client"];

const NARROWINGS: readonly Partial<UsageQuery>[] = [
  {},
  { workspaceId: "w-1" },
  { model: "m-1" },
  { upstream: "eu" },
  { workspaceId: "w-1", sandboxId: "sb-1" },
];

const ARRIVAL_FILTERS: readonly (readonly [Partial<ArrivalQuery>, (call: OpenCall) => boolean])[] = [
  [{}, () => true],
  [{ workspaceId: "w-1" }, ({ workspaceId }) => workspaceId === "w-1"],
  [{ workspaceId: "w-1", sandboxId: "sb-2" }, ({ workspaceId, sandboxId }) => workspaceId === "w-1" && sandboxId === "sb-2"],
  [{ traceId: "at-3" }, ({ traceId }) => traceId === "at-3"],
];

/** The groups of an answer, and those that the rows make. */
function bothGrouped(
  usage: readonly UsageSummary[],
  { rows, groupBy }: { readonly rows: readonly UsageRow[]; readonly groupBy: readonly Grouping[] },
): [readonly string[], readonly string[]] {
  const expected = Map.groupBy(rows, (row) => JSON.stringify(keyOf(row, groupBy)));
  return [
    usage.map((group) => JSON.stringify([keyOfGroup(group), totalsOf(group)], asText)).sort(),
    [...expected].map(([key, group]) => JSON.stringify([JSON.parse(key), sumOf(group)], asText)).sort(),
  ];
}

export const QUESTION_LAWS: Laws = {
  "queryUsage() returns the same totals by hours and by rows, for every span and every filter": async (store) => {
    const rows = await recorded(store);
    const times = [null, T0, T0 + 1, T0 + HOUR_MS, T0 + 1.5 * HOUR_MS, T0 + 1.75 * HOUR_MS, T0 + 3 * HOUR_MS, T0 + DAY_MS + 1];
    for (const since of times) {
      for (const until of times) {
        for (const narrowing of [{}, { workspaceId: "w-1" }, { sandboxId: "sb-2", model: "m-1" }]) {
          const query = { ...ALL, since, until, ...narrowing };
          const expected = sumOf(rows.filter((row) => isKept(row, query)));
          const named = `${since && since - T0} ${until && until - T0} ${JSON.stringify(narrowing)}`;
          assert.deepEqual((await store.queryUsage(query)).totals, expected, named);
          assert.deepEqual((await store.queryUsage({ ...query, groupBy: ["trace"] })).totals, expected, named);
        }
      }
    }
  },

  "queryUsage() returns the same totals by roll-ups and by rows, for spans of days and months": async (store) => {
    const ends = [Date.UTC(2026, 0), Date.UTC(2026, 1), Date.UTC(2026, 1, 2), Date.UTC(2026, 2)];
    const times = ends.flatMap((end) => [end - 1, end, end + 5 * HOUR_MS]);
    const rows = times.map((createdAt, n) =>
      rowAt(createdAt, {
        workspaceId: `w-${n % 3}`,
        sandboxId: `sb-${n % 2}`,
        upstream: [null, "eu", "us", "eu", "us"][n % 5]!,
      }, {
        servedModel: `m-${n % 2}`,
        inputTokens: 2 ** n,
      })
    );
    await store.recordUsage(rows);
    const groupings: readonly (readonly Grouping[])[] = [
      ["provider", "model"],
      ["workspace"],
      ["workspace", "model"],
      ["day"],
      ["upstream"],
      ["workspace", "sandbox"],
      ["sandbox"],
      ["sandbox", "day"],
      ["workspace", "upstream", "day"],
      ["sandbox", "upstream"],
    ];
    const asOfs = [undefined, times[4]!, times.at(-1)! + 1];
    const spans = [null, ...times].flatMap((since) => [...times, null].map((until) => ({ since, until })));
    for (const [n, { since, until }] of spans.entries()) {
      for (const [m, narrowing] of NARROWINGS.entries()) {
        // In turn: each has spans of every kind.
        const groupBy = groupings[(n + m) % groupings.length]!;
        const asOf = asOfs[(n + m) % asOfs.length];
        const query = { ...ALL, since, until, ...narrowing, groupBy, ...asOf === undefined ? {} : { asOf } };
        const kept = rows.filter((row) => isKept(row, query));
        const { usage, totals } = await store.queryUsage(query);
        const named = `${since} ${until} ${groupBy} ${JSON.stringify(narrowing)} ${asOf}`;
        assert.deepEqual(totals, sumOf(kept), named);
        assert.deepEqual(...bothGrouped(usage, { rows: kept, groupBy }), named);
      }
    }
  },

  "queryTraces() returns the totals of all traces, and of those of a workspace": async (store) => {
    const rows = await recorded(store);
    for (const workspaceId of [null, "w-1"]) {
      const { totals, total } = await store.queryTraces({ ...ALL_TRACES, workspaceId });
      const kept = rows.filter(({ call }) => workspaceId === null || call.workspaceId === workspaceId);
      assert.deepEqual(totals, sumOf(kept));
      assert.equal(total, new Set(kept.map(({ call }) => `${call.workspaceId} ${call.traceId}`)).size);
    }
  },

  "queryUsage() groups by each key and by several at once, and its groups add up to its totals": async (store) => {
    const rows = await recorded(store);
    const several: readonly (readonly Grouping[])[] = [
      ["workspace", "trace"],
      ["day", "model"],
      ["agent", "client", "hour"],
      GROUPINGS,
    ];
    for (const groupBy of [...GROUPINGS.map((grouping) => [grouping]), ...several]) {
      const { usage, totals } = await store.queryUsage({ ...ALL, groupBy, limit: 1_000 });
      assert.deepEqual(...bothGrouped(usage, { rows, groupBy }), String(groupBy));
      assert.deepEqual(totals, sumOf(rows));
    }
  },

  "queryUsage() keeps the calls of an upstream, by totals and by rows, and queryTraces() the traces with one": async (store) => {
    const rows = await recorded(store);
    for (
      const narrowing of [{}, { sandboxId: "sb-1" }, { workspaceId: "w-1", model: "m-2" }, { outcome: "completed" }] as const
    ) {
      for (const since of [null, T0 + 1.5 * HOUR_MS]) {
        const query = { ...ALL, upstream: "eu", since, ...narrowing };
        const kept = rows.filter((row) => isKept(row, query));
        assert.ok(kept.length > 0);
        assert.deepEqual((await store.queryUsage(query)).totals, sumOf(kept));
        assert.deepEqual((await store.queryUsage({ ...query, groupBy: ["trace"] })).totals, sumOf(kept));
      }
    }
    const { traces, total } = await store.queryTraces({ ...ALL_TRACES, upstream: "eu", workspaceId: "w-1" });
    const expected = new Set(
      rows.filter(({ call }) => call.upstream === "eu" && call.workspaceId === "w-1").map(({ call }) => call.traceId),
    );
    assert.deepEqual(traces.map(({ id }) => id).sort(), [...expected].sort());
    assert.equal(total, expected.size);
    assert.equal((await store.queryTraces({ ...ALL_TRACES, upstream: "nowhere" })).total, 0);
  },

  "recordUsage() of a higher revision, or of a retry, moves the totals of the upstream that the first row names": async (
    store,
  ) => {
    const messagesHash = "0".repeat(64);
    const [broken, retry] = [
      rowAt(T0, { upstream: "eu", messagesHash }, { inputTokens: 1 }),
      rowAt(T0 + 1_000, { upstream: "us", messagesHash }, { inputTokens: 10 }),
    ];
    const swept = { ...broken!, closing: closingOf({ servedModel: null }, { outcome: "unknown", cost: 5 }), revision: 1 };
    await store.recordUsage([swept]);
    await store.recordUsage([retry!]);
    // A program that reads the row again may name another one, or none.
    const closing = closingOf({ servedModel: "m-1", inputTokens: 100 }, { outcome: "upstream_broke", cost: 50 });
    await store.recordUsage([{ ...broken!, call: { ...broken!.call, upstream: null }, closing, revision: 3 }]);
    const expected = [["eu", 1, 100n, 1, 0, 50n], ["us", 1, 10n, 0, 1, 0n]];
    for (const groupBy of [["upstream"], ["upstream", "workspace"], ["upstream", "sandbox"], ["upstream", "hour"]] as const) {
      const { usage } = await store.queryUsage({ ...ALL, groupBy });
      const sums = usage.map(({ upstream, requestCount, inputTokens, ...sums }) => {
        return [upstream, requestCount, inputTokens, sums.failedCount, sums.retryCount, sums.retriedCost];
      });
      assert.deepEqual(sums, expected, String(groupBy));
    }
  },

  "queryUsage() keeps the calls of an outcome and of an accuracy": async (store) => {
    const rows = await recorded(store);
    for (
      const narrowing of [{ outcome: "client_left" }, { accuracy: "estimated" }, {
        outcome: "completed",
        accuracy: "exact",
      }] as const
    ) {
      const query = { ...ALL, ...narrowing, model: "m-1", since: T0 + 1, until: T0 + 1.5 * HOUR_MS };
      const kept = rows.filter((row) => isKept(row, query));
      assert.ok(kept.length > 0);
      assert.deepEqual((await store.queryUsage(query)).totals, sumOf(kept));
    }
  },

  "queryUsage() returns every group once, page by page, in every order": async (store) => {
    await recorded(store);
    for (const by of USAGE_ORDERS) {
      for (const isAscending of [true, false]) {
        const query: UsageQuery = {
          ...ALL,
          groupBy: ["sandbox", "hour", "client", "model"],
          order: { by, isAscending },
          limit: 1_000,
        };
        const whole = await store.queryUsage(query);
        assert.equal(whole.next, null);
        const values = whole.usage.map((group) => valueOf(group, by));
        assert.deepEqual(values, values.toSorted((a, b) => (isAscending ? 1 : -1) * (a < b ? -1 : a > b ? 1 : 0)), by);
        const paged = [];
        let after: UsageQuery["after"] = null;
        do {
          const page = await store.queryUsage({ ...query, limit: 7, after });
          assert.deepEqual(page.totals, whole.totals);
          paged.push(...page.usage);
          after = page.next;
        } while (after !== null);
        assert.deepEqual(paged, whole.usage);
      }
    }
  },

  "queryUsage() reads on behind a page and neither repeats nor loses a group, even if rows were recorded meanwhile": async (
    store,
  ) => {
    const rows = await recorded(store);
    const query: UsageQuery = { ...ALL, groupBy: ["trace", "agent"], order: { by: "cost", isAscending: false }, limit: 5 };
    const whole = await store.queryUsage({ ...query, limit: 1_000 });
    const first = await store.queryUsage(query);
    const now = T0 + 10 * DAY_MS;
    await store.recordUsage(rows.map((row) => ({ ...row, call: { ...row.call, id: `${row.call.id}-new`, createdAt: now } })));
    const second = await store.queryUsage({ ...query, limit: 1_000, until: now, after: first.next });
    assert.deepEqual([...first.usage, ...second.usage], whole.usage);
    assert.deepEqual(second.totals, whole.totals);
  },

  "queryUsage() and queryTraces() refuse what needs dropped rows, and answer from the drop on": async (
    store,
  ) => {
    const dropped = T0 + 31 * DAY_MS;
    const rows = [T0, dropped - HOUR_MS / 2, dropped + 1].map((createdAt, n) => rowAt(createdAt, { traceId: `at-${n}` }));
    await store.recordUsage(rows);
    while (await store.dropMonths(dropped)) continue;
    for (
      const narrowing of [{ groupBy: OF_ROWS }, { outcome: "completed" }, { accuracy: "exact", since: dropped - 1 }] as const
    ) {
      await assert.rejects(store.queryUsage({ ...ALL, ...narrowing }), {
        name: "RowsDropped",
        message: /2026-02-01T00:00:00\.000Z/,
      });
      const { totals } = await store.queryUsage({ ...ALL, ...narrowing, since: dropped });
      assert.deepEqual(totals, sumOf(rows.slice(2)));
    }
    await assert.rejects(store.queryTraces({ ...ALL_TRACES, model: "m-1" }), { name: "RowsDropped" });
    assert.equal((await store.queryTraces({ ...ALL_TRACES, model: "m-1", since: dropped })).total, 1);
    // The partial hour without rows counts as a whole hour.
    assert.equal((await store.queryUsage({ ...ALL, until: dropped - HOUR_MS + 1 })).totals.requestCount, 2);
    assert.equal((await store.queryUsage({ ...ALL, until: dropped - HOUR_MS })).totals.requestCount, 1);
  },

  "queryTraces() returns every trace once, page by page, in every order, with the totals of all": async (store) => {
    const rows = await recorded(store);
    for (const by of TRACE_ORDERS) {
      for (const isAscending of [true, false]) {
        const query = { ...ALL_TRACES, order: { by, isAscending } };
        const whole = await store.queryTraces(query);
        assert.equal(whole.traces.length, 9);
        assert.deepEqual(whole.totals, sumOf(rows));
        const paged = [];
        let after: UsageQuery["after"] = null;
        do {
          const page = await store.queryTraces({ ...query, limit: 2, after });
          assert.deepEqual([page.total, page.totals], [9, whole.totals]);
          paged.push(...page.traces);
          after = page.next;
        } while (after !== null);
        assert.deepEqual(paged, whole.traces);
        assert.notDeepEqual(
          whole.traces,
          (await store.queryTraces({ ...query, order: { by, isAscending: !isAscending } })).traces,
        );
      }
    }
    const byCost = (await store.queryTraces({ ...ALL_TRACES, order: { by: "cost", isAscending: false } })).traces;
    const costs = byCost.map(({ cost }) => cost);
    assert.deepEqual(costs, costs.toSorted((a, b) => (a > b ? -1 : 1)));
  },

  "queryTraces() keeps the traces that have a call of that model, outcome and accuracy, and those active before a time": async (
    store,
  ) => {
    const row = (traceId: string, model: string, outcome: "completed" | "client_left", createdAt = T0) => ({
      call: callOf({ traceId, createdAt }),
      closing: closingOf({ servedModel: model }, { outcome, accuracy: outcome === "completed" ? "exact" : "estimated" }),
      revision: 2,
    });
    await store.recordUsage([
      row("at-1", "m-1", "completed"),
      row("at-1", "m-2", "client_left"),
      row("at-2", "m-1", "client_left", T0 + 5),
    ]);
    const ids = async (narrowing: Partial<UsageQuery>) =>
      (await store.queryTraces({ ...ALL_TRACES, ...narrowing, order: ALL_TRACES.order })).traces.map(({ id }) => id).sort();
    assert.deepEqual(await ids({ model: "m-1" }), ["at-1", "at-2"]);
    assert.deepEqual(await ids({ model: "m-1", outcome: "client_left" }), ["at-2"]);
    assert.deepEqual(await ids({ model: "m-2", accuracy: "estimated" }), ["at-1"]);
    assert.deepEqual(await ids({ model: "m-2", accuracy: "exact" }), []);
    assert.deepEqual(await ids({ until: T0 + 5 }), ["at-1"]);
    assert.deepEqual(await ids({ until: T0 }), []);
  },

  "queryRefusals() keeps the minutes before a time": async (store) => {
    const one = { workspaceId: "w", sandboxId: "s", fault: "overloaded", instanceId: "run-1", count: 1 } as const;
    await store.recordRefusals([0, 1, 2].map((n) => ({ ...one, minute: T0 + n })));
    const found = await store.queryRefusals({ ...ALL, since: T0 + 1, until: T0 + 2 });
    assert.deepEqual(found.map(({ minute }) => minute), [T0 + 1]);
  },

  "callsAfter() returns each call once, in the order in which it came, however it is paged and filtered": async (store) => {
    const everything = { workspaceId: null, sandboxId: null, traceId: null, limit: 7 };
    await store.recordUsage([rowAt(T0)]);
    const begin = await store.callsAfter({ ...everything, after: null });
    assert.deepEqual(begin.calls, []);
    // Later calls come first: only their arrival counts.
    const rows = Array.from(
      { length: 40 },
      (_, n) => rowAt(T0 + 1_000 - n, { workspaceId: `w-${n % 2}`, sandboxId: `sb-${n % 3}`, traceId: `at-${n % 5}` }),
    );
    for (let at = 0; at < rows.length; at += 10) await store.recordUsage(rows.slice(at, at + 10));
    // A row that is sent again or changes later has come already.
    await store.recordUsage([rows[3]!, { ...rows[4]!, revision: 3 }]);

    for (const [filter, keeps] of ARRIVAL_FILTERS) {
      const seen: string[] = [];
      let after = begin.next;
      for (;;) {
        const { calls, next } = await store.callsAfter({ ...everything, ...filter, after });
        seen.push(...calls.map(({ id }) => id));
        after = next;
        if (calls.length < everything.limit) break;
      }
      const kept = rows.filter(({ call }) => keeps(call));
      assert.deepEqual(seen.toSorted(), kept.map(({ call }) => call.id).toSorted());
      // What came in one transaction has no order of its own.
      const batches = seen.map((id) => Math.floor(rows.findIndex(({ call }) => call.id === id) / 10));
      assert.deepEqual(batches, batches.toSorted());
      assert.deepEqual((await store.callsAfter({ ...everything, ...filter, after })).calls, []);
    }
  },

  "callsAfter() begins now at a place that is not of this database": async (store) => {
    await store.recordUsage([rowAt(T0)]);
    const everything = { workspaceId: null, sandboxId: null, traceId: null, limit: 7 };
    for (const after of [["elsewhere", "1", "0", ""], ["sqlite", "9999999999"], ["postgres", "99999999999999", "0", ""]]) {
      const { calls, next } = await store.callsAfter({ ...everything, after });
      assert.deepEqual(calls, []);
      await store.recordUsage([rowAt(T0 + 1)]);
      assert.equal((await store.callsAfter({ ...everything, after: next })).calls.length, 1);
    }
  },

  "getTraceDetail() sums all calls of a trace by agent, even those whose rows it does not show": async (store) => {
    const rows = await recorded(store);
    const [detail] = await store.getTraceDetail("at-1", "w-1");
    const own = rows.filter(({ call }) => call.traceId === "at-1" && call.workspaceId === "w-1");
    const groups = Map.groupBy(
      own,
      ({ call }) => [call.agentId, call.parentAgentId, call.agentType, call.requestClass].join("|"),
    );
    assert.equal(detail!.agents.length, groups.size);
    for (const agent of detail!.agents) {
      const calls = groups.get([agent.agentId, agent.parentAgentId, agent.agentType, agent.requestClass].join("|"))!;
      assert.deepEqual(totalsOf(agent), sumOf(calls));
      assert.equal(agent.firstAt, Math.min(...calls.map(({ call }) => call.createdAt)));
      assert.equal(agent.lastAt, Math.max(...calls.map(({ call, closing }) => call.createdAt + closing.duration!)));
    }
    const begins = detail!.agents.map(({ firstAt }) => firstAt);
    assert.deepEqual(begins, begins.toSorted((a, b) => a - b));
  },

  "getTraceDetail() separates a bounded number of agents, and loses no call of the others": async (store) => {
    const count = MAX_AGENT_GROUPS + 50;
    await store.recordUsage(Array.from({ length: count }, (_, n) => rowAt(T0 + n, { agentId: `agent-${n}` })));
    const { agents } = (await store.getTraceDetail("at-1", "w-1"))[0]!;
    assert.deepEqual([agents.length, agents.filter(({ isRest }) => isRest).length], [MAX_AGENT_GROUPS + 1, 1]);
    assert.deepEqual([agents.at(-1)!.isRest, agents.at(-1)!.requestCount], [true, 50]);
    assert.equal(agents[7]!.agentId, "agent-7");
  },

  "getCachedCalls() returns the calls that read or wrote the cache, oldest first, until there are no more": async (store) => {
    const cached = Array.from(
      { length: 1_100 },
      (_, n) => rowAt(T0 + Math.floor(n / 2), { agentId: "a" }, { cacheReadInputTokens: 1 }),
    );
    await store.recordUsage([...cached, rowAt(T0), rowAt(T0, { traceId: "at-2" }, { cacheReadInputTokens: 1 })]);
    const place = { workspaceId: "w-1", traceId: "at-1" };
    const first = await store.getCachedCalls({ ...place, after: null });
    const second = await store.getCachedCalls({ ...place, after: first.at(-1)! });
    assert.deepEqual([...first, ...second].map(({ id }) => id), cached.map(({ call }) => call.id));
    assert.deepEqual(await store.getCachedCalls({ ...place, after: second.at(-1)! }), []);
    assert.equal(first[0]!.agentId, "a");
  },
};
