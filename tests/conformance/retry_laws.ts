import assert from "node:assert/strict";
import type { Store } from "../../src/domain/store.ts";
import type { Closing, Outcome, UsageRow } from "../../src/domain/usage.ts";
import { ALL, ALL_TRACES, callOf, closingOf, retriesOf, seededRandom, T0 } from "./samples.ts";
import type { StoreUnderTest } from "./store_laws.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/**
 * Registers the laws of every store about retries of one prompt (`src/domain/retry.ts`), as tests.
 */
export function retryLaws(name: string, make: () => Promise<StoreUnderTest>): void {
  for (const [law, holds] of Object.entries(LAWS)) {
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

const LAWS: Readonly<Record<string, (store: Store) => Promise<void>>> = {
  "recordUsage() links retries to the first call, until one completes": async (store) => {
    const rows = [
      attempt({ at: 0, outcome: "upstream_broke", cost: 10 }),
      attempt({ at: 600, outcome: "upstream_error", cost: 0 }),
      attempt({ at: 1_500, outcome: "completed", cost: 30 }),
      attempt({ at: 9_000, outcome: "completed", cost: 40 }),
      attempt({ at: 9_500, outcome: "client_left", cost: 50, hash: "another" }),
    ];
    await store.recordUsage(rows);
    const first = rows[0]!.call.id;
    assert.deepEqual(await linksIn(store), [[null, true], [first, true], [first, false], [null, false], [null, false]]);
    const [trace] = (await store.queryTraces(ALL_TRACES)).traces;
    assert.deepEqual(retriesOf(trace!), { count: 2, cost: 10n });
    for (const since of [null, T0]) {
      assert.deepEqual(retriesOf((await store.queryUsage({ ...ALL, since })).usage[0]!), retriesOf(trace!));
    }
  },

  "recordUsage() links a retry up to ten minutes after the end of a call, or after its admission if the end is unknown": async (
    store,
  ) => {
    const cases = [
      { duration: 30 * MINUTE_MS, later: 40 * MINUTE_MS, isRetry: true },
      { duration: 30 * MINUTE_MS, later: 40 * MINUTE_MS + 1, isRetry: false },
      { duration: null, later: 10 * MINUTE_MS, isRetry: true },
      { duration: null, later: 10 * MINUTE_MS + 1, isRetry: false },
      { duration: 2 * DAY_MS, later: DAY_MS, isRetry: true },
      { duration: 2 * DAY_MS, later: DAY_MS + 1, isRetry: false },
    ];
    for (const [n, { duration, later, isRetry }] of cases.entries()) {
      const traceId = `at-${n}`;
      const rows = [attempt({ at: 0, outcome: "upstream_broke", duration, traceId }), attempt({ at: later, traceId })];
      await store.recordUsage(rows);
      const expected = isRetry ? [[null, true], [rows[0]!.call.id, false]] : [[null, false], [null, false]];
      assert.deepEqual(await linksIn(store, traceId), expected, JSON.stringify(cases[n]));
    }
  },

  "recordUsage() links no calls across traces or workspaces, and none without a hash": async (store) => {
    const outcome = "upstream_broke";
    await store.recordUsage([
      attempt({ at: 0, outcome }),
      attempt({ at: 1, outcome, traceId: "at-2" }),
      { ...attempt({ at: 2, outcome }), call: callOf({ workspaceId: "w-2", messagesHash: "asked", createdAt: T0 + 2 }) },
      attempt({ at: 3, outcome, hash: null, traceId: "at-3" }),
      attempt({ at: 4, outcome, hash: null, traceId: "at-3" }),
    ]);
    for (const id of ["at-1", "at-2", "at-3"]) {
      for (const { requests } of await store.getTraceDetail(id, null)) {
        for (const row of requests) assert.deepEqual([row.retryOf, row.askedAgain], [undefined, undefined]);
      }
    }
  },

  "recordUsage() bounds what one row can change: the first call is at most 32 calls away": async (store) => {
    const rows = Array.from({ length: 80 }, (_, n) => attempt({ at: n, outcome: "upstream_error", cost: 1 }));
    const random = seededRandom(32);
    const sent = [...rows].sort(() => random() - 0.5);
    while (sent.length > 0) await store.recordUsage(sent.splice(0, 1 + Math.floor(random() * 20)));
    const first = (n: number) => n === 0 ? null : rows[Math.max(n - 32, 0)]!.call.id;
    assert.deepEqual(await linksIn(store), rows.map((_, n) => [first(n), n < 79]));
  },

  "recordUsage() links alike for every order, repetition and revision of rows, also several at once": async (
    store,
  ) => {
    const random = seededRandom(20_261_124);
    for (let n = 0; n < 12; n++) {
      const cases = Array.from({ length: 5 }, (_, m) => historyOf(`w-${n * 5 + m}`, random));
      const sent = cases.flat().concat(cases.flat().filter(() => random() < 0.4)).sort(() => random() - 0.5);
      const batches: UsageRow[][] = [];
      while (sent.length > 0) batches.push(sent.splice(0, 1 + Math.floor(random() * 8)));
      if (n % 2 === 0) await Promise.all(batches.map((batch) => store.recordUsage(batch)));
      else for (const batch of batches) await store.recordUsage(batch);
      for (const history of cases) await compareWithModel(store, history);
    }
  },
};

interface Given {
  /** Milliseconds after `T0`. */
  readonly at: number;
  readonly outcome?: Outcome;
  readonly duration?: number | null;
  readonly cost?: number;
  readonly hash?: string | null;
  readonly traceId?: string;
}

function attempt({ at, outcome = "completed", duration = 100, cost = 1, hash = "asked", traceId = "at-1" }: Given): UsageRow {
  const call = callOf({ createdAt: T0 + at, messagesHash: hash, traceId });
  return { call, closing: closingOf({}, { outcome, duration, cost }), revision: 2 };
}

/** Of each row of a trace in order: which call it retries, and whether it is retried. */
async function linksIn(store: Store, traceId = "at-1", workspaceId = "w-1"): Promise<unknown[][]> {
  const [found] = await store.getTraceDetail(traceId, workspaceId);
  return found!.requests.map((row) => [row.retryOf ?? null, row.askedAgain === true]);
}

/** Calls of one trace, most of them with one prompt, each with several revisions. */
function historyOf(workspaceId: string, random: () => number): readonly UsageRow[] {
  const oneOf = <T>(values: readonly T[]) => values[Math.floor(random() * values.length)]!;
  const calls = Array.from({ length: 1 + Math.floor(random() * 9) }, () =>
    callOf({
      workspaceId,
      sandboxId: oneOf(["sb-1", "sb-2"]),
      messagesHash: oneOf(["asked", "asked", "asked", "another", null]),
      createdAt: T0 + oneOf([0, 1, 2, MINUTE_MS, 10 * MINUTE_MS, 11 * MINUTE_MS, DAY_MS, DAY_MS + 1]),
    }));
  return calls.flatMap((call) =>
    [1, 2, 3].filter((revision) => revision === 2 || random() < 0.4).map((revision): UsageRow => {
      const closing: Partial<Omit<Closing, "reading">> = {
        outcome: oneOf(["completed", "completed", "client_left", "upstream_error", "upstream_broke", "unknown"]),
        duration: oneOf([null, 0, 5.4, 9 * MINUTE_MS, DAY_MS]),
        cost: oneOf([null, 1, 1_000, 2 ** 40]),
      };
      return { call, closing: closingOf({ servedModel: oneOf(["m-1", "m-2", null]) }, closing), revision };
    })
  );
}

/** The rule, word by word, over the rows that stand at the end. */
async function compareWithModel(store: Store, history: readonly UsageRow[]): Promise<void> {
  const standing = [...Map.groupBy(history, (row) => row.call).values()]
    .map((rows) => rows.reduce((a, b) => a.revision > b.revision ? a : b))
    .sort((a, b) => a.call.createdAt - b.call.createdAt || (a.call.id < b.call.id ? -1 : 1));
  const repeats = (row: UsageRow): UsageRow | null => {
    const before = standing.slice(0, standing.indexOf(row)).filter(({ call }) => call.messagesHash === row.call.messagesHash);
    const last = before.at(-1);
    if (row.call.messagesHash === null || last === undefined || last.closing.outcome === "completed") return null;
    const end = last.call.createdAt + Math.round(last.closing.duration ?? 0);
    const isInTime = row.call.createdAt <= end + 10 * MINUTE_MS && row.call.createdAt <= last.call.createdAt + DAY_MS;
    return isInTime ? last : null;
  };
  const firstOf = (row: UsageRow): UsageRow | null => {
    let first: UsageRow | null = null;
    for (let at = repeats(row); at !== null && row.call.createdAt - at.call.createdAt <= DAY_MS; at = repeats(at)) first = at;
    return first;
  };
  const isRetried = new Set(standing.map(repeats));
  const { workspaceId } = standing[0]!.call;
  assert.deepEqual(
    await linksIn(store, "at-1", workspaceId),
    standing.map((row) => [firstOf(row)?.call.id ?? null, isRetried.has(row)]),
    workspaceId,
  );

  const summed = (rows: readonly UsageRow[]) => ({
    count: rows.filter((row) => repeats(row) !== null).length,
    cost: rows.filter((row) => isRetried.has(row)).reduce((sum, row) => sum + BigInt(row.closing.cost ?? 0), 0n),
  });
  assert.deepEqual(
    retriesOf((await store.queryTraces({ ...ALL_TRACES, workspaceId })).traces[0]!),
    summed(standing),
    workspaceId,
  );
  for (const since of [null, T0]) {
    for (const group of (await store.queryUsage({ ...ALL, limit: 1_000, workspaceId, since })).usage) {
      const rows = standing.filter(({ call, closing }) => (closing.reading.servedModel ?? call.requestedModel) === group.model);
      assert.deepEqual(retriesOf(group), summed(rows), `${workspaceId} ${group.model}`);
    }
  }
}
