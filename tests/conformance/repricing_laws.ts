import assert from "node:assert/strict";
import type { KnownCost, PriceOf } from "../../src/domain/price.ts";
import type { Repriced, Repricing } from "../../src/domain/repricing.ts";
import type { Store } from "../../src/domain/store.ts";
import type { UsageRow } from "../../src/domain/usage.ts";
import { reprice } from "../../src/pricing/reprice.ts";
import { ALL, ALL_TRACES, callOf, closingOf, moneyOf, retriesOf, rowOf, T0 } from "./samples.ts";

/** A database of its own: its store, and what reprices it. */
export interface RepricingUnderTest {
  readonly store: Store;
  readonly repricing: Repricing;
  readonly dispose: () => Promise<void>;
}

const SPAN = { since: T0, until: T0 + 10_000 };

/** The version is the nano-dollars of one input token; "m-unpriced" has no price. */
function pricesOf(version: number): PriceOf {
  return ({ servedModel, inputTokens }) =>
    servedModel === "m-unpriced"
      ? { isPriced: false, why: "model", model: servedModel }
      : { isPriced: true, nanoDollars: inputTokens * version, version: `v${version}`, unpricedUses: {}, isCertain: true };
}

const NINE = { cost: 9, priceVersion: "v9", unpricedUses: {}, accuracy: "exact" } as const;

/** Registers the laws of repricing, as tests. */
export function repricingLaws(name: string, make: () => Promise<RepricingUnderTest>): void {
  for (const [law, holds] of Object.entries(LAWS)) {
    Deno.test(`${name}: ${law}`, async () => {
      const made = await make();
      try {
        await holds(made);
      } finally {
        await made.repricing.close();
        await made.dispose();
      }
    });
  }
}

const LAWS: Readonly<Record<string, (made: RepricingUnderTest) => Promise<void>>> = {
  "reprice() shows in a dry run what the real run then sets, and a second run changes nothing": async (
    { store, repricing },
  ) => {
    // More than a page at a time, and pages that end within one millisecond.
    const rows = Array.from(
      { length: 23 },
      (_, n) => priced({ createdAt: T0 + Math.floor(n / 4), upstream: ["eu", null][n % 2]! }, n + 1),
    );
    await store.recordUsage([
      ...rows,
      priced({ createdAt: T0 - 1 }, 1),
      priced({ createdAt: SPAN.until }, 1),
      { ...priced({}, 1), closing: closingOf({ inputTokens: 1, servedModel: "m-unpriced" }, { cost: null, priceVersion: null }) },
    ]);
    const before = await shown(store);
    const dry = await run(repricing, { version: 3, isDryRun: true });
    assert.deepEqual(await shown(store), before);
    assert.deepEqual(dry.map((change) => change.id).sort(), rows.map((row) => row.call.id).sort());
    assert.deepEqual(await run(repricing, { version: 3, isDryRun: false }), dry);
    assert.deepEqual(await run(repricing, { version: 3, isDryRun: false }), []);
    const tokens = rows.reduce((sum, row) => sum + row.closing.reading.inputTokens, 0);
    const cost = 2n + BigInt(3 * tokens);
    for (const since of [null, T0 - 1]) {
      const { usage: groups } = await store.queryUsage({ ...ALL, since });
      assert.equal(groups.reduce((sum, group) => sum + group.cost, 0n), cost);
      const [eu] = (await store.queryUsage({ ...ALL, since, upstream: "eu" })).usage;
      assert.equal(
        eu!.cost,
        BigInt(
          3 * rows.reduce((sum, { call, closing }) => {
            return sum + (call.upstream === "eu" ? closing.reading.inputTokens : 0);
          }, 0),
        ),
      );
    }
    assert.equal((await store.queryTraces(ALL_TRACES)).traces[0]?.cost, cost);
  },

  "reprice() prices an unpriced row and removes a price that no list has, and totals follow": async (
    { store, repricing },
  ) => {
    await store.recordUsage([
      { ...priced({}, 5), closing: closingOf({ inputTokens: 5 }, { cost: null, priceVersion: null }) },
      { ...priced({}, 7), closing: closingOf({ inputTokens: 7, servedModel: "m-unpriced" }, { cost: 70, priceVersion: "v1" }) },
    ]);
    await run(repricing, { version: 2, isDryRun: false });
    const [trace] = (await store.queryTraces(ALL_TRACES)).traces;
    assert.deepEqual([trace?.cost, trace?.unpricedCount], [10n, 1]);
  },

  "reprice() sets and removes unpriced uses and the accuracy, and totals move by exactly that": async (
    { store, repricing },
  ) => {
    const counters = { tool_search_requests: 2, moon_landing_requests: 1 };
    await store.recordUsage([
      { ...priced({}, 5), closing: closingOf({ inputTokens: 5, serverToolUse: counters }, { cost: 5, priceVersion: "v1" }) },
      { ...priced({}, 7), closing: closingOf({ inputTokens: 7, stopReason: "refusal" }, { cost: 7, priceVersion: "v1" }) },
    ]);
    const known = await shown(store);
    const partly: PriceOf = (row) => ({
      isPriced: true,
      nanoDollars: row.inputTokens,
      version: "v1",
      unpricedUses: row.serverToolUse,
      isCertain: row.stopReason !== "refusal",
    });
    const sums = async () => {
      const [group] = (await store.queryUsage(ALL)).usage;
      const [trace] = (await store.queryTraces(ALL_TRACES)).traces;
      assert.deepEqual(moneyOf(trace!), moneyOf(group!));
      return moneyOf(group!);
    };
    const changes = await changesOf(repricing, partly);
    assert.equal(changes.length, 2);
    const money = { cost: 12n, estimatedCost: 7n, estimatedCount: 1, unknownCount: 0, unpricedCount: 0, partlyPricedCount: 1 };
    assert.deepEqual(await sums(), money);
    const [detail] = await store.getTraceDetail("at-1", null);
    assert.deepEqual(detail!.requests.map((row) => [row.inputTokens, row.accuracy, row.unpricedUses]).sort(), [
      [5, "exact", counters],
      [7, "estimated", undefined],
    ]);
    assert.deepEqual(await changesOf(repricing, partly), []);
    await changesOf(repricing, (row) => ({ ...partly(row, 0), unpricedUses: {}, isCertain: true } as KnownCost));
    assert.deepEqual(await shown(store), known);
  },

  "reprice() prices each row with its own seller, service tier, place and parts": async ({ store, repricing }) => {
    const asked: unknown[] = [];
    const priceOf: PriceOf = ({ provider, serviceTier, inferenceGeo, tokenParts }) => {
      asked.push([provider, serviceTier, inferenceGeo, tokenParts]);
      return { isPriced: true, nanoDollars: 1, version: "v1", unpricedUses: {}, isCertain: true };
    };
    const parts = { write30m: 2, write12h: 1 };
    await store.recordUsage([
      {
        ...priced({ provider: "openai" }, 1),
        closing: closingOf({ serviceTier: "fast", inferenceGeo: "eu", tokenParts: parts }),
      },
      priced({ provider: "aws.bedrock" }, 1),
    ]);
    await changesOf(repricing, priceOf, { isDryRun: true });
    assert.deepEqual(asked, [["openai", "fast", "eu", parts], ["aws.bedrock", null, null, {}]]);
  },

  "reprice() is not undone by a late shipment or a reshipment": async ({ store, repricing }) => {
    const row = priced({}, 5);
    await store.recordUsage([row]);
    await run(repricing, { version: 4, isDryRun: false });
    assert.deepEqual((await repricing.read(SPAN, { after: null, most: 10 })).map(({ revision }) => revision), [3]);
    await store.recordUsage([row, { ...row, revision: 1 }]);
    assert.equal((await store.queryTraces(ALL_TRACES)).traces[0]?.cost, 20n);
    const waiting = priced({}, 1);
    await store.recordUsage([waiting]);
    assert.equal((await store.queryTraces(ALL_TRACES)).traces[0]?.cost, 21n);
  },

  "reprice() leaves a swept row as it is, so that its real close still wins": async ({ store, repricing }) => {
    const call = callOf();
    const swept = closingOf({ servedModel: null }, { outcome: "unknown", accuracy: "unknown", cost: null, priceVersion: null });
    await store.recordUsage([{ call, closing: swept, revision: 1 }]);
    assert.deepEqual(await run(repricing, { version: 4, isDryRun: false }), []);
    await store.recordUsage([{ call, closing: closingOf({ inputTokens: 6 }, { cost: 6, priceVersion: "v1" }), revision: 2 }]);
    assert.equal((await store.queryTraces(ALL_TRACES)).traces[0]?.cost, 6n);
    await run(repricing, { version: 4, isDryRun: false });
    assert.equal((await store.queryTraces(ALL_TRACES)).traces[0]?.cost, 24n);
  },

  "reprice() moves the cost of retried calls, and keeps their links": async ({ store, repricing }) => {
    const first = callOf({ messagesHash: "asked" });
    const broken = closingOf({ inputTokens: 3 }, { outcome: "upstream_broke", cost: 3, priceVersion: "v1" });
    await store.recordUsage([
      { call: first, closing: broken, revision: 2 },
      priced({ messagesHash: "asked", createdAt: T0 + 1 }, 1),
    ]);
    await run(repricing, { version: 10, isDryRun: false });
    assert.deepEqual(retriesOf((await store.queryTraces(ALL_TRACES)).traces[0]!), { count: 1, cost: 30n });
    const [found] = await store.getTraceDetail("at-1", null);
    assert.deepEqual(found?.requests.map((row) => row.retryOf), [undefined, first.id]);
  },

  "write() leaves a row that has changed since it was read": async ({ store, repricing }) => {
    const [row, other] = [priced({}, 5), priced({}, 5)];
    await store.recordUsage([row, other]);
    const read = await repricing.read(SPAN, { after: null, most: 10 });
    await store.recordUsage([{ ...row, revision: 3 }]);
    const written = await repricing.write(read.map((row) => ({ row, to: NINE })));
    assert.deepEqual(written.map(({ row }) => row.call.id), [other.call.id]);
    assert.equal((await store.queryTraces(ALL_TRACES)).traces[0]?.cost, 14n);
  },

  "read() and write() leave rows of a dropped month alone": async ({ store, repricing }) => {
    await store.recordUsage([priced({}, 5)]);
    const read = await repricing.read(SPAN, { after: null, most: 10 });
    while (await store.dropMonths(T0 + 32 * 86_400_000)) continue;
    assert.deepEqual(await repricing.write(read.map((row) => ({ row, to: NINE }))), []);
    assert.deepEqual(await repricing.read(SPAN, { after: null, most: 10 }), []);
    assert.equal((await store.queryTraces(ALL_TRACES)).traces[0]?.cost, 5n);
  },
};

function priced(call: Parameters<typeof rowOf>[0], inputTokens: number): UsageRow {
  return { ...rowOf(call), closing: closingOf({ inputTokens }, { cost: inputTokens, priceVersion: "v1" }) };
}

async function run(
  repricing: Repricing,
  { version, isDryRun }: { readonly version: number; readonly isDryRun: boolean },
): Promise<readonly Repriced[]> {
  return await changesOf(repricing, pricesOf(version), { isDryRun });
}

async function changesOf(
  repricing: Repricing,
  priceOf: PriceOf,
  { isDryRun } = { isDryRun: false },
): Promise<readonly Repriced[]> {
  const changes: Repriced[] = [];
  for await (const step of reprice(repricing, { span: SPAN, priceOf, isDryRun, most: 5 })) changes.push(...step.changes);
  return changes;
}

async function shown(store: Store): Promise<unknown> {
  return [await store.queryUsage(ALL), await store.queryTraces(ALL_TRACES), await store.getTraceDetail("at-1", null)];
}
