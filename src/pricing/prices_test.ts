import assert from "node:assert/strict";
import { CLAUDE_PRICES } from "./claude_prices.ts";
import { GEMINI_PRICES } from "./gemini_prices.ts";
import { OPENAI_PRICES } from "./openai_prices.ts";
import type { PriceTier } from "./price_list.ts";
import { PRICES } from "./prices.ts";

const OTHERS = { ...OPENAI_PRICES, ...GEMINI_PRICES };
const OPENAI_PERIODS = Object.entries(OPENAI_PRICES).flatMap(([model, periods]) =>
  periods.map(({ tiers }) => ({ model, tiers }))
);

Deno.test("PRICES has every list whole, and no model twice", () => {
  const models = [CLAUDE_PRICES.models, OPENAI_PRICES, GEMINI_PRICES].flatMap(Object.keys);
  assert.deepEqual(Object.keys(PRICES.models), models);
  assert.equal(new Set(models).size, models.length);
});

Deno.test("PRICES is of a day on which no list is newer", () => {
  assert.ok(PRICES.version >= CLAUDE_PRICES.version && !Number.isNaN(Date.parse(PRICES.version)));
});

Deno.test("OPENAI_PRICES and GEMINI_PRICES have their periods in order, each ending before the next, and tiers from 0 on", () => {
  for (const [model, periods] of Object.entries(OTHERS)) {
    for (const [n, { from, until, tiers }] of periods.entries()) {
      const next = periods[n + 1]?.from ?? "9999";
      assert.ok(from < (until ?? next) && (until ?? next) <= next, `${model} from ${from}`);
      const starts = tiers.map(({ promptFrom }) => promptFrom);
      assert.deepEqual(starts, [...new Set([0, ...starts])].sort((a, b) => a - b), model);
    }
  }
});

Deno.test("OPENAI_PRICES asks 2 x for input and cache and 1.5 x for output above 272,000 tokens, since GPT-5.4", () => {
  for (const { model, tiers: [short, long] } of OPENAI_PERIODS) {
    assert.equal(long !== undefined, /^gpt-(5\.[456]|6)/.test(model), model);
    if (long === undefined) continue;
    assert.equal(long.promptFrom, 272_001, model);
    for (const kind of ["input", "read", "write30m", "write12h"] as const) {
      assert.equal(numberOf(long[kind]), numberOf(short![kind]) * 2, `${model} ${kind}`);
    }
    assert.equal(numberOf(long.output), numberOf(short!.output) * 1.5, model);
  }
});

Deno.test("OPENAI_PRICES asks 1.25 x and 2.5 x of the input for writes since GPT-5.6, and has no price for earlier ones", () => {
  for (const { model, tiers } of OPENAI_PERIODS) {
    for (const { input, write30m, write12h } of tiers) {
      if (!/^gpt-(5\.6|6)/.test(model)) {
        assert.deepEqual([write30m, write12h], [undefined, undefined], model);
        continue;
      }
      assert.equal(numberOf(write30m), numberOf(input) * 1.25, model);
      assert.equal(numberOf(write12h), numberOf(input) * 2.5, model);
    }
  }
});

Deno.test("OPENAI_PRICES asks a twentieth for reads of the newest, a quarter of GPT-4.1, and a tenth of the others", () => {
  const shares: Readonly<Record<string, number>> = {
    ...{ "gpt-6.1-sol": 0.05, "gpt-6.2-sol": 0.05, "gpt-6.2-astra": 0.05, "gpt-4.1": 0.25 },
  };
  for (const { model, tiers } of OPENAI_PERIODS) {
    for (const { input, read } of tiers.filter((tier) => tier.read !== undefined)) {
      assert.equal(Math.round(numberOf(read) / numberOf(input) * 1e6) / 1e6, shares[model] ?? 0.1, model);
    }
  }
});

/** Micro-dollars; NaN without a price, which is equal to itself here. */
function numberOf(price: PriceTier["read"]): number {
  return Math.round(Number(price) * 1e6);
}
