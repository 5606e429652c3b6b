import assert from "node:assert/strict";
import { deadline, delay, settlesWithin, timeLimit, unlessAborted } from "./deadline.ts";

const LONG_MS = 60_000;
const NEVER = new Promise<never>(() => {});

function late(): Error {
  return new Error("late");
}

Deno.test("deadline() returns the work's result and leaves no timer behind", async () => {
  assert.equal(await deadline(Promise.resolve(7), LONG_MS, late), 7);
  await assert.rejects(deadline(Promise.reject(new Error("failed")), LONG_MS, late), /^Error: failed$/);
});

Deno.test("deadline() rejects with the late error when the time has passed", async () => {
  await assert.rejects(deadline(NEVER, 1, late), /^Error: late$/);
});

Deno.test("settlesWithin() says whether the work settled in time, and never rejects", async () => {
  assert.equal(await settlesWithin(Promise.reject(new Error("failed")), LONG_MS), true);
  assert.equal(await settlesWithin(NEVER, 1), false);
});

Deno.test("timeLimit() never aborts once it has been disposed of", async () => {
  let signal: AbortSignal;
  {
    using limit = timeLimit(1, late);
    signal = limit.signal;
  }
  await delay(10, new AbortController().signal);
  assert.equal(signal.aborted, false);
});

Deno.test("unlessAborted() rejects with the reason of a signal that has aborted, before or after", async () => {
  const controller = new AbortController();
  const waiting = unlessAborted(controller.signal, NEVER);
  controller.abort(new Error("gone"));
  await assert.rejects(waiting, /^Error: gone$/);
  await assert.rejects(unlessAborted(controller.signal, NEVER), /^Error: gone$/);
});

Deno.test("delay() ends at once when its signal aborts", async () => {
  const controller = new AbortController();
  const waiting = delay(LONG_MS, controller.signal);
  controller.abort();
  await waiting;
});
