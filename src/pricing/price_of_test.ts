import assert from "node:assert/strict";
import { BILLINGS } from "../../tests/anthropic.ts";
import type { Cost, Priced } from "../domain/price.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import { CLAUDE_PRICES } from "./claude_prices.ts";
import { priceOf } from "./price_of.ts";
import type { PriceList } from "./price_list.ts";
import { PRICES } from "./prices.ts";

/** Its arithmetic is in nano-dollars: a dollar per million tokens is 1,000 of them a token. */
interface WorkedExample {
  readonly name: string;
  /** A recorded answer of `tests/fixtures/anthropic` whose reading the row has. */
  readonly reading?: string;
  readonly row: Partial<Priced>;
  readonly at: string;
  readonly arithmetic?: string;
  readonly nanoDollars?: string;
  readonly unpriced?: unknown;
  readonly unpricedUses?: Readonly<Record<string, number>>;
  readonly isUncertain?: true;
}

const ROOT = new URL("../../tests/fixtures/", import.meta.url);
const EMPTY: Priced = { ...EMPTY_READING, kind: "message", provider: "anthropic" };
const NOW = Date.parse("2026-11-24T12:00:00Z");
const price = priceOf(CLAUDE_PRICES, BILLINGS);

const EXAMPLES = [["worked_examples", CLAUDE_PRICES], ["sellers", PRICES]] as const;

for (const { list, example } of EXAMPLES.flatMap(([file, list]) => examplesIn(file).map((example) => ({ list, example })))) {
  Deno.test(`priceOf() prices the worked example: ${example.name}`, () => {
    const recorded = example.reading === undefined ? {} : readJson<object>(`anthropic/${example.reading}/reading.json`);
    const cost = priceOf(list, BILLINGS)({ ...EMPTY, ...recorded, ...example.row }, Date.parse(example.at));
    if (example.arithmetic === undefined) return assert.deepEqual(cost, { isPriced: false, ...example.unpriced as object });
    assert.equal(roundedHalfUp(example.arithmetic), example.nanoDollars, "the example's own arithmetic");
    assert.deepEqual(cost, {
      isPriced: true,
      nanoDollars: Number(example.nanoDollars),
      version: list.version,
      unpricedUses: example.unpricedUses ?? {},
      isCertain: example.isUncertain === undefined,
    });
  });
}

/** Cells of the oracle: what is used, and the counter's part of a row. */
const CELLS: Readonly<Record<string, (count: number) => Partial<Priced>>> = {
  input: (count) => ({ inputTokens: count }),
  w5m: (count) => ({ cacheCreationInputTokens: count, cacheCreation5mTokens: count }),
  w1h: (count) => ({ cacheCreationInputTokens: count, cacheCreation1hTokens: count }),
  read: (count) => ({ cacheReadInputTokens: count }),
  output: (count) => ({ outputTokens: count }),
  inBig: (count) => ({ inputTokens: count }),
  inBig_250k: (count) => ({ inputTokens: count }),
  readBig_250k: (count) => ({ cacheReadInputTokens: count }),
  fastIn: (count) => ({ inputTokens: count, speed: "fast" }),
  fastRead: (count) => ({ cacheReadInputTokens: count, speed: "fast" }),
  usIn: (count) => ({ inputTokens: count, inferenceGeo: "us" }),
  ws: (count) => ({ serverToolUse: { web_search_requests: count } }),
};
/**
 * Claude Code multiplies by 6 what is billed as standard since fast is no longer offered (the price
 * list says why).
 */
const BILLED_OTHERWISE: Readonly<Record<string, number>> = { "claude-opus-4-6 fastIn": 5, "claude-opus-4-6 fastRead": 0.5 };

Deno.test("priceOf() agrees to the nano-dollar with every cell of the oracle but the two that are not billed so", () => {
  const { how: _how, unit: _unit, notes: _notes, ...models } = readJson<Record<string, Record<string, number>>>(
    "pricing/oracle.json",
  );
  let cells = 0;
  for (const [model, row] of Object.entries(models)) {
    for (const [cell, dollars] of Object.entries(row)) {
      if (cell === "threshold") continue;
      const counts = cell === "ws" ? [1, 7] : /[bB]ig/.test(cell) ? [250_000] : [1, 7, 1_000, 99_999];
      for (const count of counts) {
        const used = CELLS[cell]!(count);
        const each = BILLED_OTHERWISE[`${model} ${cell}`] ?? dollars;
        const nano = roundedHalfUp(`${count} * ${each} * ${cell === "ws" ? 1_000_000_000 : 1_000}`);
        assert.equal(nanoOf(price({ ...EMPTY, servedModel: model, ...used }, NOW)), Number(nano), `${model} ${cell} x ${count}`);
      }
      cells++;
    }
  }
  assert.equal(cells, 110);
});

/**
 * https://platform.claude.com/docs/en/about-claude/pricing: input, 5-minute write, 1-hour write,
 * read, output, US dollars per million.
 */
const PRICE_PAGE: Readonly<Record<string, readonly [string, string, string, string, string]>> = {
  "claude-fable-5-2": ["8", "10", "16", "0.2", "40"],
  "claude-mythos-5-2": ["8", "10", "16", "0.2", "40"],
  "claude-fable-5-1": ["10", "12.5", "20", "0.25", "50"],
  "claude-mythos-5-1": ["10", "12.5", "20", "0.25", "50"],
  "claude-fable-5": ["10", "12.5", "20", "1", "50"],
  "claude-mythos-5": ["10", "12.5", "20", "1", "50"],
  "claude-opus-5-5": ["4", "5", "8", "0.2", "20"],
  "claude-opus-5": ["5", "6.25", "10", "0.5", "25"],
  "claude-opus-4-8": ["5", "6.25", "10", "0.5", "25"],
  "claude-opus-4-7": ["5", "6.25", "10", "0.5", "25"],
  "claude-opus-4-6": ["5", "6.25", "10", "0.5", "25"],
  "claude-opus-4-5": ["5", "6.25", "10", "0.5", "25"],
  "claude-opus-4-5-20251101": ["5", "6.25", "10", "0.5", "25"],
  "claude-opus-4-1": ["15", "18.75", "30", "1.5", "75"],
  "claude-opus-4-1-20250805": ["15", "18.75", "30", "1.5", "75"],
  "claude-opus-4-1@20250805": ["15", "18.75", "30", "1.5", "75"],
  "claude-opus-4": ["15", "18.75", "30", "1.5", "75"],
  "claude-opus-4-0": ["15", "18.75", "30", "1.5", "75"],
  "claude-opus-4-20250514": ["15", "18.75", "30", "1.5", "75"],
  "claude-sonnet-5-5": ["2", "2.5", "4", "0.1", "10"],
  "claude-sonnet-5": ["2", "2.5", "4", "0.2", "10"],
  "claude-sonnet-4-6": ["3", "3.75", "6", "0.3", "15"],
  "claude-sonnet-4-5": ["3", "3.75", "6", "0.3", "15"],
  "claude-sonnet-4-5-20250929": ["3", "3.75", "6", "0.3", "15"],
  "claude-sonnet-4": ["3", "3.75", "6", "0.3", "15"],
  "claude-sonnet-4-0": ["3", "3.75", "6", "0.3", "15"],
  "claude-sonnet-4-20250514": ["3", "3.75", "6", "0.3", "15"],
  "claude-haiku-5-5": ["0.1", "0.125", "0.2", "0.01", "0.5"],
  "claude-haiku-4-5": ["1", "1.25", "2", "0.1", "5"],
  "claude-haiku-4-5-20251001": ["1", "1.25", "2", "0.1", "5"],
  "claude-3-5-haiku": ["0.8", "1", "1.6", "0.08", "4"],
  "claude-3-5-haiku-20241022": ["0.8", "1", "1.6", "0.08", "4"],
  "claude-3-5-haiku-latest": ["0.8", "1", "1.6", "0.08", "4"],
};

Deno.test("priceOf() prices every model of the provider's page, under its alias and its dated ids, at what the page says", () => {
  const counters = ["input", "w5m", "w1h", "read", "output"];
  for (const [servedModel, prices] of Object.entries(PRICE_PAGE)) {
    for (const [n, usd] of prices.entries()) {
      const used = CELLS[counters[n]!]!(1_000);
      const nano = roundedHalfUp(`1000 * ${usd} * 1000`);
      assert.equal(nanoOf(price({ ...EMPTY, servedModel, ...used }, NOW)), Number(nano), `${servedModel} ${counters[n]}`);
    }
  }
  assert.deepEqual(Object.keys(CLAUDE_PRICES.models).filter((model) => PRICE_PAGE[model] === undefined), []);
});

Deno.test("priceOf() prices a row as its own seller bills it, and has no price for the row of an unknown seller", () => {
  const row = { ...EMPTY, servedModel: "claude-opus-5-5", inputTokens: 1_000 };
  assert.equal(nanoOf(price(row, NOW)), 4_000_000);
  const stranger = { isPriced: false, why: "model", model: "claude-opus-5-5" };
  for (const provider of ["", "Anthropic", "constructor"]) assert.deepEqual(price({ ...row, provider }, NOW), stranger, provider);
});

Deno.test("priceOf() takes fast as standard where a model does not offer it", () => {
  for (const servedModel of ["claude-opus-4-7", "claude-opus-4-5", "claude-mythos-5-1", "claude-fable-5", "claude-opus-4-1"]) {
    const row = { ...EMPTY, servedModel, inputTokens: 1_000 };
    assert.deepEqual(price({ ...row, speed: "fast" }, NOW), price(row, NOW), servedModel);
  }
});

Deno.test("priceOf() finds a call of more than ten thousand dollars too dear to be true", () => {
  const dearest = { ...EMPTY, servedModel: "claude-fable-5-1" };
  assert.equal(nanoOf(price({ ...dearest, outputTokens: 200_000_000 }, NOW)), 10_000 * 1e9);
  assert.deepEqual(price({ ...dearest, outputTokens: 200_000_001 }, NOW), {
    isPriced: false,
    why: "size",
    model: "claude-fable-5-1",
  });
});

Deno.test("priceOf() prices a row in one tier alike, however its tokens are spread over iterations of the served model", () => {
  const random = randomFrom(7);
  for (let round = 0; round < 500; round++) {
    const parts = Array.from({ length: 1 + random(5) }, () => iteration(random));
    const whole = wholeOf(parts);
    const asOne = price({ ...whole, iterations: [] }, NOW);
    assert.deepEqual(price({ ...whole, iterations: parts }, NOW), asOne);
    assert.deepEqual(price({ ...whole, iterations: parts.map((part) => ({ ...part, cache_creation: null })) }, NOW), asOne);
    const some = parts.filter(() => random(2) === 0);
    assert.deepEqual(price({ ...whole, iterations: some }, NOW), asOne, "what is missing of the list is paid");
  }
});

Deno.test("priceOf() never asks less for a row with iterations than for its top level", () => {
  const random = randomFrom(11);
  const types = ["message", "fallback_message", "compaction", "advisor_message", "what_comes_next"];
  for (let round = 0; round < 500; round++) {
    const whole = wholeOf([iteration(random), iteration(random)]);
    const iterations = Array.from({ length: 1 + random(6) }, () => ({
      ...iteration(random),
      type: types[random(types.length)]!,
      cache_creation: null,
    }));
    assert.ok(nanoOf(price({ ...whole, iterations }, NOW)) >= nanoOf(price({ ...whole, iterations: [] }, NOW)));
  }
});

Deno.test("priceOf() throws for nothing that may stand in a row", () => {
  for (const odd of [null, "x", -1, 1.5, NaN, Infinity, {}, [], 2 ** 60]) {
    const entry = { type: odd, model: odd, input_tokens: odd, output_tokens: odd, cache_creation: odd };
    const row = { ...EMPTY, servedModel: "claude-opus-5-5", inputTokens: odd as number, iterations: [entry] };
    assert.equal(typeof price({ ...row, serverToolUse: { web_search_requests: odd as number } }, NOW).isPriced, "boolean");
  }
});

Deno.test("priceOf() has no price before a model's first period, and a release of its own from its first day on", () => {
  const tiers = (input: string) => [{ promptFrom: 0, input, write5m: "0", write1h: "0", read: "0", output: "0" }];
  const list: PriceList = {
    version: "v",
    models: {
      m: [{ from: "2026-02-01", fastPercent: null, tiers: tiers("1") }, {
        from: "2026-04-01",
        fastPercent: 150,
        tiers: tiers("2"),
      }],
      "m-20260301": [{ from: "2026-03-01", fastPercent: null, tiers: tiers("0.000001") }],
    },
    serverTools: { dig: [{ from: "2026-02-01", usdPerUse: "0.000000001" }] },
    sellerTools: {},
    refusals: [],
  };
  const costs = (model: string, day: string, more: Partial<Priced> = {}) =>
    priceOf(list, BILLINGS)({ ...EMPTY, servedModel: model, inputTokens: 1_000, ...more }, Date.parse(day));
  assert.equal(costs("m", "2026-01-31").isPriced, false);
  assert.equal(nanoOf(costs("m", "2026-02-01")), 1_000_000);
  assert.equal(nanoOf(costs("m", "2026-04-01", { speed: "fast" })), 3_000_000);
  assert.equal(nanoOf(costs("m-20260301", "2026-02-28")), 1_000_000);
  assert.equal(nanoOf(costs("m-20260301", "2026-03-01")), 1);
  assert.equal(nanoOf(costs("m", "2026-02-01", { serverToolUse: { dig: 3 } })), 1_000_003);
});

Deno.test("priceOf() takes no list with a price that it could not hold exactly", () => {
  const tier = { promptFrom: 0, input: "1", write5m: "1", write1h: "1", read: "1", output: "1" };
  for (const input of ["0.0000001", "-1", "1e3", "1,5", "", "NaN"]) {
    const models = { m: [{ from: "2026-01-01", fastPercent: null, tiers: [{ ...tier, input }] }] };
    assert.throws(
      () => priceOf({ version: "v", models, serverTools: {}, sellerTools: {}, refusals: [] }, BILLINGS),
      RangeError,
      input,
    );
  }
});

function iteration(random: (below: number) => number) {
  const [fiveMinutes, oneHour] = [random(3_000), random(3_000)];
  return {
    type: "message",
    model: null,
    input_tokens: random(100_000),
    output_tokens: random(10_000),
    cache_read_input_tokens: random(100_000),
    cache_creation_input_tokens: fiveMinutes + oneHour,
    cache_creation: { ephemeral_5m_input_tokens: fiveMinutes, ephemeral_1h_input_tokens: oneHour },
  };
}

function wholeOf(parts: readonly ReturnType<typeof iteration>[]): Priced {
  const sum = (read: (part: ReturnType<typeof iteration>) => number) => parts.reduce((total, part) => total + read(part), 0);
  return {
    ...EMPTY,
    servedModel: "claude-sonnet-5-5",
    inferenceGeo: "us",
    serviceTier: "batch",
    inputTokens: sum((part) => part.input_tokens),
    outputTokens: sum((part) => part.output_tokens),
    cacheReadInputTokens: sum((part) => part.cache_read_input_tokens),
    cacheCreationInputTokens: sum((part) => part.cache_creation_input_tokens),
    cacheCreation5mTokens: sum((part) => part.cache_creation.ephemeral_5m_input_tokens),
    cacheCreation1hTokens: sum((part) => part.cache_creation.ephemeral_1h_input_tokens),
  };
}

function nanoOf(cost: Cost): number {
  assert.ok(cost.isPriced, JSON.stringify(cost));
  return cost.nanoDollars;
}

/** A sum of products of decimals such as `3 * 0.5 + 1`, exactly, and then to a whole number. */
function roundedHalfUp(arithmetic: string): string {
  const places = 20;
  let sum = 0n;
  for (const term of arithmetic.split(" + ")) {
    let [digits, scale] = [1n, 0];
    for (const factor of term.split(" * ")) {
      const [, whole, fraction = ""] = /^(\d+)(?:\.(\d+))?$/.exec(factor)!;
      digits *= BigInt(whole + fraction);
      scale += fraction.length;
    }
    sum += digits * 10n ** BigInt(places - scale);
  }
  return String((2n * sum + 10n ** 20n) / (2n * 10n ** 20n));
}

/** mulberry32: the same numbers from the same seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function examplesIn(file: string): readonly WorkedExample[] {
  return readJson(`pricing/${file}.json`);
}

function readJson<T>(path: string): T {
  return JSON.parse(Deno.readTextFileSync(new URL(path, ROOT)));
}
