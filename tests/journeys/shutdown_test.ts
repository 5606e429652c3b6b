import assert from "node:assert/strict";
import { eventStream, heldBefore, messageTo, type SeenCall } from "../fake_answers.ts";
import { firstUserText, messageEvents, usageOf } from "../fake_messages.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { assertExactRows, callAndRead, type SeenAnswer, textOf } from "../metered_calls.ts";
import { metricOf } from "../process_metrics.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { messageCall } from "../proxy_under_test.ts";
import { RawConnection } from "../raw_connection.ts";
import { gate, waitFor } from "../wait.ts";

const STREAMS = 50;
const UNANSWERED = 5;
/** Long enough for what must be seen within it, on a busy machine. */
const LEAD_SECONDS = 3;
/** The first delta has passed. */
const STARTED_EVENTS = 4;

Deno.test("SIGTERM refuses calls at once and connections after the lead, lets 50 streams finish and be recorded, then ends with 0", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await using upstream = await startFakeUpstream();
  const held = gate();
  upstream.answer((call) => halted(call, held.passed));
  {
    const env = { LLMPROXY_DRAIN_LEAD_SECONDS: String(LEAD_SECONDS), LLMPROXY_DRAIN_SECONDS: "600" };
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
    const token = await proxy.token();
    const running = streams(proxy, token);
    await upstream.waitForCalls(STREAMS, 10_000);
    using kept = new RawConnection(proxy.url);
    assert.deepEqual([(await readiness(kept)).status, await statusOf(`${proxy.adminUrl}/readyz`)], [200, 200]);

    const toldAt = performance.now();
    proxy.kill("SIGTERM");
    await draining(proxy);
    for (const url of [proxy.url, proxy.adminUrl]) await assertDraining(url);
    assert.equal((await readiness(kept)).status, 503);
    for (const path of ["/v1/messages", "/v1/messages/count_tokens"]) await assertRefused(proxy.url + path, token);
    assert.ok(performance.now() - toldAt < LEAD_SECONDS * 1_000, "the refusals were too slow to be those of the lead");

    await refusesConnections(proxy.url, LEAD_SECONDS * 1_000 + 5_000);
    assert.ok(performance.now() - toldAt >= LEAD_SECONDS * 1_000, "connections were refused before the lead was over");
    await assertDraining(proxy.adminUrl);
    assert.equal(await metricOf(proxy, "llmproxy_open_rows"), STREAMS);

    held.open();
    const answers = await running;
    await refusesConnections(proxy.adminUrl);
    assertExactRows(proxy.rows(), answers);
    assert.equal((await proxy.exited()).code, 0);
    assert.equal(upstream.calls.length, STREAMS);
  }
  await Deno.remove(dataDir, { recursive: true });
});

const CUTS: readonly (readonly [when: string, settings: readonly [lead: string, drain: string], then: "signal" | "nothing"])[] = [
  ["a second signal comes within the lead", ["600", "600"], "signal"],
  ["a second signal comes behind the lead", ["0", "600"], "signal"],
  ["LLMPROXY_DRAIN_SECONDS are over", ["0", "1"], "nothing"],
];
for (const [when, [lead, drain], then] of CUTS) {
  Deno.test(`SIGTERM cuts the calls that still run when ${when}, records each and ends with 0`, async () => {
    const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
    await using upstream = await startFakeUpstream();
    const never = gate();
    upstream.answer((call) => firstUserText(call.json()).startsWith("x") ? halted(call, never.passed) : "stall");
    {
      const env = { LLMPROXY_DRAIN_LEAD_SECONDS: lead, LLMPROXY_DRAIN_SECONDS: drain };
      await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
      const token = await proxy.token();
      const started = new Set<number>();
      const running = streams(proxy, token, { started });
      const unanswered = Promise.all(
        Array.from({ length: UNANSWERED }, (_, n) => callAndRead(proxy.url, { token, text: "no answer", stream: n % 2 === 0 })),
      );
      await upstream.waitForCalls(STREAMS + UNANSWERED, 10_000);
      await waitFor(() => started.size === STREAMS, { what: "the streams to begin", deadlineMs: 10_000 });

      proxy.kill("SIGTERM");
      await draining(proxy);
      if (lead === "0") await refusesConnections(proxy.url);
      if (then === "signal") proxy.kill("SIGINT");
      assert.equal((await proxy.exited()).code, 0);
      for (const answer of await running) {
        assert.deepEqual([answer.status, answer.isWhole], [200, false]);
        assert.ok(answer.error instanceof Error, "a cut stream ended tidily");
      }
      for (const answer of await unanswered) assert.equal(answer.status, 503);

      const rows = proxy.rows();
      assert.deepEqual(
        rows.map((row) => JSON.stringify([row.outcome, row.accuracy, row.status, row.input_tokens])).sort(),
        [
          ...Array.from({ length: STREAMS }, (_, n) => ["proxy_cut", "estimated", 200, usageOf(textOf(n)).input_tokens]),
          ...Array(UNANSWERED).fill(["proxy_cut", "unknown", null, 0]),
        ].map((row) => JSON.stringify(row)).sort(),
      );
    }
    never.open();
    await Deno.remove(dataDir, { recursive: true });
  });
}

/** A stream that has started and goes on when the promise resolves. */
function halted(call: SeenCall, until: Promise<void>) {
  return eventStream(heldBefore(messageEvents(messageTo(call)), { number: STARTED_EVENTS, until }));
}

/** `started` gets the number of each stream of which something has come. */
function streams(
  proxy: ProxyProcess,
  token: string,
  { started = new Set() }: { readonly started?: Set<number> } = {},
): Promise<SeenAnswer[]> {
  return Promise.all(
    Array.from({ length: STREAMS }, (_, n) => callAndRead(proxy.url, { token, text: textOf(n), onText: () => started.add(n) })),
  );
}

async function draining(proxy: ProxyProcess): Promise<void> {
  await waitFor(() => proxy.logs().some((record) => record.msg === "draining"), { what: "the proxy to drain" });
}

function readiness(connection: RawConnection) {
  return connection.send({ method: "GET", target: "/readyz", headers: [["host", "127.0.0.1"]] });
}

async function statusOf(url: string): Promise<number> {
  const answer = await fetch(url);
  await answer.body?.cancel();
  return answer.status;
}

async function assertDraining(url: string): Promise<void> {
  const answer = await fetch(`${url}/readyz`);
  assert.deepEqual([answer.status, await answer.json()], [503, { status: "unavailable", reason: "draining" }]);
}

async function assertRefused(url: string, token: string): Promise<void> {
  const answer = await fetch(url, messageCall(token));
  const body = await answer.json();
  assert.deepEqual([answer.status, body.type, body.error.type], [503, "error", "api_error"]);
  assert.match(answer.headers.get("retry-after") ?? "", /^[1-9]\d*$/);
}

async function refusesConnections(url: string, deadlineMs = 5_000): Promise<void> {
  const { hostname, port } = new URL(url);
  await waitFor(async () => {
    try {
      (await Deno.connect({ hostname, port: Number(port) })).close();
      return false;
    } catch (error) {
      // One that waits to be accepted when the listener closes is reset; those behind it are
      // refused.
      if (error instanceof Deno.errors.ConnectionReset) return false;
      if (error instanceof Deno.errors.ConnectionRefused) return true;
      throw error;
    }
  }, { what: `connections to be refused at ${url}`, deadlineMs });
}
