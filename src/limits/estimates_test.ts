import assert from "node:assert/strict";
import type { AskedCall } from "../domain/limits.ts";
import type { PriceOf } from "../domain/price.ts";
import { callOf, closingOf, T0 } from "../../tests/conformance/samples.ts";
import { BILLINGS } from "../../tests/anthropic.ts";
import { priceOf as priceOfList, PRICES } from "../../tests/prices.ts";
import { CallEstimates } from "./estimates.ts";

const ASKED: AskedCall = {
  ...{ provider: "p", model: "m", bytes: 10_000, isCompressed: false, namesFiles: false, mayCache: false },
  ...{ maxTokens: 500, speed: null, inferenceGeo: null, at: T0 },
};

/** Nano-dollars a token: input 1, output 100, written 2 for five minutes and 3 for an hour. */
function priceOf(...[usage]: Parameters<PriceOf>): ReturnType<PriceOf> {
  const { servedModel, inputTokens, outputTokens, cacheCreationInputTokens: written, cacheCreation1hTokens: long } = usage;
  if (servedModel === "unpriced") return { isPriced: false } as ReturnType<PriceOf>;
  const nanoDollars = inputTokens + 100 * outputTokens + 2 * (written - long) + 3 * long;
  return { isPriced: true, nanoDollars, version: "v", unpricedUses: {}, isCertain: true };
}

Deno.test("CallEstimates by max: a token for each byte, what the API adds, and max_tokens, at the dearest price", () => {
  const estimates = new CallEstimates({ by: "max", priceOf });
  assert.equal(estimates.needsCacheMarks, true);
  assert.deepEqual(estimates.of(ASKED), { tokens: 11_500, cost: 11_000 + 50_000 });
  assert.deepEqual(estimates.of({ ...ASKED, mayCache: true }), { tokens: 11_500, cost: 33_000 + 50_000 });
});

Deno.test("CallEstimates by max takes the writes that live longest, and plain input if a model bills no writes", () => {
  const options = { by: "max", priceOf: priceOfList(PRICES, BILLINGS) } as const;
  const most = (provider: string, model: string, speed: string | null = null) =>
    new CallEstimates(options).of({ ...ASKED, provider, model, speed, mayCache: true, maxTokens: 0, at: Date.UTC(2026, 10, 24) })
      .cost;
  assert.equal(most("anthropic", "claude-opus-5-5"), 11_000 * 8_000);
  assert.equal(most("openai", "gpt-6.2-sol"), 11_000 * 5_000);
  assert.equal(most("openai", "gpt-5.5"), 11_000 * 5_000);
  assert.equal(most("openai", "gpt-6.1-terra"), null);
  assert.equal(most("openai", "gpt-6.2-sol", "priority"), 11_000 * 10_000);
  assert.equal(most("openai", "gpt-6.2-sol", "auto"), 11_000 * 5_000);
});

Deno.test("CallEstimates by max takes the largest context and output if the request does not bound them", () => {
  const estimates = new CallEstimates({ by: "max", priceOf });
  const million = { tokens: 1_000_000, cost: 1_050_000 };
  assert.deepEqual(estimates.of({ ...ASKED, isCompressed: true }), million);
  assert.deepEqual(estimates.of({ ...ASKED, namesFiles: true }), million);
  assert.deepEqual(estimates.of({ ...ASKED, bytes: 32_000_000 }), million);
  assert.equal(estimates.of({ ...ASKED, maxTokens: null }).tokens, 11_000 + 128_000);
});

Deno.test("CallEstimates by max learns which model serves, and nothing else", () => {
  const estimates = new CallEstimates({ by: "max", priceOf });
  const before = estimates.of(ASKED);
  estimates.learn(callOf({ requestedModel: "m", requestBytes: 10 }), closingOf({ servedModel: "m-1", inputTokens: 9_999 }));
  assert.deepEqual(estimates.of(ASKED), before);
  estimates.learn(callOf({ requestedModel: "m" }), closingOf({ servedModel: "unpriced" }));
  assert.deepEqual(estimates.of(ASKED), { ...before, cost: null });
});

Deno.test("CallEstimates by typical begins with three tokens for ten bytes and 1,000 of output, at most max_tokens", () => {
  const estimates = new CallEstimates({ by: "typical", priceOf });
  assert.equal(estimates.needsCacheMarks, false);
  assert.deepEqual(estimates.of(ASKED), { tokens: 3_500, cost: 3_000 + 50_000 });
  assert.equal(estimates.of({ ...ASKED, maxTokens: null }).tokens, 4_000);
  assert.equal(estimates.of({ ...ASKED, isCompressed: true }).tokens, 24_500);
});

Deno.test("CallEstimates by typical moves from the first call's shape towards what calls use now", () => {
  const estimates = new CallEstimates({ by: "typical", priceOf });
  const call = callOf({ requestedModel: "m", requestBytes: 1_000 });
  estimates.learn(call, closingOf({ servedModel: "m-1", inputTokens: 100, cacheReadInputTokens: 200, outputTokens: 40 }));
  assert.deepEqual(estimates.of(ASKED), { tokens: 1_000 + 2_000 + 40, cost: 1_000 + 4_000 });
  for (let n = 0; n < 300; n++) {
    estimates.learn(call, closingOf({ servedModel: "m-1", inputTokens: 500, cacheReadInputTokens: 0, outputTokens: 80 }));
  }
  const { tokens } = estimates.of(ASKED);
  assert.ok(tokens >= 5_080 - 5 && tokens <= 5_080 + 5, String(tokens));
  assert.equal(estimates.of({ ...ASKED, model: "another" }).tokens, 3_500);
});

Deno.test("CallEstimates learns nothing from calls that broke, were estimated, had no body or named no model", () => {
  const estimates = new CallEstimates({ by: "typical", priceOf });
  const before = estimates.of(ASKED);
  const call = callOf({ requestedModel: "m" });
  const used = { inputTokens: 1_000_000 };
  estimates.learn(call, closingOf(used, { outcome: "upstream_broke" }));
  estimates.learn(call, closingOf(used, { accuracy: "estimated" }));
  estimates.learn({ ...call, requestBytes: 0 }, closingOf(used));
  estimates.learn(call, closingOf({ ...used, servedModel: null }));
  assert.deepEqual(estimates.of(ASKED), before);
});

Deno.test("CallEstimates holds no less than nothing and no more than a model can use, whatever max_tokens says", () => {
  const learnt = new CallEstimates({ by: "typical", priceOf });
  const call = callOf({ requestedModel: "m", requestBytes: 1_000 });
  learnt.learn(call, closingOf({ servedModel: "m-1", inputTokens: 900, cacheReadInputTokens: 0, outputTokens: 128_000 }));
  const all = [learnt, new CallEstimates({ by: "typical", priceOf }), new CallEstimates({ by: "max", priceOf })];
  for (const estimates of all) {
    for (const maxTokens of [-Number.MAX_SAFE_INTEGER, -1, 0, 500, 128_000, 128_001, Number.MAX_SAFE_INTEGER, null]) {
      for (const bytes of [0, 10_000, 32_000_000]) {
        const { tokens, cost } = estimates.of({ ...ASKED, maxTokens, bytes, isCompressed: bytes > 10_000 });
        assert.ok(Number.isSafeInteger(tokens) && tokens >= 0 && tokens <= 1_000_000, `${maxTokens}: ${tokens} tokens`);
        assert.ok(Number.isSafeInteger(cost) && cost! >= 0 && cost! <= 3_000_003 + 12_800_000, `${maxTokens}: costs ${cost}`);
      }
    }
    assert.deepEqual(estimates.of({ ...ASKED, maxTokens: -5 }), estimates.of({ ...ASKED, maxTokens: 0 }));
    assert.deepEqual(estimates.of({ ...ASKED, maxTokens: 1e15 }), estimates.of({ ...ASKED, maxTokens: 128_000 }));
  }
});

Deno.test("CallEstimates by typical learns no size from a call whose prompt was not in its bytes", () => {
  const estimates = new CallEstimates({ by: "typical", priceOf });
  const call = callOf({ requestedModel: "m", requestBytes: 200 });
  // A document by URL: one sandbox must not make the calls of all others look huge.
  const byUrl = closingOf({ servedModel: "m", inputTokens: 900_000, cacheReadInputTokens: 0, outputTokens: 40 });
  estimates.learn(call, byUrl);
  assert.equal(estimates.of(ASKED).tokens, 3_000 + 40);
  estimates.learn(call, closingOf({ servedModel: "m", inputTokens: 100, cacheReadInputTokens: 0, outputTokens: 40 }));
  const { tokens } = estimates.of(ASKED);
  for (let n = 0; n < 50; n++) estimates.learn(call, byUrl);
  assert.equal(estimates.of(ASKED).tokens, tokens);
});
