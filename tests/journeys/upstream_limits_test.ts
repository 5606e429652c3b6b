import assert from "node:assert/strict";
import { failing, json, type SeenCall } from "../fake_answers.ts";
import { messageBody, usageOf } from "../fake_messages.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { metricOf } from "../process_metrics.ts";
import { startProxyProcess } from "../proxy_process.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { clientOf, saying, SDKS } from "../sdk_clients.ts";
import { waitFor } from "../wait.ts";

const WAITING = "llmproxy_upstream_waiting_calls";
const LIMITS = "llmproxy_upstream_rate_limits";
/** A clock's grain, and what a timer may be early. */
const GRAIN_MS = 10;

Deno.test("after a 429 with retry-after, calls of that model wait instead of being thrown at the upstream; other models pass", async () => {
  await using proxy = await startProxy();
  const { upstream } = proxy;
  const token = await proxy.token();
  upstream.answer(failing(429, { headers: { "retry-after": "1" } }));
  const first = await fetch(`${proxy.url}/v1/messages`, messageCall(token));
  assert.deepEqual([first.status, first.headers.get("retry-after")], [429, "1"]);
  await first.body?.cancel();
  upstream.answer("default");
  const waiting = Promise.all([1, 2, 3].map((n) => statusOf(proxy, token, { stream: n === 3 })));
  await waitFor(async () => await metricOf(proxy, WAITING) === 3, { what: "three calls to wait" });
  assert.equal(await metricOf(proxy, LIMITS), 1);
  assert.equal(await statusOf(proxy, token, { model: "claude-opus-5" }), 200);
  const counted = await fetch(`${proxy.url}/v1/messages/count_tokens`, messageCall(token));
  assert.equal(counted.status, 200);
  await counted.body?.cancel();
  assert.equal(upstream.calls.length, 3, "a call did not wait");

  assert.deepEqual(await waiting, [200, 200, 200]);
  const [refused, , , ...later] = upstream.calls;
  for (const call of later) assert.ok(call.receivedAt - refused!.answeredAt! >= 1_000 - GRAIN_MS);
  assert.deepEqual([await metricOf(proxy, WAITING), await metricOf(proxy, LIMITS)], [0, 0]);
  const overhead = await metricOf(proxy, "llmproxy_overhead_seconds_sum");
  assert.ok(overhead < 0.5, `the wait counts as the proxy's own time: ${overhead} s`);
  await proxy.closedRows(5);
});

Deno.test("if nothing is left of a limit, calls wait until it resets, by the upstream's clock", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  let isFirst = true;
  proxy.upstream.answer((call) => {
    const left = {
      // Its clock is an hour slow.
      date: new Date(Date.now() - 3_600_000).toUTCString(),
      "anthropic-ratelimit-input-tokens-remaining": "0",
      "anthropic-ratelimit-input-tokens-reset": new Date(Date.now() - 3_600_000 + 1_500).toISOString(),
    };
    const answer = message(call);
    if (!isFirst) return answer;
    isFirst = false;
    return { ...answer, headers: { ...answer.headers, ...left } };
  });
  for (let n = 0; n < 3; n++) assert.equal(await statusOf(proxy, token), 200);
  const [first, second, third] = proxy.upstream.calls;
  // The header of its clock has no fractions of a second.
  const waitedMs = second!.receivedAt - first!.answeredAt!;
  assert.ok(waitedMs >= 1_500 - GRAIN_MS && waitedMs < 4_000, `it waited ${waitedMs} ms`);
  assert.ok(third!.receivedAt - second!.answeredAt! < 1_000);
});

Deno.test("if the upstream asks for a longer wait than a call may have, the proxy refuses with its retry-after and sends nothing", async () => {
  await using proxy = await startProxy({ env: { LLMPROXY_UPSTREAM_WAIT_SECONDS: "2" } });
  const token = await proxy.token();
  proxy.upstream.answer(failing(529, { headers: { "retry-after": "90" } }));
  assert.equal(await statusOf(proxy, token), 529);
  const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(token));
  assert.deepEqual([answer.status, answer.headers.get("x-should-retry")], [429, "false"]);
  const seconds = Number(answer.headers.get("retry-after"));
  assert.ok(seconds >= 85 && seconds <= 90, `retry-after is ${seconds}`);
  const { error } = await answer.json();
  assert.equal(error.type, "rate_limit_error");
  assert.match(error.message, /model provider is at its limit/);
  assert.equal(proxy.upstream.calls.length, 1);
  assert.equal((await proxy.closedRows(1)).length, 1);
  assert.equal(await metricOf(proxy, 'llmproxy_refusals_total{fault="upstream_busy"}'), 1);
  for (const { Sdk } of SDKS) {
    const { client, attempts } = clientOf(Sdk, { url: proxy.url, token });
    await assert.rejects(Promise.resolve(client.messages.create(saying("hello"))), Sdk.RateLimitError);
    assert.equal(attempts(), 1);
  }
});

Deno.test("a client that leaves while its call waits is gone at once: no row, no call upstream, and the next one has its turn", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  proxy.upstream.answer(failing(429, { headers: { "retry-after": "2" } }));
  await statusOf(proxy, token);
  proxy.upstream.answer("default");
  const controller = new AbortController();
  const leaving = [false, true].map((stream) =>
    fetch(`${proxy.url}/v1/messages`, messageCall(token, { stream, signal: controller.signal }))
  );
  const staying = statusOf(proxy, token);
  await waitFor(async () => await metricOf(proxy, WAITING) === 3, { what: "the calls to wait" });
  controller.abort();
  for (const call of leaving) await assert.rejects(call);
  await waitFor(async () => await metricOf(proxy, WAITING) === 1, { what: "those that left to be gone" });
  assert.equal(proxy.upstream.calls.length, 1);
  assert.equal(await staying, 200);
  assert.equal((await proxy.closedRows(2)).length, 2);
  assert.equal(await metricOf(proxy, "llmproxy_buffered_bytes"), 0);
});

Deno.test("a drain ends the wait of calls with 503, and the proxy ends with 0", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  {
    await using upstream = await startFakeUpstream();
    const env = { LLMPROXY_DRAIN_LEAD_SECONDS: "1", LLMPROXY_DRAIN_SECONDS: "600" };
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    const token = await proxy.token();
    upstream.answer(failing(429, { headers: { "retry-after": "50" } }));
    await statusOf(proxy, token);
    const waiting = Promise.all([1, 2, 3].map(() => statusOf(proxy, token)));
    await waitFor(async () => await metricOf(proxy, WAITING) === 3, { what: "the calls to wait" });
    proxy.kill("SIGTERM");
    assert.deepEqual(await waiting, [503, 503, 503]);
    assert.equal((await proxy.exited()).code, 0);
    assert.equal(upstream.calls.length, 1);
  }
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("after a wait, workspaces take turns and conversations go before auxiliary calls, few at a time", async () => {
  await using proxy = await startProxy();
  const { upstream } = proxy;
  const greedy = await proxy.token("greedy", "g");
  const modest = await Promise.all([1, 2, 3].map((n) => proxy.token(`modest-${n}`, "m")));
  upstream.answer(failing(429, { headers: { "retry-after": "2" } }));
  await statusOf(proxy, greedy);
  upstream.answer("default");
  const calls = Array.from({ length: 12 }, (_, n) => statusOf(proxy, greedy, { trace: `greedy-${n}` }));
  await waitFor(async () => await metricOf(proxy, WAITING) === 12, { what: "the greedy calls to wait" });
  calls.push(statusOf(proxy, await proxy.token("aux", "a"), { trace: "auxiliary", requestClass: "auxiliary" }));
  for (const [n, token] of modest.entries()) calls.push(statusOf(proxy, token, { trace: `modest-${n}`, requestClass: "main" }));
  await waitFor(async () => await metricOf(proxy, WAITING) === 16, { what: "all calls to wait" });
  assert.deepEqual(await Promise.all(calls), Array(16).fill(200));

  const order = upstream.calls.slice(1).map((call) => call.header("x-trace-id")!);
  // One, two and four calls go at the first three steps; within a step any may come first.
  assert.match(order[0]!, /^greedy/);
  assert.deepEqual(order.slice(1, 3).toSorted(), ["modest-0", "modest-1"]);
  assert.ok(order.slice(3, 7).includes("modest-2"));
  assert.equal(order.at(-1), "auxiliary");
  const at = upstream.calls.map((call) => call.receivedAt);
  assert.ok(at[2]! - at[1]! > 150 && at[4]! - at[3]! > 150, "the calls were thrown at the upstream together");
});

Deno.test("a sandbox can have 64 calls waiting; further ones are refused, and those of another sandbox wait", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  proxy.upstream.answer(failing(429, { headers: { "retry-after": "50" } }));
  await statusOf(proxy, token);
  const controller = new AbortController();
  const call = () => fetch(`${proxy.url}/v1/messages`, messageCall(token, { signal: controller.signal }));
  const waiting = Array.from({ length: 64 }, () => call().catch(() => null));
  await waitFor(async () => await metricOf(proxy, WAITING) === 64, { what: "64 calls to wait" });
  assert.equal(await statusOf(proxy, token), 429);
  const other = await proxy.token("w1", "another");
  waiting.push(fetch(`${proxy.url}/v1/messages`, messageCall(other, { signal: controller.signal })).catch(() => null));
  await waitFor(async () => await metricOf(proxy, WAITING) === 65, { what: "another sandbox's call to wait" });
  controller.abort();
  await Promise.all(waiting);
  await waitFor(async () => await metricOf(proxy, WAITING) === 0, { what: "all to be gone" });
});

interface Asked {
  readonly stream?: boolean;
  readonly model?: string;
  readonly trace?: string;
  readonly requestClass?: string;
}

async function statusOf(proxy: Pick<ProxyUnderTest, "url">, token: string, asked: Asked = {}): Promise<number> {
  const { stream = false, model, trace, requestClass } = asked;
  const headers = {
    ...trace !== undefined && { "x-trace-id": trace },
    ...requestClass !== undefined && { "x-claude-code-request-class": requestClass },
  };
  const call = messageCall(token, { stream, headers });
  const body = model === undefined ? call.body! : String(call.body).replace(/"model":"[^"]+"/, `"model":"${model}"`);
  const answer = await fetch(`${proxy.url}/v1/messages`, { ...call, body });
  await answer.body?.cancel();
  return answer.status;
}

function message(call: SeenCall) {
  return json(messageBody({ id: call.messageId, model: "claude-haiku-4-5", usage: usageOf("hello"), deltas: 1 }));
}
