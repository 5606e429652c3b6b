import assert from "node:assert/strict";
import { costUsd } from "./money.ts";

Deno.test("costUsd() writes nano-dollars as dollars with nine places", () => {
  const cases = [[0, "0.000000000"], [-0, "0.000000000"], [1, "0.000000001"], [12_345_678, "0.012345678"]] as const;
  for (const [nano, text] of cases) assert.equal(costUsd(nano), text);
  assert.equal(costUsd(999_999_999), "0.999999999");
  assert.equal(costUsd(1_000_000_000), "1.000000000");
  assert.equal(costUsd(Number.MAX_SAFE_INTEGER), "9007199.254740991");
});

Deno.test("costUsd() is exact beyond the safe integers, for the sums of many rows", () => {
  assert.equal(costUsd(9_223_372_036_854_775_807n), "9223372036.854775807");
  assert.equal(costUsd(10n ** 30n + 1n), "1000000000000000000000.000000001");
});

Deno.test("costUsd() writes what has become cheaper with a minus", () => {
  assert.equal(costUsd(-1), "-0.000000001");
  assert.equal(costUsd(-1_500_000_000n), "-1.500000000");
});

Deno.test("costUsd() refuses a fraction of a nano-dollar", () => {
  for (const nano of [0.5, NaN, Infinity]) assert.throws(() => costUsd(nano), RangeError);
});
