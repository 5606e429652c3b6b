/**
 * What dashboards ask of a store, and what the shipper writes. Parameters differ from ask to ask.
 */
import type { Store } from "../src/domain/store.ts";
import { type CallFilters, type Grouping, NO_TRACE_FILTERS, type TraceOrder, type UsageOrder } from "../src/domain/query.ts";
import { EMPTY_READING } from "../src/domain/reading.ts";
import { REVISION, UNSAID, type UsageRow } from "../src/domain/usage.ts";
import { FLEET, rankOf, sandboxesOf, sandboxOf, slotOf, traceOf, workspaceOf } from "./store_fleet.ts";

export type Asked = Pick<Store, "queryUsage" | "queryTraces" | "getTraceDetail" | "getCachedCalls" | "queryRefusals">;

export interface Query {
  readonly name: string;
  /** Takes the same parameters whenever `random`, from 0 to before 1, returns the same numbers. */
  readonly ask: (store: Asked, random: () => number) => Promise<unknown>;
}

type Random = () => number;
type Whose = (random: Random) => Partial<CallFilters>;
type When = (random: Random) => Pick<CallFilters, "since" | "until">;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const WHOSE = {
  fleet: () => ({}),
  workspace: (random) => ({ workspaceId: workspaceOf(rankDrawn(random)) }),
  sandbox: (random) => {
    const rank = rankDrawn(random);
    return { workspaceId: workspaceOf(rank), sandboxId: sandboxOf(rank, Math.floor(random() * sandboxesOf(rank))) };
  },
} as const satisfies Readonly<Record<string, Whose>>;

/** Up to any millisecond of the last month, as a dashboard asks. `until` is what its page adds. */
const WHEN = {
  "today": (random) => toNow(random, (now) => Math.floor(now / DAY_MS) * DAY_MS),
  "24 hours": (random) => toNow(random, (now) => now - DAY_MS),
  "7 days": (random) => toNow(random, (now) => now - 7 * DAY_MS),
  "30 days": (random) => toNow(random, (now) => now - 30 * DAY_MS),
  "a month": (random) => {
    const month = Math.floor(random() * 11);
    return { since: Date.UTC(2025, 11 + month), until: Date.UTC(2025, 12 + month) };
  },
  "11 months": (random) => toNow(random, (now) => now - 334 * DAY_MS),
  "all time": () => ({ since: null, until: FLEET.until }),
} as const satisfies Readonly<Record<string, When>>;

function toNow(random: Random, since: (now: number) => number): Pick<CallFilters, "since" | "until"> {
  const now = FLEET.until - Math.floor(random() * 25 * DAY_MS) - HOUR_MS;
  return { since: since(now), until: now };
}

/** As often as it has calls: large workspaces are asked about more often. */
function rankDrawn(random: Random): number {
  return rankOf(Math.floor(random() * 65_536));
}

const USAGE: readonly (readonly [whose: keyof typeof WHOSE, when: keyof typeof WHEN, groupBy: string, order?: UsageOrder])[] = [
  ["fleet", "today", "model"],
  ["fleet", "24 hours", "hour", "time"],
  ["fleet", "24 hours", "workspace", "cost"],
  ["fleet", "24 hours", "sandbox", "cost"],
  ["fleet", "24 hours", "client", "requests"],
  ["fleet", "7 days", "provider,model"],
  ["fleet", "7 days", "hour", "time"],
  ["fleet", "7 days", "workspace", "cost"],
  ["fleet", "30 days", "provider,model"],
  ["fleet", "30 days", "day", "time"],
  ["fleet", "30 days", "day,model", "time"],
  ["fleet", "30 days", "workspace", "cost"],
  ["fleet", "30 days", "sandbox", "cost"],
  ["fleet", "a month", "provider,model", "cost"],
  ["fleet", "a month", "workspace", "cost"],
  ["fleet", "11 months", "provider,model"],
  ["fleet", "11 months", "sandbox"],
  ["fleet", "11 months", "upstream"],
  ["fleet", "11 months", "day", "time"],
  ["fleet", "11 months", "workspace", "cost"],
  ["fleet", "all time", "provider,model"],
  ["workspace", "today", "model"],
  ["workspace", "24 hours", "hour", "time"],
  ["workspace", "24 hours", "trace", "cost"],
  ["workspace", "24 hours", "trace,agent", "cost"],
  ["workspace", "7 days", "hour", "time"],
  ["workspace", "7 days", "agent", "cost"],
  ["workspace", "7 days", "client", "requests"],
  ["workspace", "30 days", "provider,model", "cost"],
  ["workspace", "30 days", "day", "time"],
  ["workspace", "30 days", "sandbox", "cost"],
  ["workspace", "30 days", "client", "requests"],
  ["workspace", "a month", "provider,model", "cost"],
  ["workspace", "11 months", "day", "time"],
  ["workspace", "11 months", "sandbox", "cost"],
  ["workspace", "all time", "provider,model"],
  ["sandbox", "30 days", "day", "time"],
  ["sandbox", "all time", "model"],
];

const TRACES: readonly (readonly [whose: keyof typeof WHOSE, when: keyof typeof WHEN, order: TraceOrder])[] = [
  ["fleet", "24 hours", "activity"],
  ["fleet", "7 days", "cost"],
  ["fleet", "30 days", "activity"],
  ["fleet", "all time", "activity"],
  ["fleet", "all time", "created"],
  ["fleet", "all time", "cost"],
  ["workspace", "7 days", "activity"],
  ["workspace", "30 days", "cost"],
  ["workspace", "all time", "activity"],
  ["workspace", "all time", "created"],
  ["workspace", "all time", "cost"],
  ["workspace", "all time", "tokens"],
  ["workspace", "all time", "requests"],
  ["sandbox", "all time", "activity"],
];

const NO_FILTERS: CallFilters = {
  ...{ workspaceId: null, sandboxId: null, since: null, until: null, upstream: null, model: null, outcome: null, accuracy: null },
};

/** `traces`: how many the database has. */
export function dashboardQueries(traces: number): readonly Query[] {
  return [
    ...USAGE.map((asked) => usageQuery(asked)),
    { name: "usage, fleet, 30 days by workspace: second page", ask: (store, random) => secondOfWorkspaces(store, random) },
    { name: "usage, workspace, 7 days, outcome upstream_error", ask: errorsOfWeek },
    ...TRACES.map((asked) => tracesQuery(asked)),
    { name: "traces, fleet: second page", ask: (store, random) => secondOfTraces(store, random, WHOSE.fleet) },
    { name: "traces, workspace: second page", ask: (store, random) => secondOfTraces(store, random, WHOSE.workspace) },
    { name: "traces, workspace, 7 days, outcome upstream_error", ask: failedTraces },
    {
      name: "a trace's detail, in a workspace",
      ask: (store, random) => ofTrace(traces, random, (id, workspaceId) => store.getTraceDetail(id, workspaceId)),
    },
    {
      name: "a trace's detail, by its id",
      ask: (store, random) => ofTrace(traces, random, (id) => store.getTraceDetail(id, null)),
    },
    {
      name: "a trace's cache",
      ask: (store, random) =>
        ofTrace(traces, random, (traceId, workspaceId) => store.getCachedCalls({ traceId, workspaceId, after: null })),
    },
    { name: "refusals, fleet, newest", ask: (store, random) => refusals(store, WHOSE.fleet(), WHEN["30 days"](random)) },
    {
      name: "refusals, workspace, newest",
      ask: (store, random) => refusals(store, WHOSE.workspace(random), WHEN["30 days"](random)),
    },
  ];
}

function usageQuery([whose, when, groups, order = "tokens"]: (typeof USAGE)[number]): Query {
  return {
    name: `usage, ${whose}, ${when} by ${groups}`,
    ask: (store, random) => {
      const groupBy = groups.split(",") as Grouping[];
      const filters = { ...NO_FILTERS, ...WHOSE[whose](random), ...WHEN[when](random) };
      return store.queryUsage({ ...filters, groupBy, order: { by: order, isAscending: order === "time" }, ...FIRST_PAGE });
    },
  };
}

const FIRST_PAGE = { limit: 100, offset: 0, after: null } as const;

/** Two questions: what a reader who turns the page waits for twice. */
async function secondOfWorkspaces(store: Asked, random: Random): Promise<unknown> {
  const query = { ...NO_FILTERS, ...WHEN["30 days"](random), groupBy: ["workspace"], order: BY_COST, ...FIRST_PAGE } as const;
  const { next } = await store.queryUsage(query);
  return await store.queryUsage({ ...query, after: next });
}

const BY_COST = { by: "cost", isAscending: false } as const;

function errorsOfWeek(store: Asked, random: Random): Promise<unknown> {
  const filters = { ...NO_FILTERS, ...WHOSE.workspace(random), ...WHEN["7 days"](random), outcome: "upstream_error" } as const;
  return store.queryUsage({ ...filters, groupBy: ["model"], order: BY_COST, ...FIRST_PAGE });
}

function tracesQuery([whose, when, order]: (typeof TRACES)[number]): Query {
  return {
    name: `traces, ${whose}, ${when} by ${order}`,
    ask: (store, random) => {
      const { since, until } = WHEN[when](random);
      const times = { since, until: when === "all time" ? null : until };
      const filters = { ...NO_FILTERS, ...WHOSE[whose](random), ...times };
      return store.queryTraces({ ...filters, ...NO_TRACE_FILTERS, order: { by: order, isAscending: false }, ...FIRST_PAGE });
    },
  };
}

async function secondOfTraces(store: Asked, random: Random, whose: Whose): Promise<unknown> {
  const order = { by: "activity", isAscending: false } as const;
  const query = { ...NO_FILTERS, ...NO_TRACE_FILTERS, ...whose(random), order, ...FIRST_PAGE };
  const { next } = await store.queryTraces(query);
  return await store.queryTraces({ ...query, after: next });
}

function failedTraces(store: Asked, random: Random): Promise<unknown> {
  const filters = { ...NO_FILTERS, ...WHOSE.workspace(random), ...WHEN["7 days"](random), outcome: "upstream_error" } as const;
  return store.queryTraces({ ...filters, ...NO_TRACE_FILTERS, order: { by: "activity", isAscending: false }, ...FIRST_PAGE });
}

function ofTrace<T>(traces: number, random: Random, ask: (id: string, workspaceId: string) => Promise<T>): Promise<T> {
  const number = Math.floor(random() * traces);
  return ask(traceOf(number), workspaceOf(rankOf(slotOf(number))));
}

function refusals(store: Asked, whose: Partial<CallFilters>, times: Pick<CallFilters, "since" | "until">): Promise<unknown> {
  const { workspaceId, sandboxId } = { ...NO_FILTERS, ...whose };
  return store.queryRefusals({ workspaceId, sandboxId, ...times, limit: 100, offset: 0 });
}

/** Rows as one replica ships them: new calls of many sessions, one after the other in time. */
export function shipment(run: string, { number, rows }: { readonly number: number; readonly rows: number }): readonly UsageRow[] {
  return Array.from({ length: rows }, (_, place) => {
    const n = number * rows + place;
    const [trace, call] = [Math.floor(n / FLEET.rowsOfTrace), String(n).padStart(16, "0")];
    // The calls of some 500 sessions alternate.
    const session = Math.floor(trace / 500) * 500 + n % 500;
    const rank = rankOf(slotOf(session));
    return {
      revision: REVISION.closed,
      call: {
        id: `ar-${run}${call}`,
        instanceId: "bench",
        workspaceId: workspaceOf(rank),
        sandboxId: sandboxOf(rank, session % sandboxesOf(rank)),
        traceId: `at-${run}${session}`,
        kind: "message",
        provider: "anthropic",
        requestedModel: "claude-sonnet-4-5",
        streaming: true,
        createdAt: FLEET.until + n * 20,
        maxTokens: 32_000,
        requestBytes: 120_000,
        ...UNSAID,
        messagesHash: call.padStart(64, "0"),
        client: "claude-cli/2.1.0",
        credentialId: "0a1b2c3d",
      },
      closing: {
        outcome: "completed",
        accuracy: "exact",
        status: 200,
        upstreamRequestId: `req_01${call}`,
        duration: 12_345,
        ttft: 812,
        cost: 12_345_678,
        unpricedUses: {},
        priceVersion: "2026-11-28",
        reading: {
          ...EMPTY_READING,
          messageId: `msg_01${call}`,
          servedModel: "claude-sonnet-4-5",
          stopReason: "tool_use",
          ...{ inputTokens: 12, outputTokens: 843, cacheReadInputTokens: 84_213, serviceTier: "standard" },
        },
      },
    };
  });
}
