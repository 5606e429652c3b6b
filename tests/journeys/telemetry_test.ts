import assert from "node:assert/strict";
import { failing, type SeenCall } from "../fake_answers.ts";
import { type OtlpReceiver, type SeenSpan, startOtlpReceiver } from "../otlp_receiver.ts";
import { messageCall, type ProxyUnderTest, received, startProxy } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const PARENT = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "vendor=1" };
/** Of the fake upstream's answer to this text: input, output, cache writes and cache reads. */
const TEXT = "how much is it?";
const [INPUT, OUTPUT, WRITTEN, READ] = [15, 10_015, 20_030, 30_015];
/** https://opentelemetry.io/docs/specs/otlp: SPAN_KIND_CLIENT, STATUS_CODE_ERROR. */
const [CLIENT, ERROR] = [3, 2];
const SOON = { OTEL_BSP_SCHEDULE_DELAY: "50", OTEL_METRIC_EXPORT_INTERVAL: "500" };
const DURATION_BOUNDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const TOKEN_BOUNDS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];

const WAYS: readonly (readonly [protocol: string, contentType: string, compression: string])[] = [
  ["http/protobuf", "application/x-protobuf", "none"],
  ["http/protobuf", "application/x-protobuf", "gzip"],
  ["http/json", "application/json", "none"],
];

for (const [protocol, contentType, compression] of WAYS) {
  Deno.test(`a call is one span and the metrics at a receiver of OTLP, by ${protocol} with ${compression} compression`, async () => {
    await using receiver = startOtlpReceiver();
    await using proxy = await startProxy({
      env: {
        ...SOON,
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
        OTEL_EXPORTER_OTLP_COMPRESSION: compression,
        OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=blue%20sky,Authorization=Bearer key-of-the-receiver",
        OTEL_SERVICE_NAME: "proxy-7",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test,service.name=other",
      },
    });
    const before = Date.now();
    await call(proxy, { text: TEXT, stream: true, headers: { ...PARENT, "x-trace-id": "session-1" } });
    const [span, ...others] = await receiver.waitForSpans(1);
    assert.equal(others.length, 0);
    const [row] = await proxy.closedRows(1);

    assert.deepEqual([span!.name, span!.kind, span!.statusCode], ["chat claude-haiku-4-5", CLIENT, 0]);
    assert.deepEqual([span!.traceId, span!.parentSpanId, span!.traceState], [TRACE, SPAN, "vendor=1"]);
    assert.match(span!.spanId, /^[0-9a-f]{16}$/);
    assert.ok(before <= span!.startMs && span!.endMs <= Date.now(), JSON.stringify(span));
    assert.equal(span!.endMs - span!.startMs, row!.duration_ms);
    const server = serverOf(proxy);
    const common = { "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", ...server };
    const models = { "gen_ai.request.model": "claude-haiku-4-5", "gen_ai.response.model": "claude-haiku-4-5" };
    assert.deepEqual(span!.attributes, {
      ...common,
      ...models,
      "gen_ai.request.stream": true,
      "gen_ai.request.max_tokens": 64,
      "gen_ai.response.id": row!.message_id,
      "gen_ai.response.finish_reasons": ["end_turn"],
      "gen_ai.response.time_to_first_chunk": Number(row!.ttft_ms) / 1000,
      "gen_ai.conversation.id": "session-1",
      "gen_ai.usage.input_tokens": INPUT + WRITTEN + READ,
      "gen_ai.usage.output_tokens": OUTPUT,
      "gen_ai.usage.cache_creation.input_tokens": WRITTEN,
      "gen_ai.usage.cache_read.input_tokens": READ,
      "http.response.status_code": 200,
      "llmproxy.request_id": row!.id,
      "llmproxy.workspace_id": "w1",
      "llmproxy.sandbox_id": "s1",
      "llmproxy.client": row!.client,
      "llmproxy.upstream": "anthropic",
      "llmproxy.upstream_request_id": row!.upstream_request_id,
      "llmproxy.outcome": "completed",
      "llmproxy.accuracy": "exact",
      "llmproxy.cost_usd": Number(row!.cost) / 1e9,
    });
    const { "service.version": version, "service.instance.id": instance, ...resource } = span!.resource;
    assert.deepEqual(resource, { "service.name": "proxy-7", "deployment.environment.name": "test" });
    assert.match(`${version} ${instance}`, /^\d+\.\d+\.\d+ [0-9A-Z]{26}$/);

    const points = await waitFor(() => receiver.points().length >= 4 && receiver.points(), { what: "the metrics" });
    const shown = points.map(({ metric, unit, count, sum, bounds, temporality, attributes }) => {
      return { metric, unit, count, sum, bounds, temporality, attributes };
    });
    const point = { count: 1, temporality: 2, unit: "s", bounds: DURATION_BOUNDS, attributes: { ...common, ...models } };
    const tokens = { ...point, metric: "gen_ai.client.token.usage", unit: "{token}", bounds: TOKEN_BOUNDS };
    const typed = (type: string) => ({ ...common, ...models, "gen_ai.token.type": type });
    assert.deepEqual(shown, [
      { ...tokens, sum: INPUT + WRITTEN + READ, attributes: typed("input") },
      { ...tokens, sum: OUTPUT, attributes: typed("output") },
      { ...point, metric: "gen_ai.client.operation.duration", sum: Number(row!.duration_ms) / 1000 },
      { ...point, metric: "gen_ai.client.operation.time_to_first_chunk", sum: Number(row!.ttft_ms) / 1000 },
    ]);
    assert.deepEqual(points[0]!.resource, span!.resource);

    for (const { headers } of receiver.requests) {
      assert.equal(headers.get("content-type"), contentType);
      assert.equal(headers.get("content-encoding"), compression === "gzip" ? "gzip" : null);
      assert.equal(headers.get("x-tenant"), "blue sky");
      assert.equal(headers.get("authorization"), "Bearer key-of-the-receiver");
      assert.match(headers.get("user-agent")!, /^llmproxy\//);
    }
    assert.deepEqual(receiver.malformed, []);
    const line = linesOf(proxy).find(({ msg }) => msg === "call ended");
    assert.deepEqual([line?.trace_id, line?.span_id], [span!.traceId, span!.spanId]);
  });
}

Deno.test("the upstream gets the call's span as its parent, in the client's trace or in a new one", async () => {
  await using receiver = startOtlpReceiver();
  await using proxy = await startProxy({ env: { ...SOON, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } });
  const cases: readonly (readonly [headers: Readonly<Record<string, string>>, isContinued: boolean, state?: string])[] = [
    [{ ...PARENT, baggage: "team=blue" }, true, "vendor=1"],
    [{ ...PARENT, tracestate: "no list" }, true],
    [{}, false],
    // Not hexadecimal, no trace, two parents, and a state without a parent.
    [{ traceparent: `00-${TRACE.replace("0", "g")}-${SPAN}-01`, tracestate: "vendor=1" }, false],
    [{ traceparent: `00-${"0".repeat(32)}-${SPAN}-01` }, false],
    [{ traceparent: `${PARENT.traceparent}, ${PARENT.traceparent}` }, false],
    [{ tracestate: "vendor=1" }, false],
  ];
  for (const [number, [headers, isContinued, state]] of cases.entries()) {
    const what = JSON.stringify(headers);
    await call(proxy, { headers });
    const sent = await proxy.upstream.waitForCalls(number + 1);
    const span = (await receiver.waitForSpans(number + 1))[number]!;
    assert.deepEqual(valuesOf(sent, "traceparent"), [`00-${span.traceId}-${span.spanId}-01`], what);
    assert.deepEqual([span.traceId === TRACE, span.parentSpanId], [isContinued, isContinued ? SPAN : ""], what);
    assert.deepEqual(valuesOf(sent, "tracestate"), state === undefined ? [] : [state], what);
    assert.deepEqual(valuesOf(sent, "baggage"), "baggage" in headers ? ["team=blue"] : [], what);
  }
});

Deno.test("calls without a row keep the client's trace context, and are no spans", async () => {
  await using receiver = startOtlpReceiver();
  await using proxy = await startProxy({ env: { ...SOON, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } });
  await call(proxy, { headers: PARENT, path: "/v1/messages/count_tokens" });
  const sent = await proxy.upstream.waitForCalls(1);
  assert.deepEqual([valuesOf(sent, "traceparent"), valuesOf(sent, "tracestate")], [[PARENT.traceparent], ["vendor=1"]]);
  await call(proxy, { text: "the only span" });
  assert.equal((await receiver.waitForSpans(1)).length, 1);
});

const SAMPLED = PARENT.traceparent;
const UNSAMPLED = `00-${TRACE}-${SPAN}-00`;
const SAMPLERS: readonly (readonly [sampler: string, share: string, traceparent: string | null, isSampled: boolean])[] = [
  ["", "", null, true],
  ["", "", SAMPLED, true],
  ["", "", UNSAMPLED, false],
  ["always_on", "", UNSAMPLED, true],
  ["always_off", "", SAMPLED, false],
  ["traceidratio", "0", SAMPLED, false],
  ["traceidratio", "1", UNSAMPLED, true],
  ["parentbased_always_off", "", null, false],
  ["parentbased_always_off", "", SAMPLED, true],
  ["parentbased_traceidratio", "0", null, false],
  ["parentbased_traceidratio", "0", SAMPLED, true],
];

for (const [sampler, share, traceparent, isSampled] of SAMPLERS) {
  const from = traceparent === null ? "no trace" : traceparent === SAMPLED ? "a sampled trace" : "a trace that is not sampled";
  const name = `${sampler || "the default sampler"}${share === "" ? "" : ` of ${share}`}`;
  Deno.test(`${name} ${isSampled ? "keeps" : "leaves out"} a call in ${from}, and the upstream learns it`, async () => {
    await using receiver = startOtlpReceiver();
    await using proxy = await startProxy({
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: share },
    });
    await call(proxy, { headers: traceparent === null ? {} : { traceparent } });
    const [parent] = valuesOf(await proxy.upstream.waitForCalls(1), "traceparent");
    assert.match(parent!, isSampled ? /-01$/ : /-00$/);
    assert.equal(parent!.includes(TRACE), traceparent !== null);
    assert.ok(!parent!.includes(SPAN));
    await proxy.running.stop();
    assert.equal(receiver.spans().length, isSampled ? 1 : 0);
    assert.equal(pointOf(receiver, "gen_ai.client.operation.duration").count, 1, "metrics count all calls");
  });
}

Deno.test("the ratio of a sampler holds for traces of clients that do not decide", async () => {
  await using receiver = startOtlpReceiver();
  await using proxy = await startProxy({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.5" },
  });
  // The sampler decides by the trace's id alone: of these four, by its rule, the second and third.
  const ids = ["f".repeat(7) + "0".repeat(24) + "f", "1".padEnd(32, "0"), "7".padEnd(32, "0"), "c".padEnd(32, "0")];
  for (const id of ids) await call(proxy, { headers: { traceparent: `00-${id}-${SPAN}-00` } });
  await proxy.running.stop();
  assert.deepEqual(receiver.spans().map(({ traceId }) => traceId), [ids[1], ids[2]]);
});

Deno.test("without the propagator tracecontext, a span is alone and the client's trace context passes untouched", async () => {
  await using receiver = startOtlpReceiver();
  await using proxy = await startProxy({
    env: { ...SOON, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_PROPAGATORS: "none" },
  });
  await call(proxy, { headers: PARENT });
  const sent = await proxy.upstream.waitForCalls(1);
  const [span] = await receiver.waitForSpans(1);
  assert.deepEqual([valuesOf(sent, "traceparent"), valuesOf(sent, "tracestate")], [[PARENT.traceparent], ["vendor=1"]]);
  assert.deepEqual([span!.traceId === TRACE, span!.parentSpanId, span!.traceState], [false, "", ""]);
});

Deno.test("a call that fails is an error with its type, and one whose client leaves is not", async () => {
  await using receiver = startOtlpReceiver();
  await using proxy = await startProxy({ env: { ...SOON, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } });
  const { upstream } = proxy;
  upstream.answer(failing(529));
  await call(proxy);
  upstream.answer({ status: 418, body: "no JSON" });
  await call(proxy);
  upstream.answer("reset");
  await call(proxy);
  await receiver.waitForSpans(3);
  upstream.answer("stall");
  const leaving = new AbortController();
  const left = call(proxy, { stream: true, signal: leaving.signal }).catch(() => {});
  await upstream.waitForCalls(4);
  leaving.abort();
  await left;
  const spans = await receiver.waitForSpans(4);
  const shown = spans.map(({ statusCode, attributes }) => [
    statusCode,
    attributes["error.type"],
    attributes["http.response.status_code"],
    attributes["llmproxy.outcome"],
  ]);
  assert.deepEqual(shown, [
    [ERROR, "overloaded_error", 529, "upstream_error"],
    [ERROR, "418", 418, "upstream_error"],
    [ERROR, "upstream_unreachable", undefined, "upstream_broke"],
    [0, undefined, undefined, "client_left"],
  ]);
  for (const { attributes } of spans) {
    const known = Object.keys(attributes).filter((name) => /usage|response\.(model|id|finish|time)/.test(name));
    assert.deepEqual(known, []);
  }
  const durations = await waitFor(() => {
    const points = receiver.points().filter(({ metric }) => metric === "gen_ai.client.operation.duration");
    return points.length === 4 && points;
  }, { what: "a duration for each kind of end" });
  assert.deepEqual(durations.map(({ attributes }) => attributes["error.type"]).sort(), [
    "418",
    "overloaded_error",
    "upstream_unreachable",
    undefined,
  ]);
  assert.equal(receiver.points().length, 4, "calls without usage have no points of tokens");
});

Deno.test("made-up models cost spans an attribute, and metrics no series", async () => {
  await using receiver = startOtlpReceiver();
  await using proxy = await startProxy({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } });
  proxy.upstream.answer(failing(404));
  for (let n = 0; n < 5; n++) await call(proxy, { model: `made-up-${n}` });
  await proxy.running.stop();
  assert.deepEqual(receiver.spans().map(({ name }) => name), Array.from({ length: 5 }, (_, n) => `chat made-up-${n}`));
  const { count, attributes } = pointOf(receiver, "gen_ai.client.operation.duration");
  assert.deepEqual([count, attributes["gen_ai.request.model"]], [5, undefined]);
});

const OFF: readonly (readonly [what: string, env: Readonly<Record<string, string>>, signals: readonly string[]])[] = [
  ["no endpoint and no exporter", { OTEL_EXPORTER_OTLP_ENDPOINT: "" }, []],
  ["OTEL_SDK_DISABLED", { OTEL_SDK_DISABLED: "true" }, []],
  ["no exporter for spans", { OTEL_TRACES_EXPORTER: "none" }, ["metrics"]],
  ["no exporter for metrics", { OTEL_METRICS_EXPORTER: "none" }, ["traces"]],
];

for (const [what, env, signals] of OFF) {
  Deno.test(`with ${what} the receiver gets ${signals[0] ?? "nothing"}${signals.length === 0 ? "" : " alone"}`, async () => {
    await using receiver = startOtlpReceiver();
    await using proxy = await startProxy({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...env } });
    await call(proxy, { headers: PARENT });
    const [parent] = valuesOf(await proxy.upstream.waitForCalls(1), "traceparent");
    assert.equal(parent === PARENT.traceparent, !signals.includes("traces"));
    await proxy.running.stop();
    assert.deepEqual([...new Set(receiver.requests.map(({ signal }) => signal))], signals);
    const line = linesOf(proxy).find(({ msg }) => msg === "call ended");
    assert.equal("trace_id" in line!, signals.includes("traces"));
  });
}

interface Asked {
  readonly text?: string;
  readonly model?: string;
  readonly stream?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly signal?: AbortSignal;
}

/** One call, read to its end. */
async function call(proxy: ProxyUnderTest, { path = "/v1/messages", model, ...asked }: Asked = {}): Promise<Response> {
  const init = messageCall(await proxy.token(), asked);
  const body = model === undefined ? init.body! : JSON.stringify({ ...JSON.parse(init.body as string), model });
  const answer = await fetch(proxy.url + path, { ...init, body });
  await received(answer);
  return answer;
}

function valuesOf({ rawHeaders }: SeenCall, name: string): readonly string[] {
  return rawHeaders.filter(([other]) => other.toLowerCase() === name).map(([, value]) => value);
}

function serverOf({ upstream }: ProxyUnderTest): SeenSpan["attributes"] {
  const { hostname, port } = new URL(upstream.url);
  return { "server.address": hostname, "server.port": Number(port) };
}

function pointOf(receiver: OtlpReceiver, metric: string) {
  const points = receiver.points().filter((point) => point.metric === metric);
  assert.equal(points.length, 1, JSON.stringify(points));
  return points[0]!;
}

function linesOf({ logs }: ProxyUnderTest): readonly Readonly<Record<string, unknown>>[] {
  return logs.map((line) => JSON.parse(line));
}
