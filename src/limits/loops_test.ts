import assert from "node:assert/strict";
import type { OperatorEvent } from "../domain/events.ts";
import { loopsOf } from "./loops.ts";

const CALL = { workspaceId: "w-1", sandboxId: "sb-1", traceId: "at-1", messagesHash: "h1" };
const MINUTE_MS = 60_000;

Deno.test("pausedUntil() pauses a trace that asks the same often enough in a while, tells it once, and lets it go on later", () => {
  const events: OperatorEvent[] = [];
  const loops = loopsOf({ calls: 3, pauseMs: 5_000, tell: (event) => events.push(event) });
  const ask = (createdAt: number, given: Partial<typeof CALL> = {}) => loops.pausedUntil({ ...CALL, ...given, createdAt });
  assert.deepEqual([ask(0), ask(1), ask(2, { messagesHash: "h2" }), ask(3, { traceId: "at-2" })], [null, null, null, null]);
  assert.equal(ask(4), 5_004);
  assert.deepEqual(events, [
    { type: "trace.paused", workspaceId: "w-1", sandboxId: "sb-1", traceId: "at-1", why: "loop", until: 5_004 },
  ]);
  assert.equal(ask(5, { messagesHash: "h3" }), 5_004);
  assert.equal(ask(6, { workspaceId: "w-2" }), null);
  assert.deepEqual([ask(5_004), ask(5_005)], [null, null]);
  assert.equal(ask(5_006), 10_006);
  assert.equal(events.length, 2);
});

Deno.test("pausedUntil() forgets what was asked more than ten minutes ago, and calls without a question", () => {
  const loops = loopsOf({ calls: 2, pauseMs: 1, tell: () => assert.fail("it told") });
  for (let n = 0; n < 5; n++) assert.equal(loops.pausedUntil({ ...CALL, createdAt: n * 10 * MINUTE_MS }), null);
  for (let n = 0; n < 5; n++) assert.equal(loops.pausedUntil({ ...CALL, messagesHash: null, createdAt: 0 }), null);
});

Deno.test("pausedUntil() finds nothing unless it is set", () => {
  const loops = loopsOf({ calls: 0, pauseMs: 1, tell: () => assert.fail("it told") });
  for (let n = 0; n < 50; n++) assert.equal(loops.pausedUntil({ ...CALL, createdAt: n }), null);
});
