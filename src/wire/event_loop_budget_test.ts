import assert from "node:assert/strict";
import { EventLoopBudget, nextTurn } from "./event_loop_budget.ts";

const KB = 1024;

Deno.test("EventLoopBudget lets nothing wait until 256 KB have come in a turn, and the next turn starts afresh", async () => {
  const budget = new EventLoopBudget();
  for (let turn = 0; turn < 10; turn++) {
    for (let n = 0; n < 4; n++) assert.equal(budget.enter(64 * KB), undefined, `${turn}.${n}`);
    await nextTurn();
  }
});

Deno.test("EventLoopBudget lets in 256 KB in each turn, in the order in which they came", async () => {
  const budget = new EventLoopBudget();
  const entered: number[] = [];
  assert.equal(budget.enter(256 * KB), undefined);
  for (let n = 0; n < 6; n++) budget.enter(128 * KB)!.then(() => entered.push(n));
  for (const expected of [[0, 1], [0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]) {
    await nextTurn();
    assert.deepEqual(entered, expected);
  }
});
