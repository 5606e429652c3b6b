import assert from "node:assert/strict";
import { defaultAnswer, eventStream, failing, heldBefore, json, messageTo, type SeenCall, streamed } from "../fake_answers.ts";
import { firstUserText, messageEvents, sse, usageOf } from "../fake_messages.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { messageCall, type ProxyUnderTest, received, type Row, startProxy } from "../proxy_under_test.ts";
import { startTlsUpstream } from "../tls_upstream.ts";
import { gate, waitFor } from "../wait.ts";

const CLOSED_PORT = 1;

for (const [how, script] of [["closes", "close"], ["resets", "reset"]] as const) {
  Deno.test(`the proxy never sends a billed call twice where the upstream ${how} a reused connection before it answers`, async () => {
    await using proxy = await startProxy();
    const token = await proxy.token();
    proxy.upstream.answer((call) => firstUserText(call.json()).startsWith("lost") ? script : "default");
    for (let n = 0; n < 20; n++) {
      assert.equal((await ask(proxy, { text: `good ${n}`, token })).status, 200);
      const answer = await ask(proxy, { text: `lost ${n}`, token, stream: n % 2 === 0 });
      await assertRefusal(answer, 502, { retryAfter: true });
    }
    const seen = proxy.upstream.calls.map((call) => firstUserText(call.json()));
    assert.equal(seen.length, 40);
    assert.equal(new Set(seen).size, 40);
    const connections = proxy.upstream.calls.map((call) => call.connectionId);
    assert.ok(new Set(connections).size < 40, "no connection was reused, so nothing was tried");
    const rows = await proxy.closedRows(40);
    assert.equal(rows.filter((row) => row.outcome === "completed").length, 20);
    const broken = rows.filter((row) => row.outcome === "upstream_broke");
    assert.deepEqual(
      broken.map((row) => [row.status, row.accuracy, row.error_type]),
      Array(20).fill([null, "unknown", "upstream_unreachable"]),
    );
  });
}

Deno.test("the proxy hands a redirect on and does not follow it with the operator's key", async () => {
  await using elsewhere = await startFakeUpstream();
  await using proxy = await startProxy();
  const location = `${elsewhere.url}/v1/messages`;
  for (const status of [301, 302, 303, 307, 308]) {
    proxy.upstream.answer({ status, headers: { location }, body: "" });
    const call = messageCall(await proxy.token());
    const answer = await fetch(`${proxy.url}/v1/messages`, { ...call, redirect: "manual" });
    await answer.body?.cancel();
    assert.deepEqual([answer.status, answer.headers.get("location")], [status, location]);
  }
  assert.equal(elsewhere.calls.length, 0);
  assert.equal(proxy.upstream.calls.length, 5);
  const rows = await proxy.closedRows(5);
  assert.deepEqual(
    rows.map((row) => [row.outcome, row.status]),
    [301, 302, 303, 307, 308].map((status) => ["upstream_error", status]),
  );
});

Deno.test("the proxy breaks a call whose upstream is silent for longer than LLMPROXY_UPSTREAM_IDLE_SECONDS, and no other", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_UPSTREAM_IDLE_SECONDS: "1" } });
  const token = await proxy.token();
  const never = gate();
  proxy.upstream.answer((call) => {
    switch (firstUserText(call.json())) {
      case "no answer":
        return "stall";
      case "silence in the middle":
        return eventStream(then(begun(call), never.passed));
      case "pings only":
        return eventStream(pinging(call, { pings: 6, everyMs: 300 }));
      default:
        return eventStream(manyBytes(call));
    }
  });
  const startedAt = performance.now();
  const sinceStart = () => performance.now() - startedAt;

  async function noAnswer(stream: boolean) {
    await assertRefusal(await ask(proxy, { text: "no answer", token, stream }), 504, { retryAfter: true });
    assert.ok(sinceStart() > 900 && sinceStart() < 4_000, `refused after ${sinceStart()} ms`);
  }
  async function silenceInTheMiddle() {
    const got = await received(await ask(proxy, { text: "silence in the middle", token, stream: true }));
    assert.equal(got.text.split("\n\n").length - 1, 4);
    assert.ok(got.error instanceof Error);
    assert.ok(sinceStart() > 900 && sinceStart() < 4_000, `broken after ${sinceStart()} ms`);
  }
  async function pingsOnly() {
    const got = await received(await ask(proxy, { text: "pings only", token, stream: true }));
    assert.equal(got.error, null);
    assert.match(got.text, /message_stop/);
    assert.ok(sinceStart() > 1_500);
  }
  /** It is the client that is slow here, with more on its way than the kernel's buffers hold. */
  async function slowReader() {
    const answer = await ask(proxy, { text: "slow reader", token, stream: true });
    await waitFor(() => sinceStart() > 1_600, { what: "the time to pass" });
    const got = await received(answer);
    assert.equal(got.error, null);
    assert.match(got.text, /message_stop/);
  }
  await Promise.all([noAnswer(true), noAnswer(false), silenceInTheMiddle(), pingsOnly(), slowReader()]);
  never.open();

  const rows = await proxy.closedRows(5);
  assert.deepEqual(
    rows.map(summary).sort(),
    [
      ["completed", 200, "exact", null],
      ["completed", 200, "exact", null],
      ["upstream_broke", 200, "estimated", null],
      ["upstream_broke", null, "unknown", "upstream_timeout"],
      ["upstream_broke", null, "unknown", "upstream_timeout"],
    ].map((row) => JSON.stringify(row)).sort(),
  );
  await waitFor(() => proxy.upstream.calls.filter((call) => call.closedAt !== null).length === 3, {
    what: "the proxy to hang up on the silent",
  });
});

Deno.test("the proxy breaks a call without a row, too, whose upstream is silent for longer than LLMPROXY_UPSTREAM_IDLE_SECONDS", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_UPSTREAM_IDLE_SECONDS: "1" } });
  const token = await proxy.token();
  const url = `${proxy.url}/v1/messages/count_tokens`;
  proxy.upstream.answer("stall");
  await assertRefusal(await fetch(url, messageCall(token)), 504, { retryAfter: true });
  const never = gate();
  proxy.upstream.answer({ ...json(null), body: heldBefore(['{"input_', 'tokens":1}'], { number: 1, until: never.passed }) });
  const got = await received(await fetch(url, messageCall(token)));
  assert.equal(got.text, '{"input_');
  assert.ok(got.error instanceof Error);
  never.open();
});

Deno.test("the proxy answers 502, closes the row and counts no call in flight if the upstream's status is not valid", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  proxy.upstream.answer({ status: 600, body: "{}" });
  for (const path of ["/v1/messages", "/v1/messages/count_tokens"]) {
    await assertRefusal(await fetch(proxy.url + path, messageCall(token)), 502, { retryAfter: true });
  }
  const [row] = await proxy.closedRows(1);
  assert.deepEqual(JSON.parse(summary(row!)), ["upstream_broke", null, "unknown", "upstream_unreachable"]);
  await inFlight(proxy, 0);
});

Deno.test("the proxy counts a call that is under way as one in flight, its row and its answer together", async () => {
  await using proxy = await startProxy();
  const held = gate();
  proxy.upstream.answer((call) => held.passed.then(() => defaultAnswer(call)));
  const answers = Promise.all(["/v1/messages", "/v1/messages", "/v1/messages/count_tokens"].map(async (path) => {
    await received(await fetch(proxy.url + path, messageCall(await proxy.token())));
  }));
  await proxy.upstream.waitForCalls(3);
  await inFlight(proxy, 3);
  held.open();
  await answers;
  await inFlight(proxy, 0);
});

Deno.test("the proxy answers 502 with retry-after, and says nothing of hosts, if nothing listens upstream", async () => {
  await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: `http://127.0.0.1:${CLOSED_PORT}` } });
  for (const stream of [false, true]) {
    const text = await assertRefusal(await ask(proxy, { stream }), 502, { retryAfter: true });
    assert.doesNotMatch(text, /127\.0\.0\.1|connect|refused/i);
  }
  const rows = await proxy.closedRows(2);
  assert.deepEqual(
    rows.map((row) => [row.outcome, row.status, row.error_type]),
    Array(2).fill(["upstream_broke", null, "upstream_unreachable"]),
  );
  assert.ok(proxy.logs.some((line) => line.includes("upstream_unreachable")));
});

Deno.test("the proxy answers an upstream's 401 with a 502 that clients do not retry, logs it loudly, counts it and records 401", async () => {
  await using proxy = await startProxy();
  proxy.upstream.answer(failing(401, { message: "invalid x-api-key", headers: { "x-should-retry": "true" } }));
  const token = await proxy.token();
  for (const path of ["/v1/messages", "/v1/messages/count_tokens"]) {
    const answer = await fetch(proxy.url + path, messageCall(token));
    assert.equal(answer.headers.get("x-should-retry"), "false");
    await assertRefusal(answer, 502, { retryAfter: false });
  }
  const [row, ...others] = await proxy.closedRows(1);
  assert.deepEqual(others, []);
  assert.deepEqual(summary(row!), JSON.stringify(["upstream_error", 401, "exact", "authentication_error"]));
  assert.equal(row!.input_tokens, 0);
  const loud = proxy.logs.map((line) => JSON.parse(line)).filter((line) => line.level === "error");
  assert.equal(loud.length, 2);
  for (const line of loud) assert.match(line.msg, /credential/);
  assert.match(await metricsOf(proxy), /^llmproxy_upstream_unauthorized_total 2$/m);
});

Deno.test("the proxy keeps the path of ANTHROPIC_BASE_URL before every target", async () => {
  await using upstream = await startFakeUpstream();
  await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: `${upstream.url}/gateway/anthropic/` } });
  assert.equal((await ask(proxy, {})).status, 200);
  const call = messageCall(await proxy.token());
  assert.equal((await fetch(`${proxy.url}/v1/messages/count_tokens?beta=true`, call)).status, 200);
  assert.deepEqual(upstream.calls.map((seen) => seen.target), [
    "/gateway/anthropic/v1/messages",
    "/gateway/anthropic/v1/messages/count_tokens?beta=true",
  ]);
});

Deno.test("the proxy trusts an upstream of a private CA by LLMPROXY_CA_FILE, and none without it", async () => {
  await using upstream = await startTlsUpstream({ deltas: 2, durationMs: 10 });
  const caFile = await Deno.makeTempFile();
  await Deno.writeTextFile(caFile, upstream.caPem);
  {
    await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url, LLMPROXY_CA_FILE: caFile } });
    const got = await received(await ask(proxy, { stream: true }));
    assert.equal(got.error, null);
    const [row] = await proxy.closedRows(1);
    assert.deepEqual([row!.outcome, row!.output_tokens], ["completed", usageOf("tls").output_tokens]);
  }
  {
    await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url } });
    await assertRefusal(await ask(proxy, { stream: true }), 502, { retryAfter: true });
  }
  assert.deepEqual(upstream.calls, { "1.1": 1, "2.0": 0 });
  await Deno.remove(caFile);
});

async function ask(
  proxy: ProxyUnderTest,
  { text = "hello", stream = false, token }: { readonly text?: string; readonly stream?: boolean; readonly token?: string },
): Promise<Response> {
  return await fetch(`${proxy.url}/v1/messages`, messageCall(token ?? await proxy.token(), { text, stream }));
}

/** Our own error JSON; gives its text. */
async function assertRefusal(
  answer: Response,
  status: number,
  { retryAfter }: { readonly retryAfter: boolean },
): Promise<string> {
  const text = await answer.text();
  assert.equal(answer.status, status, text);
  assert.equal(answer.headers.has("retry-after"), retryAfter);
  const body = JSON.parse(text);
  assert.deepEqual([body.type, body.error.type], ["error", "api_error"]);
  assert.equal(body.request_id, answer.headers.get("x-llmproxy-request-id"));
  return text;
}

function summary(row: Row): string {
  return JSON.stringify([row.outcome, row.status, row.accuracy, row.error_type]);
}

async function inFlight(proxy: ProxyUnderTest, count: number): Promise<void> {
  await waitFor(async () => (await metricsOf(proxy)).includes(`\nllmproxy_calls_in_flight ${count}\n`), {
    what: `${count} calls in flight`,
  });
}

async function metricsOf(proxy: ProxyUnderTest): Promise<string> {
  const answer = await fetch(`${proxy.adminUrl}/metrics`, { headers: { authorization: `Bearer ${proxy.adminToken}` } });
  return await answer.text();
}

function begun(call: SeenCall): string[] {
  return messageEvents(messageTo(call)).slice(0, 4);
}

async function* then(pieces: readonly string[], until: Promise<void>): AsyncGenerator<string> {
  yield* pieces;
  await until;
}

async function* pinging(
  call: SeenCall,
  { pings, everyMs }: { readonly pings: number; readonly everyMs: number },
): AsyncGenerator<string> {
  const answer = streamed({ deltas: pings, paceMs: everyMs })(call);
  for await (const piece of answer.body as AsyncIterable<string>) {
    yield piece.includes("content_block_delta") ? sse("ping", { type: "ping" }) : piece;
  }
}

/** About 20 MB. */
function* manyBytes(call: SeenCall): Generator<string> {
  const events = messageEvents(messageTo(call));
  const text = "x".repeat(200_000);
  const delta = sse("content_block_delta", { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } });
  yield* events.slice(0, 3);
  for (let n = 0; n < 100; n++) yield delta;
  yield* events.slice(3);
}
