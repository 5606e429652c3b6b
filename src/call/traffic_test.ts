import assert from "node:assert/strict";
import { refusal } from "../../tests/fake_calls.ts";
import { Traffic } from "./traffic.ts";

Deno.test("Traffic counts a request once, from its first work to its last", async () => {
  const traffic = new Traffic();
  const delivered = Promise.withResolvers<void>();
  traffic.follow(delivered.promise, "ar-1");
  const leave = traffic.enter("ar-1", () => {});
  const leaveOther = traffic.enter("ar-2", () => {});
  assert.equal(traffic.inFlight, 2);
  leave();
  leaveOther();
  leaveOther();
  assert.equal(traffic.inFlight, 1);
  delivered.reject(new Error("the client has gone"));
  await traffic.idle();
  assert.equal(traffic.inFlight, 0);
});

Deno.test("Traffic.draining aborts when the drain begins, with the refusal as its reason", () => {
  const traffic = new Traffic();
  assert.deepEqual([traffic.draining.aborted, traffic.isDraining], [false, false]);
  traffic.drain();
  traffic.drain();
  assert.ok(traffic.isDraining && refusal("draining")(traffic.draining.reason));
});

Deno.test("Traffic.idle() waits for calls that come while it waits", async () => {
  const traffic = new Traffic();
  const leave = traffic.enter("ar-1", () => {});
  let isIdle = false;
  const idle = traffic.idle().then(() => isIdle = true);
  const leaveLate = traffic.enter("ar-2", () => {});
  leave();
  await Promise.resolve().then(() => {}).then(() => {});
  assert.equal(isIdle, false);
  leaveLate();
  await idle;
});

Deno.test("Traffic.cut() breaks every call that is under way, and none that is over", () => {
  const traffic = new Traffic();
  const cut: string[] = [];
  traffic.enter("ar-1", () => cut.push("ar-1"))();
  traffic.enter("ar-2", () => cut.push("ar-2"));
  traffic.cut();
  assert.deepEqual(cut, ["ar-2"]);
});

Deno.test("Traffic.assertOpen() refuses with draining from drain() on", () => {
  const traffic = new Traffic();
  traffic.assertOpen();
  assert.equal(traffic.isDraining, false);
  traffic.drain();
  assert.throws(() => traffic.assertOpen(), refusal("draining"));
  assert.equal(traffic.isDraining, true);
});
