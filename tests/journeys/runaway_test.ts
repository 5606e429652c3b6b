import assert from "node:assert/strict";
import { limitedCall, quota, tenCentAnswer, tenCentEnv } from "../limited_calls.ts";
import { startProxyProcess } from "../proxy_process.ts";
import { startProxy } from "../proxy_under_test.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { waitFor } from "../wait.ts";

interface Message {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

Deno.test("a session that calls or spends too fast pauses, others go on, and the operator is told by webhook", async () => {
  await using hooks = hookReceiver();
  const env = {
    ...await tenCentEnv(),
    ...{ LLMPROXY_TRACE_COST_PER_HOUR: "0.50", LLMPROXY_PAUSE_SECONDS: "600", LLMPROXY_WEBHOOK_URL: hooks.url },
  };
  await using proxy = await startProxy({ env });
  proxy.upstream.answer((call) => tenCentAnswer(call));
  const token = await proxy.token("acme", "sb-1");
  for (let n = 0; n < 5; n++) assert.equal((await limitedCall(proxy.url, token, { trace: "fast" })).status, 200);
  for (let n = 0; n < 2; n++) {
    const { status, headers, error } = await limitedCall(proxy.url, token, { trace: "fast" });
    assert.equal(status, 429);
    assert.match(
      error!.message,
      /^Quota exceeded\. This session has used 0\.50 of its limit of 0\.50 dollars an hour \(cost_per_hour\), .* pauses until /,
    );
    const wait = Number(headers.get("retry-after"));
    assert.ok(wait > 590 && wait <= 600, `${wait} s`);
    assert.equal(headers.get("x-should-retry"), "false");
  }
  assert.equal((await limitedCall(proxy.url, token, { trace: "other" })).status, 200);
  await quota(proxy, "/acme/traces/busy", { max_calls_per_minute: 1 });
  const busy = [];
  for (let n = 0; n < 3; n++) busy.push((await limitedCall(proxy.url, token, { trace: "busy" })).status);
  // The minute may change once between the calls.
  assert.ok(busy.includes(429), String(busy));
  const paused = await hooks.received((message) => message.type === "trace.paused" && message.data.traceId === "fast");
  assert.deepEqual([paused.data.workspaceId, paused.data.sandboxId, paused.data.why], ["acme", "sb-1", "cost_per_hour"]);
  assert.equal(hooks.all().filter(({ data }) => data.traceId === "fast").length, 1);
  assert.ok(proxy.logs.some((line) => line.includes("a session was paused") && line.includes('"traceId":"fast"')));
});

Deno.test("with workers, a loop pauses its session, and the warnings of a limit come once", async () => {
  await using hooks = hookReceiver();
  await using upstream = await startFakeUpstream();
  upstream.answer((call) => tenCentAnswer(call));
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const env = { ...await tenCentEnv(), LLMPROXY_WORKERS: "2", LLMPROXY_LOOP_CALLS: "4", LLMPROXY_WEBHOOK_URL: hooks.url };
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    const token = await proxy.token("acme");
    const adminToken = proxy.env.LLMPROXY_ADMIN_TOKEN!;
    await quota({ adminUrl: proxy.adminUrl, adminToken }, "/acme", { max_cost_per_day_usd: "1" });
    // Each worker counts for itself: after 7 calls one of two has seen 4.
    const statuses = [];
    for (let n = 0; n < 9; n++) statuses.push((await limitedCall(proxy.url, token, { trace: "loop" })).status);
    assert.ok(statuses.includes(429), String(statuses));
    const paused = await hooks.received((message) => message.type === "trace.paused");
    assert.deepEqual([paused.data.traceId, paused.data.why], ["loop", "loop"]);
    for (let n = 0; n < 12; n++) await limitedCall(proxy.url, token, { trace: `other-${n}` });
    await hooks.received((message) => message.data.percent === 100);
    const warnings = hooks.all().filter(({ type }) => type === "limit.reached").map(({ data }) => data.percent);
    assert.deepEqual(warnings, [80, 100]);
  }
  await Deno.remove(dataDir, { recursive: true });
});

function hookReceiver() {
  const all: Message[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    all.push(await request.json());
    return new Response(null, { status: 204 });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    all: () => all,
    received: (which: (message: Message) => boolean) => waitFor(() => all.find(which) ?? null, { what: "the message" }),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
