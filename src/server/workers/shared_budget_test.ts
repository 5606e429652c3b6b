import assert from "node:assert/strict";
import { ByteBudget } from "../../wire/budget.ts";
import { SharedBudget, sharedPartOf } from "./shared_budget.ts";

const MACHINE = { totalBytes: 800, perHolderBytes: 400 };

Deno.test("SharedBudget takes its own part without asking, then of the shared part, and together no more than the machine's", async () => {
  const { workers: [one, other], asked } = machine();
  assert.equal(one.take("a", 100), true);
  assert.deepEqual(asked, []);
  assert.equal(await one.take("a", 150), true);
  assert.equal(await other.take("a", 100), true);
  assert.equal(await other.take("a", 51), false);
  assert.equal(await other.take("a", 50), true);
  assert.equal(one.heldBytes + other.heldBytes, MACHINE.perHolderBytes);
  assert.equal(await other.take("b", 100), true);
  assert.deepEqual(asked, [150, 51, 50]);
});

Deno.test("SharedBudget returns first what is shared, and in the end all", async () => {
  const { workers: [one], shared } = machine();
  await one.take("a", 100);
  await one.take("a", 150);
  one.give("a", 200);
  assert.deepEqual([shared.heldBytes, one.heldBytes], [0, 50]);
  one.give("a", 50);
  assert.equal(one.heldBytes, 0);
  assert.equal(one.take("a", 100), true);
});

Deno.test("SharedBudget refuses if the parent cannot be asked", async () => {
  const budget = new SharedBudget({ ...MACHINE, of: 2, takeRoom: () => Promise.reject(new Error("gone")), giveRoom: () => {} });
  assert.equal(await budget.take("a", 101), false);
  assert.equal(budget.heldBytes, 0);
});

/** Two workers, the shared part, and what they asked of it. */
function machine() {
  const shared = new ByteBudget(sharedPartOf(MACHINE));
  const asked: number[] = [];
  const worker = () =>
    new SharedBudget({
      ...MACHINE,
      of: 2,
      takeRoom: (holder, bytes) => {
        asked.push(bytes);
        return Promise.resolve(shared.take(holder, bytes));
      },
      giveRoom: (holder, bytes) => shared.give(holder, bytes),
    });
  return { workers: [worker(), worker()] as const, shared, asked };
}
