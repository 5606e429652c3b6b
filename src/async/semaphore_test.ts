import assert from "node:assert/strict";
import { QueueFull, Semaphore } from "./semaphore.ts";

Deno.test("Semaphore runs no more than its limit at a time, the longest waiting first", async () => {
  const semaphore = new Semaphore({ max: 2 });
  const order: number[] = [];
  let running = 0;
  let most = 0;
  await Promise.all([1, 2, 3, 4, 5].map((n) =>
    semaphore.run(async () => {
      order.push(n);
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
    })
  ));
  assert.deepEqual([order, most], [[1, 2, 3, 4, 5], 2]);
});

Deno.test("Semaphore passes the turn on when a work fails", async () => {
  const semaphore = new Semaphore({ max: 1 });
  const failed = semaphore.run(() => Promise.reject(new Error("failed")));
  const next = semaphore.run(() => Promise.resolve("next"));
  await assert.rejects(failed, /^Error: failed$/);
  assert.equal(await next, "next");
});

Deno.test("Semaphore refuses a work if too many wait", async () => {
  const semaphore = new Semaphore({ max: 1, maxWaiting: 1 });
  const held = Promise.withResolvers<void>();
  const works = [semaphore.run(() => held.promise), semaphore.run(() => Promise.resolve())];
  await assert.rejects(semaphore.run(() => Promise.resolve()), QueueFull);
  held.resolve();
  await Promise.all(works);
});

Deno.test("Semaphore gives no turn to a work whose signal aborted while it waited", async () => {
  const semaphore = new Semaphore({ max: 1 });
  const held = Promise.withResolvers<void>();
  const controller = new AbortController();
  const first = semaphore.run(() => held.promise);
  const left = semaphore.run(() => Promise.reject(new Error("it ran")), controller.signal);
  const last = semaphore.run(() => Promise.resolve("last"));
  controller.abort(new Error("left"));
  // In the same turn as the abort: the turn goes to the one who still waits.
  held.resolve();
  await assert.rejects(left, /^Error: left$/);
  await first;
  assert.equal(await last, "last");
});
