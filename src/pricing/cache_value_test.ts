import assert from "node:assert/strict";
import { BILLINGS } from "../../tests/anthropic.ts";
import type { CachedCall } from "../domain/cache.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import { cacheValueOf } from "./cache_value.ts";
import { CLAUDE_PRICES } from "./claude_prices.ts";
import type { PriceTier } from "./price_list.ts";
import { priceOf } from "./price_of.ts";
import { PRICES } from "./prices.ts";

const AT = Date.UTC(2026, 10, 24);
const valueOf = cacheValueOf(CLAUDE_PRICES, BILLINGS);
const listValueOf = cacheValueOf(PRICES, BILLINGS);

Deno.test("cacheValueOf() counts reads against plain input, writes above it, and misses against reads, cheaper writes first", () => {
  // $4 input, $5 and $8 writes, $0.20 reads, a million tokens.
  const call = cached({
    cacheReadInputTokens: 10,
    cacheCreationInputTokens: 30,
    cacheCreation5mTokens: 20,
    cacheCreation1hTokens: 10,
  });
  assert.deepEqual(valueOf(call, { missedTokens: 25 }), {
    saved: 10 * (4_000 - 200),
    writePremium: 20 * (5_000 - 4_000) + 10 * (8_000 - 4_000),
    missCost: 20 * (5_000 - 200) + 5 * (8_000 - 200),
  });
});

Deno.test("cacheValueOf() takes OpenAI's writes at the price of how long they live, and of cached audio knows no price", () => {
  // $2 input, $2.50 and $5 writes, $0.10 reads, a million tokens.
  const call = {
    ...{ provider: "openai", servedModel: "gpt-6.2-sol", cacheReadInputTokens: 1_000, cacheCreationInputTokens: 30 },
    tokenParts: { write30m: 20, write12h: 10 },
  };
  const value = {
    saved: 1_000 * (2_000 - 100),
    writePremium: 20 * (2_500 - 2_000) + 10 * (5_000 - 2_000),
    missCost: 20 * (2_500 - 100) + 5 * (5_000 - 100),
  };
  assert.deepEqual(listValueOf(cached(call), { missedTokens: 25 }), value);
  const fast = listValueOf(cached({ ...call, serviceTier: "fast" }), { missedTokens: 25 });
  assert.deepEqual(fast, { saved: 2 * value.saved, writePremium: 2 * value.writePremium, missCost: 2 * value.missCost });
  // All in the upper band: $4, $5, $10, $0.20.
  const long = listValueOf(cached({ ...call, inputTokens: 272_001 }), { missedTokens: 25 });
  assert.deepEqual(long, { saved: 2 * value.saved, writePremium: 2 * value.writePremium, missCost: 2 * value.missCost });
  const unsplit = listValueOf(cached({ ...call, tokenParts: {} }), { missedTokens: 0 });
  assert.equal(unsplit?.writePremium, 30 * (2_500 - 2_000));
  for (const unpriced of [{ serviceTier: "flex" }, { tokenParts: { cachedAudio: 1 } }, { servedModel: "gpt-6.1-terra" }]) {
    assert.equal(listValueOf(cached({ ...call, ...unpriced }), { missedTokens: 0 }), null, JSON.stringify(unpriced));
  }
});

Deno.test("cacheValueOf() of Gemini has reads alone: no writes are billed", () => {
  const call = cached({ provider: "gcp.gemini", servedModel: "gemini-4-carbon", cacheReadInputTokens: 1_000 });
  assert.deepEqual(listValueOf(call, { missedTokens: 0 }), { saved: 1_000 * (2_000 - 100), writePremium: 0, missCost: 0 });
  const next = { ...call, createdAt: Date.UTC(2026, 11, 1) };
  assert.equal(listValueOf(next, { missedTokens: 0 })?.saved, 1_000 * (4_000 - 200));
});

Deno.test("cacheValueOf() multiplies by what the call itself is multiplied by", () => {
  const call = { cacheReadInputTokens: 1_000 };
  const factors = [
    [{}, 100],
    [{ inferenceGeo: "us" }, 110],
    [{ serviceTier: "batch" }, 50],
    [{ kind: "batch_line" }, 50],
    [{ speed: "fast" }, 200],
    [{ speed: "fast", inferenceGeo: "us", serviceTier: "batch" }, 110],
  ] as const;
  for (const [given, percent] of factors) {
    assert.equal(valueOf(cached({ ...call, ...given }), { missedTokens: 0 })?.saved, 1_000 * 3_800 * percent / 100);
  }
});

Deno.test("cacheValueOf() is the difference that priceOf() makes when reads are paid as input, at the tier of the prompt", () => {
  const rows = [1, 99_999, 100_001, 250_000, 1_000_000].map((read) => ({ inputTokens: 3, cacheReadInputTokens: read }));
  const price = priceOf(CLAUDE_PRICES, BILLINGS);
  for (const model of Object.keys(CLAUDE_PRICES.models)) {
    for (const row of rows) {
      const priced = { ...EMPTY_READING, kind: "message", provider: "anthropic", servedModel: model, ...row } as const;
      const plain = price({ ...priced, inputTokens: row.inputTokens + row.cacheReadInputTokens, cacheReadInputTokens: 0 }, AT);
      const read = price(priced, AT);
      assert.ok(plain.isPriced && read.isPriced);
      const saved = valueOf(cached({ servedModel: model, ...row }), { missedTokens: 0 })!.saved;
      // Each of the two is rounded for itself.
      assert.ok(Math.abs(saved - (plain.nanoDollars - read.nanoDollars)) <= 1, `${model} ${row.cacheReadInputTokens}`);
    }
  }
});

Deno.test("cacheValueOf() takes each iteration at its own model and prompt", () => {
  const iterations = [
    { type: "message", cache_read_input_tokens: 100 },
    { type: "compaction", model: "claude-opus-5", cache_read_input_tokens: 10, cache_creation_input_tokens: 4 },
  ];
  const call = cached({ cacheReadInputTokens: 100, iterations });
  assert.deepEqual(valueOf(call, { missedTokens: 3 }), {
    saved: 100 * (4_000 - 200) + 10 * (5_000 - 500),
    writePremium: 4 * (6_250 - 5_000),
    missCost: 3 * (6_250 - 500),
  });
});

Deno.test("cacheValueOf() finds no value in what was declined and is not billed", () => {
  const declined = { stopReason: "refusal", cacheReadInputTokens: 10, cacheCreationInputTokens: 10, cacheCreation5mTokens: 10 };
  const value = (given: Partial<CachedCall>) => valueOf(cached({ ...declined, ...given }), { missedTokens: 5 });
  assert.deepEqual(value({ refusalCategory: "cyber" }), { saved: 0, writePremium: 0, missCost: 0 });
  const billed = { saved: 10 * (4_000 - 200), writePremium: 10 * (5_000 - 4_000), missCost: 5 * (5_000 - 200) };
  assert.deepEqual(value({ refusalCategory: "bio" }), billed);
  assert.deepEqual(value({ refusalCategory: "cyber", outputTokens: 1 }), billed);
});

Deno.test("cacheValueOf() rounds half up, below nothing too, and gives null where there is no price or no end", () => {
  const tier: PriceTier = { promptFrom: 0, input: "0.0005", write5m: "0.001", write1h: "0.0015", read: "0.001", output: "1" };
  const list = {
    version: "1",
    models: { m: [{ from: "1970-01-01", fastPercent: null, tiers: [tier] }] },
    serverTools: {},
    sellerTools: {},
    refusals: [],
  };
  const value = (given: Partial<CachedCall>) =>
    cacheValueOf(list, BILLINGS)(cached({ servedModel: "m", ...given }), { missedTokens: 0 });
  // Half a nano-dollar a token.
  assert.equal(value({ cacheCreationInputTokens: 3 })?.writePremium, 2);
  assert.deepEqual([1, 2, 3].map((read) => value({ cacheReadInputTokens: read })?.saved), [0, -1, -1]);
  assert.equal(value({ servedModel: "another", cacheReadInputTokens: 1 }), null);
  assert.equal(value({ provider: "another", cacheReadInputTokens: 1 }), null);
  assert.equal(valueOf(cached({ cacheReadInputTokens: Number.MAX_SAFE_INTEGER }), { missedTokens: 0 }), null);
});

function cached(given: Partial<CachedCall>): CachedCall {
  return {
    id: "ar-1",
    createdAt: AT,
    agentId: null,
    requestClass: null,
    kind: "message",
    provider: "anthropic",
    servedModel: "claude-opus-5-5",
    stopReason: "end_turn",
    refusalCategory: null,
    inputTokens: 0,
    outputTokens: 0,
    cacheCreationInputTokens: 0,
    cacheCreation5mTokens: 0,
    cacheCreation1hTokens: 0,
    cacheReadInputTokens: 0,
    serviceTier: null,
    inferenceGeo: null,
    speed: null,
    iterations: [],
    tokenParts: {},
    ...given,
  };
}
