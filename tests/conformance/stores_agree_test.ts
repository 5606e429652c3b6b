import assert from "node:assert/strict";
import { BILLINGS } from "../anthropic.ts";
import { hourStart, monthStart } from "../../src/domain/calendar.ts";
import type { UsageRow } from "../../src/domain/usage.ts";
import {
  answerRefusals,
  answerTrace,
  answerTraces,
  answerUsage,
  type InternalDeps,
  type InternalStore,
} from "../../src/http/admin_usage.ts";
import { cacheValueOf } from "../../src/pricing/cache_value.ts";
import { CLAUDE_PRICES } from "../../src/pricing/claude_prices.ts";
import { connectPostgres } from "../../src/stores/postgres/store.ts";
import { openEmbedded } from "../../src/stores/sqlite/embedded.ts";
import { startPostgres } from "../postgres_server.ts";
import { generatedRefusals, generatedRows, generatedTraces, LONG_TRACE, SANDBOXES, T_END, WORKSPACES } from "./generated_rows.ts";
import { ALL, seededRandom, T0 } from "./samples.ts";

const ROWS = 100_000;
const SEED = 20_260_301;
/** Rows in one `recordUsage`. */
const AT_ONCE = 500;
const HOUR_MS = 3_600_000;

Deno.test("SQLite and PostgreSQL answer every query of the internal API alike over 100,000 rows, also after retention", async () => {
  await using stores = await bothStores();
  const { sqlite, postgres } = stores;
  const rows = [...generatedRows(ROWS, SEED)];
  await Promise.all([sqlite, postgres].map((store) => fill(store, rows)));
  const kept = strongest(rows);

  await assertAgree(stores);
  for (
    const since of [null, T0, T0 + 18 * HOUR_MS, T0 + 18.5 * HOUR_MS, monthStart(T0, 2) - 25.4 * HOUR_MS, T_END - HOUR_MS, T_END]
  ) {
    const expected = totalsOf(kept.filter(({ call }) => call.createdAt >= (since ?? 0)));
    for (const store of [sqlite, postgres]) assert.deepEqual(await usageTotals(store, since), expected, `since ${since}`);
  }

  const dropped = monthStart(T0, 2);
  for (const store of [sqlite, postgres]) while (await store.dropMonths(dropped + 1)) continue;
  await assertAgree(stores);
  for (const store of [sqlite, postgres]) {
    assert.deepEqual(await usageTotals(store, null), totalsOf(kept), "totals are not what they were before retention");
    // An hour without its rows counts as a whole, by its roll-up.
    const since = T0 + 18.5 * HOUR_MS;
    assert.deepEqual(await usageTotals(store, since), totalsOf(kept.filter(({ call }) => call.createdAt >= hourStart(since))));
    // A dropped row that is sent again stays dropped, and counts once.
    await store.recordUsage(rows.slice(0, 2_000));
    assert.deepEqual(await usageTotals(store, null), totalsOf(kept), "dropped rows were counted again");
  }
});

interface BothStores extends AsyncDisposable {
  readonly sqlite: Awaited<ReturnType<typeof openEmbedded>>["store"];
  readonly postgres: ReturnType<typeof connectPostgres>["store"];
}

async function bothStores(): Promise<BothStores> {
  // It does not have to survive a power cut.
  const server = await startPostgres({ settings: { fsync: "off", synchronous_commit: "off" } });
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const embedded = await openEmbedded({
    dir,
    instanceId: "i-1",
    synchronous: "normal",
    now: () => T0,
    onTrouble: () => {},
  });
  const shared = connectPostgres(server.url);
  await shared.migrate();
  return {
    sqlite: embedded.store,
    postgres: shared.store,
    [Symbol.asyncDispose]: async () => {
      await shared.store.close();
      await embedded.end();
      await server[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** In another order for each store. */
async function fill(store: BothStores["sqlite"] | BothStores["postgres"], rows: readonly UsageRow[]): Promise<void> {
  const refusals = generatedRefusals(3_000, SEED);
  await store.recordTraces(generatedTraces(rows.slice(0, 2_000)));
  for (let at = 0; at < rows.length; at += AT_ONCE) await store.recordUsage(rows.slice(at, at + AT_ONCE));
  await store.recordRefusals(refusals.slice(0, 2_000));
  await store.recordRefusals(refusals.slice(1_000));
}

async function assertAgree({ sqlite, postgres }: BothStores): Promise<void> {
  for (const [question, ask] of questions()) {
    const [one, other] = await Promise.all([sqlite, postgres].map(async (store) => await (await ask(store)).text()));
    // Parsed only if they differ, to show the difference.
    if (one !== other) assert.deepEqual(JSON.parse(other!), JSON.parse(one!), question);
  }
}

/** Every question with every combination of filters, each for a page of another size. */
function* questions(): Generator<readonly [question: string, ask: (store: InternalStore) => Promise<Response>]> {
  const workspaces = ["", WORKSPACES[0], WORKSPACES[2], "nobody"];
  const sandboxes = ["", SANDBOXES[3]!, "nobody"];
  const times = [T0 + 18 * HOUR_MS, T0 + 18.5 * HOUR_MS, monthStart(T0, 2) + 25.4 * HOUR_MS, T_END + 1];
  const sinces = ["", ...times.map((time) => new Date(time).toISOString())];
  const pages = ["", "limit=7&offset=7", "limit=1000&offset=3"];
  const lists = [["usage", answerUsage], ["traces", answerTraces], ["refusals", answerRefusals]] as const;
  const filters = workspaces.flatMap((workspace) =>
    sandboxes.flatMap((sandbox) => sinces.map((since) => [workspace, sandbox, since]))
  );
  for (const [n, values] of filters.entries()) {
    for (const [m, [list, answer]] of lists.entries()) {
      const narrowed = ["workspace_id", "sandbox_id", "since"].map((name, at) =>
        values[at] && `${name}=${encodeURIComponent(values[at])}`
      );
      const path = `/internal/${list}?${[...narrowed, pages[(n + m) % pages.length]].filter(Boolean).join("&")}`;
      yield [path, (store) => answer(new Request(`http://localhost${path}`), depsOf(store))];
    }
  }
  for (const path of FURTHER) {
    const answer = path.startsWith("/internal/usage") ? answerUsage : answerTraces;
    yield [path, (store) => answerOrRefusal(() => answer(new Request(`http://localhost${path}`), depsOf(store)))];
  }
  const random = seededRandom(SEED);
  const traces = [LONG_TRACE, ...Array.from({ length: 20 }, () => `at-${Math.floor(random() * 1_500)}`)];
  for (const trace of traces) {
    for (const workspace of WORKSPACES) {
      const path = `/internal/traces/${trace}?workspace_id=${encodeURIComponent(workspace)}`;
      yield [path, (store) => answerOrRefusal(() => answerTrace(new Request(`http://localhost${path}`), trace, depsOf(store)))];
    }
    const path = `/internal/traces/${trace}`;
    yield [path, (store) => answerOrRefusal(() => answerTrace(new Request(`http://localhost${path}`), trace, depsOf(store)))];
  }
}

/** Ways to group, order and narrow; after retention some of them are refused. */
const FURTHER = [
  ...[
    "group_by=workspace",
    "group_by=upstream",
    "group_by=upstream,model,day&upstream=main",
    "group_by=sandbox&upstream=Main",
    "group_by=workspace,sandbox&order=requests",
    "group_by=sandbox,day&order=cost.asc",
    "group_by=agent&order=requests",
    "group_by=client,model",
    "group_by=trace&order=cost&limit=1000",
    "group_by=trace,agent,hour&order=time",
    "group_by=provider,day,hour&order=time.asc&limit=1000",
  ].flatMap((asked) => [
    `/internal/usage?${asked}`,
    `/internal/usage?${asked}&since=2026-03-01T00:00:00Z&until=2026-03-20T06:30:00Z`,
    `/internal/usage?${asked}&accuracy=estimated&model=claude-haiku-4-5&since=2026-03-01T00:00:00Z`,
  ]),
  ...["activity.asc", "created", "cost", "tokens.asc", "requests"].map((order) => `/internal/traces?order=${order}`),
  "/internal/traces?outcome=client_left&since=2026-03-01T00:00:00Z",
  "/internal/traces?model=claude-opus-4-8&accuracy=exact&offset=20",
];

function depsOf(store: InternalStore): InternalDeps {
  return { store, cacheValueOf: cacheValueOf(CLAUDE_PRICES, BILLINGS), now: () => T_END };
}

async function answerOrRefusal(ask: () => Promise<Response>): Promise<Response> {
  try {
    return await ask();
  } catch (error) {
    return Response.json({ refused: String(error) });
  }
}

/** The rows that stand in the end: of each, the first with the highest revision. */
function strongest(rows: readonly UsageRow[]): readonly UsageRow[] {
  const found = new Map<string, UsageRow>();
  for (const row of rows) {
    const other = found.get(row.call.id);
    if (other === undefined || other.revision < row.revision) found.set(row.call.id, row);
  }
  return [...found.values()];
}

type Totals = readonly (readonly [key: string, ...numbers: readonly bigint[]])[];

function totalsOf(rows: readonly UsageRow[]): Totals {
  const totals = new Map<string, bigint[]>();
  for (const { call, closing: { reading, accuracy, cost, unpricedUses } } of rows) {
    const [isEstimated, isUnknown] = [accuracy === "estimated", accuracy === "unknown"];
    const key = JSON.stringify([call.provider, reading.servedModel ?? call.requestedModel]);
    const numbers = [
      1,
      reading.inputTokens,
      reading.outputTokens,
      reading.cacheCreationInputTokens,
      reading.cacheReadInputTokens,
      cost ?? 0,
      isEstimated ? cost ?? 0 : 0,
      isEstimated ? 1 : 0,
      isUnknown ? 1 : 0,
      cost === null && !isUnknown ? 1 : 0,
      Object.keys(unpricedUses).length > 0 ? 1 : 0,
    ];
    totals.set(key, numbers.map((number, n) => BigInt(number) + (totals.get(key)?.[n] ?? 0n)));
  }
  return [...totals].map(([key, numbers]) => [key, ...numbers] as const).sort();
}

async function usageTotals(store: InternalStore, since: number | null): Promise<Totals> {
  const { usage } = await store.queryUsage({ ...ALL, since, limit: 1_000 });
  return usage.map((summary) =>
    [
      JSON.stringify([summary.provider, summary.model]),
      BigInt(summary.requestCount),
      summary.inputTokens,
      summary.outputTokens,
      summary.cacheCreationInputTokens,
      summary.cacheReadInputTokens,
      summary.cost,
      summary.estimatedCost,
      BigInt(summary.estimatedCount),
      BigInt(summary.unknownCount),
      BigInt(summary.unpricedCount),
      BigInt(summary.partlyPricedCount),
    ] as const
  ).sort();
}
