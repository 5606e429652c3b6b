import assert from "node:assert/strict";
import { BODY, incoming, json, received, refusal, requestOf, SANDBOX, type Scene, scene, TOKEN } from "../../tests/fake_calls.ts";
import type { FakeClient } from "../../tests/fake_client.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import type { Outcome } from "../domain/usage.ts";
import { admit } from "./admit.ts";
import type { LiveCall } from "./live_call.ts";
import { read } from "./read.ts";
import { relay } from "./relay.ts";
import { belongingOf } from "./trace.ts";
import type { Deps } from "./deps.ts";

const CALLER = { sandbox: SANDBOX, token: TOKEN };
const READING = { ...EMPTY_READING, hasInput: true, hasFinalOutput: true, outputTokens: 5 };
const OUTCOMES: readonly Outcome[] = ["completed", "client_left", "upstream_error", "upstream_broke", "proxy_cut", "stopped"];

Deno.test("LiveCall.end() closes the row once: the first outcome and its reading count, and all callers wait for one commit", async () => {
  await using call = scene(() => json(BODY));
  const live = await liveCall(call);
  const closing = call.holdBack("close");
  let isOver = false;
  const first = live.end("completed", READING);
  const others = Promise.all(OUTCOMES.map((outcome) => live.end(outcome, EMPTY_READING))).then(() => isOver = true);
  call.deps.traffic.cut();
  call.client.abort();
  assert.deepEqual([live.hasEnded, isOver], [true, false]);
  closing.open();
  await Promise.all([first, others]);
  assert.deepEqual(call.closings.map(({ outcome, reading }) => [outcome, reading.outputTokens]), [["completed", 5]]);
  assert.equal(call.lines.filter((line) => line.startsWith("callEnded")).length, 1);
});

for (const outcome of OUTCOMES) {
  for (const isCommitted of [true, false]) {
    const name = `LiveCall.end() as ${outcome} frees the timers, the body's room and the traffic ${
      isCommitted ? "once the close is committed" : "if the commit fails"
    }`;
    // A timer that is left behind fails this test: the sanitizer finds it.
    Deno.test(name, { sanitizeOps: true }, async () => {
      await using call = scene(() => json(BODY));
      const live = await liveCall(call);
      live.idle.listen();
      call.client.abort();
      const closing = call.holdBack("close");
      if (!isCommitted) call.fail("close");
      const ended = live.end(outcome, READING);
      ended.catch(() => {});
      assert.deepEqual([call.deps.traffic.inFlight, call.deps.budget.heldBytes > 0], [1, true]);
      closing.open();
      if (isCommitted) await ended;
      else await assert.rejects(ended, refusal("ledger_unavailable"));
      assert.deepEqual([call.deps.traffic.inFlight, call.deps.budget.heldBytes], [0, 0]);
    });
  }
}

Deno.test("LiveCall.end() records an answer that is read on as client_left, however that ends, unless it is an error or stopped", async () => {
  for (const outcome of OUTCOMES) {
    await using call = scene(() => json(BODY));
    const live = await liveCall(call);
    live.sending();
    live.clientLeft();
    assert.equal(live.signal.aborted, false);
    await live.end(outcome, READING);
    const recorded = ["upstream_error", "stopped"].includes(outcome) ? outcome : "client_left";
    assert.deepEqual(call.closings.map(({ outcome, accuracy }) => [outcome, accuracy]), [[recorded, "exact"]]);
  }
});

Deno.test("LiveCall.end() keeps no reading of an answer with an error status but its error type: it cost nothing", async () => {
  await using call = scene(() => json(BODY));
  const live = await liveCall(call);
  live.row!.answered(529, "req_1");
  await live.end("upstream_error", { ...READING, errorType: "overloaded_error" });
  const [{ accuracy, reading, upstreamRequestId } = assert.fail()] = call.closings;
  assert.deepEqual([accuracy, reading.outputTokens, reading.errorType, upstreamRequestId], [
    "exact",
    0,
    "overloaded_error",
    "req_1",
  ]);
});

Deno.test("LiveCall.clientLeft() cancels a streamed call at once, and once only", async () => {
  await using call = scene(() => json(BODY));
  const live = await liveCall(call, { stream: true });
  assert.equal(live.signal.aborted, false);
  live.clientLeft();
  live.clientLeft();
  assert.equal(live.signal.aborted, true);
  await live.fail(live.signal.reason);
  assert.equal(call.closings[0]!.outcome, "client_left");
});

Deno.test("LiveCall.clientLeft() cancels the source of a call that has ended", async () => {
  await using call = scene(() => json(BODY));
  const live = await liveCall(call);
  await live.end("completed", READING);
  live.clientLeft();
  assert.equal(live.signal.aborted, true);
});

Deno.test("a call that was aborted before its answer came ends as that abort, and its client gets none of the answer", async () => {
  await using call = scene(() => json(BODY));
  const live = await liveCall(call);
  call.deps.traffic.cut();
  assert.equal(live.hasEnded, false, "forward still waits for the answer");
  const client = live.incoming.client as FakeClient;
  assert.deepEqual(await received(await client.answerOf(relay(json(BODY), live))), { text: "", isBroken: true });
  assert.deepEqual(call.closings.map(({ outcome, accuracy }) => [outcome, accuracy]), [["proxy_cut", "unknown"]]);
});

Deno.test("LiveCall.fail() closes the row and resolves to the refusal also if the commit fails", async () => {
  await using call = scene(() => json(BODY));
  call.fail("close");
  const live = await liveCall(call);
  const fault = await live.fail(new TypeError("connection refused"));
  assert.deepEqual([fault.code, fault.sandbox], ["upstream_unreachable", SANDBOX]);
});

async function liveCall(
  call: Scene,
  { stream = false, deps = call.deps }: { stream?: boolean; deps?: Deps } = {},
): Promise<LiveCall> {
  const request = incoming(call, { body: JSON.stringify({ ...requestOf({ stream }), padding: "x".repeat(100_000) }) });
  const facts = await read(request, CALLER, deps);
  const trace = belongingOf({ incoming: request, asked: facts, caller: CALLER }, deps);
  return await admit({ incoming: request, caller: CALLER, facts, trace }, deps);
}
