import assert from "node:assert/strict";
import { startFakeUpstream } from "../fake_upstream.ts";
import { startOtlpReceiver } from "../otlp_receiver.ts";
import { metricOf } from "../process_metrics.ts";
import { type ProxyProcess, startProxyProcess } from "../proxy_process.ts";
import { messageCall, type ProxyUnderTest, received, startProxy } from "../proxy_under_test.ts";
import { certificates } from "../tls_upstream.ts";
import { waitFor } from "../wait.ts";

/** Small enough to be full after some calls. */
const QUEUE = { OTEL_BSP_MAX_QUEUE_SIZE: "8", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "4" };
/** The timeout is short, and long enough for a busy machine. */
const HASTY = { OTEL_BSP_SCHEDULE_DELAY: "20", OTEL_METRIC_EXPORT_INTERVAL: "1500", OTEL_EXPORTER_OTLP_TIMEOUT: "1500" };
const DOWN = /^telemetry cannot be sent/;
const AGAIN = "telemetry is sent again";
/** Three seconds for what is still to be sent, and those of a busy machine. */
const STOP_MS = 10_000;

Deno.test("while the receiver is down calls go on, an outage is one line, and spans beyond the queue are dropped and counted", async () => {
  const gone = startOtlpReceiver();
  await gone[Symbol.asyncDispose]();
  const env = { ...QUEUE, ...HASTY, OTEL_EXPORTER_OTLP_ENDPOINT: `${gone.url}/key-in-the-path` };
  await using proxy = await startProxy({ env });
  const token = await proxy.token();
  const during = 40;
  for (let n = 0; n < during; n++) assert.equal(await statusOf(proxy, token), 200);
  await waitFor(() => linesOf(proxy).some(({ msg }) => DOWN.test(String(msg))), { what: "the line about the outage" });

  await using receiver = startOtlpReceiver({ port: Number(new URL(gone.url).port) });
  let made = during;
  await waitFor(async () => {
    made++;
    assert.equal(await statusOf(proxy, token), 200);
    return linesOf(proxy).some(({ msg }) => msg === AGAIN);
  }, { what: "the end of the outage" });
  const counted = await metricOf(proxy, "llmproxy_lost_spans_total");
  await proxy.running.stop();
  const lines = linesOf(proxy).filter(({ msg }) => DOWN.test(String(msg)) || msg === AGAIN);
  assert.deepEqual(lines.map(({ level, msg }) => [level, msg === AGAIN]), [["warn", false], ["info", true]]);
  assert.match(JSON.stringify(lines[0]!.error), /ECONNREFUSED|refused/i);
  assert.equal(lines[0]!.receiver, gone.url);
  assert.ok(!proxy.logs.join("").includes("key-in-the-path"));
  const lost = Number(lines[1]!.lostSpans);
  assert.ok(lost > 0);
  assert.equal(counted, lost);
  assert.equal(receiver.spans().length + lost, made);
});

for (const status of [400, 401, 503, 429]) {
  Deno.test(`a receiver that answers ${status} delays no call and costs one line`, async () => {
    await using receiver = startOtlpReceiver();
    receiver.answer(status);
    await using proxy = await startProxy({ env: { ...HASTY, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } });
    const token = await proxy.token();
    for (let n = 0; n < 3; n++) {
      const before = receiver.refused();
      assert.equal(await statusOf(proxy, token), 200);
      await waitFor(() => receiver.refused() > before, { what: "a request to the receiver" });
    }
    await proxy.running.stop();
    assert.equal(linesOf(proxy).filter(({ msg }) => DOWN.test(String(msg))).length, 1);
  });
}

Deno.test("a receiver that never answers holds up neither a call nor the stop", async () => {
  await using receiver = startOtlpReceiver();
  receiver.answer("stall");
  await using proxy = await startProxy({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_SCHEDULE_DELAY: "10" } });
  const token = await proxy.token();
  for (let n = 0; n < 3; n++) assert.equal(await statusOf(proxy, token), 200);
  await waitFor(() => receiver.refused() > 0, { what: "a request to the receiver" });
  const before = performance.now();
  await proxy.running.stop();
  assert.ok(performance.now() - before < STOP_MS);
  assert.equal(linesOf(proxy).filter(({ msg }) => /the last telemetry could not be sent in time/.test(String(msg))).length, 1);
  assert.equal((await proxy.closedRows(3)).length, 3);
});

for (const workers of [1, 2]) {
  Deno.test(`${workers} process${workers > 1 ? "es" : ""} that serve${workers > 1 ? "" : "s"} send each call once, the last ones at the stop`, async () => {
    await using upstream = await startFakeUpstream();
    await using receiver = startOtlpReceiver();
    const dataDir = await Deno.makeTempDir();
    const env = { LLMPROXY_WORKERS: String(workers), OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
    const calls = 24;
    {
      await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env });
      const token = await proxy.token();
      await Promise.all(Array.from({ length: calls }, () => statusOf(proxy, token)));
      const rows = await proxy.closedRows(calls);
      assert.deepEqual(receiver.spans(), [], "the first batch is not due before five seconds");
      proxy.kill("SIGTERM");
      assert.equal((await proxy.exited()).code, 0);
      const spans = receiver.spans();
      assert.deepEqual(spans.map(({ attributes }) => attributes["llmproxy.request_id"]).sort(), rows.map(({ id }) => id).sort());
      const ended = proxy.logs().filter(({ msg }) => msg === "call ended");
      assert.deepEqual(ended.map(({ span_id }) => span_id).sort(), spans.map(({ spanId }) => spanId).sort());
    }
    const durations = receiver.points().filter(({ metric }) => metric === "gen_ai.client.operation.duration");
    assert.equal(durations.reduce((sum, { count }) => sum + count, 0), calls);
    const instances = durations.map(({ resource }) => resource["service.instance.id"]);
    assert.equal(new Set(instances).size, durations.length, "no two processes send one series");
    assert.ok(durations.length <= workers);
    await Deno.remove(dataDir, { recursive: true });
  });
}

Deno.test("a receiver with TLS is trusted by LLMPROXY_CA_FILE, and not without it", async () => {
  const { caPem, key, cert } = await certificates();
  await using receiver = startOtlpReceiver({ tls: { key, cert } });
  const caFile = await Deno.makeTempFile();
  await Deno.writeTextFile(caFile, caPem);
  for (const trusted of [true, false]) {
    const env = { ...HASTY, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, LLMPROXY_CA_FILE: trusted ? caFile : "" };
    await using proxy = await startProxy({ env });
    assert.equal(await statusOf(proxy, await proxy.token()), 200);
    const told = () => linesOf(proxy).find(({ msg }) => DOWN.test(String(msg)));
    if (trusted) await receiver.waitForSpans(1);
    else assert.match(JSON.stringify(await waitFor(() => told() ?? null, { what: "the line" })), /certificate|issuer/i);
    assert.equal(told() === undefined, trusted);
  }
  assert.equal(receiver.spans().length, 1);
  await Deno.remove(caFile);
});

Deno.test("a reload takes new headers for the receiver from their file, and no line shows them", async () => {
  await using receiver = startOtlpReceiver();
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "api-key=first-key-of-the-receiver\n");
  const env = { ...HASTY, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_EXPORTER_OTLP_TRACES_HEADERS_FILE: file };
  await using proxy = await startProxy({ env: { ...env, LLMPROXY_LOG_LEVEL: "trace" } });
  const token = await proxy.token();
  await statusOf(proxy, token);
  await receiver.waitForSpans(1);
  await Deno.writeTextFile(file, "api-key=second-key-of-the-receiver\n");
  proxy.running.reload();
  await statusOf(proxy, token);
  await receiver.waitForSpans(2);
  await waitFor(() => receiver.points().length > 0, { what: "metrics" });
  const keys = receiver.requests.map(({ signal, headers }) => `${signal} ${headers.get("api-key")}`);
  assert.deepEqual([...new Set(keys)].sort(), [
    "metrics null",
    "traces first-key-of-the-receiver",
    "traces second-key-of-the-receiver",
  ]);
  // A model of that name would show in a line, were it not for the redaction.
  await statusOf(proxy, token, "second-key-of-the-receiver");
  await receiver.waitForSpans(3);
  await proxy.running.stop();
  const key = /(first|second)-key-of-the-receiver/;
  assert.ok(!key.test(proxy.logs.join("")));
  assert.deepEqual(receiver.requests.filter(({ text }) => key.test(text)).map(({ signal }) => signal), []);
  await Deno.remove(file);
});

async function statusOf({ url }: ProxyUnderTest | ProxyProcess, token: string, model?: string): Promise<number> {
  const init = messageCall(token);
  const body = model === undefined ? init.body! : JSON.stringify({ ...JSON.parse(init.body as string), model });
  const answer = await fetch(`${url}/v1/messages`, { ...init, body });
  await received(answer);
  return answer.status;
}

function linesOf({ logs }: ProxyUnderTest): readonly Readonly<Record<string, unknown>>[] {
  return logs.map((line) => JSON.parse(line));
}
