import assert from "node:assert/strict";
import * as dialects from "../../providers/providers.ts";
import { ByteBudget } from "../../wire/budget.ts";
import { SharedBudget, sharedPartOf, WHOLE_BODY_BYTES } from "./shared_budget.ts";

const MB = 1024 * 1024;
const MACHINE = { totalBytes: 800 * MB, perHolderBytes: 400 * MB };

Deno.test("SharedBudget takes its own part without asking, then of the shared part, and together no more than the machine's", async () => {
  const { workers: [one, other], asked } = machine();
  assert.equal(one.take("a", 100 * MB), true);
  assert.deepEqual(asked, []);
  assert.equal(await one.take("a", 150 * MB), true);
  assert.equal(await other.take("a", 100 * MB), true);
  assert.equal(await other.take("a", 51 * MB), false);
  assert.equal(await other.take("a", 50 * MB), true);
  assert.equal(one.heldBytes + other.heldBytes, MACHINE.perHolderBytes);
  assert.equal(await other.take("b", 100 * MB), true);
  assert.deepEqual(asked, [150 * MB, 51 * MB, 50 * MB]);
});

Deno.test("SharedBudget returns first what is shared, and in the end all", async () => {
  const { workers: [one], shared } = machine();
  await one.take("a", 100 * MB);
  await one.take("a", 150 * MB);
  one.give("a", 200 * MB);
  assert.deepEqual([shared.heldBytes, one.heldBytes], [0, 50 * MB]);
  one.give("a", 50 * MB);
  assert.equal(one.heldBytes, 0);
  assert.equal(one.take("a", 100 * MB), true);
});

Deno.test("SharedBudget refuses if the parent cannot be asked", async () => {
  const budget = new SharedBudget({ ...MACHINE, of: 2, takeRoom: () => Promise.reject(new Error("gone")), giveRoom: () => {} });
  assert.equal(await budget.take("a", 101 * MB), false);
  assert.equal(budget.heldBytes, 0);
});

Deno.test("SharedBudget has room for one whole body of any dialect, wherever one process has it", async () => {
  for (const [total, perHolder] of [[32, 32], [64, 32], [100, 50], [512, 128], [1024, 512]] as const) {
    const bytes = { totalBytes: total * MB, perHolderBytes: perHolder * MB };
    const shared = new ByteBudget(sharedPartOf(bytes));
    const takeRoom = (holder: string, asked: number) => Promise.resolve(shared.take(holder, asked));
    const budget = new SharedBudget({ ...bytes, of: 16, takeRoom, giveRoom: shared.give.bind(shared) });
    const whole = Math.min(bytes.perHolderBytes, WHOLE_BODY_BYTES);
    assert.equal(await budget.take("a", whole), true, `${perHolder} of ${total} MB`);
    assert.ok(shared.heldBytes + 16 * (budget.heldBytes - shared.heldBytes) <= bytes.perHolderBytes);
  }
});

Deno.test("SharedBudget knows the largest body of a call", () => {
  const largest = Object.values(dialects).flatMap(({ routes }) => routes).map((route) => {
    return route.kind === "billed" ? route.call.request.maxBodyBytes : 0;
  });
  assert.equal(Math.max(...largest), WHOLE_BODY_BYTES);
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
