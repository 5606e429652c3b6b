import assert from "node:assert/strict";
import { ByteBudget } from "./budget.ts";

Deno.test("ByteBudget holds its bounds by holder and in all, and a refusal changes nothing", () => {
  const budget = new ByteBudget({ totalBytes: 100, perHolderBytes: 60 });
  assert.equal(budget.take("a", 60), true);
  assert.equal(budget.take("a", 1), false);
  assert.equal(budget.take("b", 41), false);
  assert.equal(budget.take("b", 40), true);
  assert.equal(budget.heldBytes, 100);
  budget.give("a", 60);
  budget.give("b", 40);
  assert.equal(budget.heldBytes, 0);
  assert.equal(budget.take("a", 60), true);
});
