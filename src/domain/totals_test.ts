import assert from "node:assert/strict";
import { type Condition, TOTALS } from "./totals.ts";

const OF_RETRIES = ["retry_of", "asked_again"];

Deno.test("TOTALS that depend on a retry add one or the cost, and depend on nothing else", () => {
  const found = TOTALS.filter(({ if: conditions = [] }) => conditions.some(dependsOnRetry));
  assert.notEqual(found.length, 0);
  for (const { name, adds, if: conditions = [] } of found) {
    assert.ok(adds === 1 || adds === "cost", name);
    assert.ok(conditions.every(dependsOnRetry), name);
  }
});

function dependsOnRetry([column]: Condition): boolean {
  return OF_RETRIES.includes(column);
}
