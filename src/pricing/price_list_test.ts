import assert from "node:assert/strict";
import { CLAUDE_PRICES } from "./claude_prices.ts";
import { periodAt, type PriceList, type PricePeriod, withPrices } from "./price_list.ts";

Deno.test("CLAUDE_PRICES has its periods and tiers in order, the first tier from 0 on, and no period after its own version", () => {
  const { models, serverTools, refusals, version } = CLAUDE_PRICES;
  const dated = [...Object.entries(models), ...Object.entries(serverTools), ["refusals", refusals] as const];
  for (const [name, periods] of dated) {
    const days = periods.map(({ from }: { readonly from: string }) => from);
    assert.deepEqual(days, [...new Set(days)].sort(), name);
    assert.ok(days.every((day) => day <= version && !Number.isNaN(Date.parse(day))), name);
  }
  for (const [name, periods] of Object.entries(models)) {
    for (const { tiers } of periods) {
      const starts = tiers.map(({ promptFrom }) => promptFrom);
      assert.deepEqual(starts, [...new Set([0, ...starts])].sort((a, b) => a - b), name);
    }
  }
});

Deno.test("CLAUDE_PRICES asks 1.25 x and 2 x of the input price for writes", () => {
  for (const [name, periods] of Object.entries(CLAUDE_PRICES.models)) {
    for (const { input, write5m, write1h } of periods.flatMap(({ tiers }) => tiers)) {
      assert.equal(Number(write5m), Number(input) * 1.25, name);
      assert.equal(Number(write1h), Number(input) * 2, name);
    }
  }
});

Deno.test("withPrices() adds what is new, and lets the others' prices hold from their first day on", () => {
  const ours = listOf("ours", { a: [period("2026-01-01", "1"), period("2026-03-01", "3")], b: [period("2026-01-01", "1")] });
  const theirs = listOf("theirs", { a: [period("2026-02-01", "2")], constructor: [period("2026-01-01", "9")] });
  const { version, models } = withPrices(ours, theirs);
  assert.equal(version, "theirs");
  assert.deepEqual(models, {
    a: [period("2026-01-01", "1"), period("2026-02-01", "2")],
    b: [period("2026-01-01", "1")],
    constructor: [period("2026-01-01", "9")],
  });
});

Deno.test("withPrices() lets the others' rule about refusals hold from its first day on, and ours before", () => {
  const rule = (from: string) => ({ from, billed: [], notBilled: "others" } as const);
  const ours = { ...listOf("ours", {}), refusals: [rule("2026-01-01"), rule("2026-03-01")] };
  assert.deepEqual(withPrices(ours, { ...listOf("theirs", {}), refusals: [rule("2026-02-01")] }).refusals, [
    rule("2026-01-01"),
    rule("2026-02-01"),
  ]);
  assert.deepEqual(withPrices(ours, listOf("theirs", {})).refusals, ours.refusals);
});

Deno.test("periodAt() changes at the start of a day in UTC, and has nothing behind an end", () => {
  const periods = [period("2026-02-01", "1"), { ...period("2026-03-01", "2"), until: "2026-04-01" }, period("2026-05-01", "3")];
  const inputAt = (time: string) => periodAt(periods, Date.parse(time))?.tiers[0]?.input;
  assert.equal(inputAt("2026-01-31T23:59:59.999Z"), undefined);
  assert.equal(inputAt("2026-02-01T00:00:00Z"), "1");
  assert.equal(inputAt("2026-03-01T00:59:59+01:00"), "1");
  assert.equal(inputAt("2026-03-01T01:00:00+01:00"), "2");
  assert.equal(inputAt("2026-03-31T23:59:59.999Z"), "2");
  assert.equal(inputAt("2026-04-01T00:00:00Z"), undefined);
  assert.equal(inputAt("2026-04-30T23:59:59.999Z"), undefined);
  assert.equal(inputAt("2026-05-01T00:00:00Z"), "3");
});

function listOf(version: string, models: PriceList["models"]): PriceList {
  return { version, models, serverTools: {}, sellerTools: {}, refusals: [] };
}

function period(from: string, input: string): PricePeriod {
  const tier = { promptFrom: 0, input, write5m: "0", write1h: "0", read: "0", output: "0" };
  return { from, fastPercent: null, tiers: [tier] };
}
