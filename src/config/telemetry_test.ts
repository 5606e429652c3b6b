import assert from "node:assert/strict";
import { loadConfigFromEnv, readSecrets } from "./config.ts";
import { ConfigProblems, type ConfigSource } from "./settings_reader.ts";

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: "https://otlp.test/base/" };

Deno.test("readTelemetry() is null unless the environment names an endpoint or an exporter", () => {
  const off: readonly Readonly<Record<string, string>>[] = [
    {},
    { OTEL_SERVICE_NAME: "x", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc", OTEL_TRACES_SAMPLER: "jaeger_remote" },
    { ...ENDPOINT, OTEL_SDK_DISABLED: "true" },
    { ...ENDPOINT, OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" },
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://t/x", OTEL_TRACES_EXPORTER: "none" },
  ];
  for (const env of off) assert.equal(telemetryOf(env), null, JSON.stringify(env));
});

Deno.test("readTelemetry() has the defaults of the specification", () => {
  assert.deepEqual(telemetryOf(ENDPOINT), {
    serviceName: "llmproxy",
    attributes: {},
    traces: {
      receiver: {
        url: "https://otlp.test/base/v1/traces",
        protocol: "http/protobuf",
        compression: "none",
        timeoutMs: 10_000,
      },
      sampler: { obeysParent: true, share: 1 },
      propagates: true,
      queueSize: 2_048,
      batchSize: 512,
      delayMs: 5_000,
      timeoutMs: 30_000,
    },
    metrics: {
      receiver: {
        url: "https://otlp.test/base/v1/metrics",
        protocol: "http/protobuf",
        compression: "none",
        timeoutMs: 10_000,
      },
      temporality: "cumulative",
      intervalMs: 60_000,
      timeoutMs: 30_000,
    },
  });
});

Deno.test("readTelemetry() prefers what is said of one signal, and sends to localhost if only an exporter is named", () => {
  const own = telemetryOf({
    ...ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://spans.test/in",
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: "http/json",
  })!;
  assert.deepEqual([own.traces!.receiver.url, own.traces!.receiver.protocol], ["http://spans.test/in", "http/protobuf"]);
  assert.deepEqual([own.metrics!.receiver.url, own.metrics!.receiver.protocol], [
    "https://otlp.test/base/v1/metrics",
    "http/json",
  ]);
  const local = telemetryOf({ OTEL_TRACES_EXPORTER: "otlp" })!;
  assert.deepEqual([local.traces!.receiver.url, local.metrics], ["http://localhost:4318/v1/traces", null]);
});

Deno.test("readTelemetry() knows the samplers by their names", () => {
  const samplers: Readonly<Record<string, readonly [obeysParent: boolean, share: number]>> = {
    always_on: [false, 1],
    always_off: [false, 0],
    traceidratio: [false, 0.25],
    parentbased_always_on: [true, 1],
    parentbased_always_off: [true, 0],
    parentbased_traceidratio: [true, 0.25],
  };
  for (const [name, [obeysParent, share]] of Object.entries(samplers)) {
    const telemetry = telemetryOf({ ...ENDPOINT, OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: "0.25" });
    assert.deepEqual(telemetry!.traces!.sampler, { obeysParent, share }, name);
  }
  const whole = telemetryOf({ ...ENDPOINT, OTEL_TRACES_SAMPLER: "traceidratio" });
  assert.equal(whole!.traces!.sampler.share, 1);
});

Deno.test("readTelemetry() takes attributes percent-encoded, and the service's name from them if none is set", () => {
  const attributes = "deployment.environment.name=prod%2Ceu, team = blue ,service.name=from-attributes";
  const telemetry = telemetryOf({ ...ENDPOINT, OTEL_RESOURCE_ATTRIBUTES: attributes })!;
  assert.equal(telemetry.serviceName, "from-attributes");
  assert.deepEqual(telemetry.attributes, {
    "deployment.environment.name": "prod,eu",
    team: "blue",
    "service.name": "from-attributes",
  });
  const named = telemetryOf({ ...ENDPOINT, OTEL_RESOURCE_ATTRIBUTES: attributes, OTEL_SERVICE_NAME: "by-name" })!;
  assert.equal(named.serviceName, "by-name");
});

Deno.test("readTelemetryHeaders() joins the headers of all signals with those of one", () => {
  const { telemetryHeaders } = readSecrets(source({
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20YTpi,x-tenant=blue",
    OTEL_EXPORTER_OTLP_METRICS_HEADERS: "x-tenant=red,x-raw=Bearer abc",
  }));
  assert.deepEqual(telemetryHeaders, {
    traces: { authorization: "Basic YTpi", "x-tenant": "blue" },
    metrics: { authorization: "Basic YTpi", "x-tenant": "red", "x-raw": "Bearer abc" },
  });
});

const PROBLEMS: readonly (readonly [env: Readonly<Record<string, string>>, problem: RegExp])[] = [
  [
    { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
    /^Cannot read OTEL_EXPORTER_OTLP_PROTOCOL as one of http\/protobuf, http\/json: .* "grpc"$/,
  ],
  [{ OTEL_TRACES_EXPORTER: "zipkin" }, /^Cannot read OTEL_TRACES_EXPORTER as one of otlp, none: current value is "zipkin"$/],
  [{ OTEL_TRACES_SAMPLER: "half" }, /^Cannot read OTEL_TRACES_SAMPLER as one of always_on, .*: current value is "half"$/],
  [{ OTEL_TRACES_SAMPLER_ARG: "1.5" }, /^Cannot read OTEL_TRACES_SAMPLER_ARG as a number from 0 to 1: current value is "1.5"$/],
  [{ OTEL_PROPAGATORS: "b3" }, /^Cannot read OTEL_PROPAGATORS as tracecontext, baggage, none, .*: current value is "b3"$/],
  [
    { OTEL_RESOURCE_ATTRIBUTES: "team" },
    /^Cannot read OTEL_RESOURCE_ATTRIBUTES as attributes such as .*: current value is "team"$/,
  ],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "otel:4317" }, /^Cannot read OTEL_EXPORTER_OTLP_ENDPOINT as an http or https URL/],
  [{ OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "4096" }, /^Cannot send more spans at a time than wait: .* 2048: current value is "4096"$/],
  [
    { OTEL_EXPORTER_OTLP_HEADERS: "hush-hush" },
    /^Cannot read OTEL_EXPORTER_OTLP_HEADERS as headers such as api-key=abc,x-tenant=blue, percent-encoded$/,
  ],
  [{ OTEL_EXPORTER_OTLP_HEADERS: "a=hush%0ahush" }, /^Cannot read OTEL_EXPORTER_OTLP_HEADERS as headers/],
];

for (const [env, problem] of PROBLEMS) {
  Deno.test(`loadConfigFromEnv() refuses ${Object.keys(env)[0]}=${Object.values(env)[0]}, and shows no header`, () => {
    assert.throws(() => telemetryOf({ ...ENDPOINT, ...env }), (error) => {
      assert.ok(error instanceof ConfigProblems);
      assert.equal(error.problems.length, 1, error.message);
      assert.match(error.problems[0]!, problem);
      return !/hush/.test(error.message);
    });
  });
}

Deno.test("loadConfigFromEnv() warns of variables of OpenTelemetry that it does not honour, if there is telemetry", () => {
  const others = { OTEL_LOGS_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_CERTIFICATE: "/ca.pem", OTEL_DENO: "true" };
  const expected = ["OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_LOGS_EXPORTER"]
    .map((name) => `${name} is not a setting of llmproxy and is ignored`);
  assert.deepEqual(loadConfigFromEnv(source({ ...ENDPOINT, ...others })).warnings, expected);
  assert.deepEqual(loadConfigFromEnv(source(others)).warnings, []);
});

Deno.test("loadConfigFromEnv() warns of headers that go unencrypted to another machine", () => {
  const of = (env: Readonly<Record<string, string>>) => loadConfigFromEnv(source(env)).warnings.length;
  const headers = { OTEL_EXPORTER_OTLP_HEADERS: "api-key=hush" };
  assert.equal(of({ ...headers, OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }), 2);
  assert.equal(of({ ...headers, OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" }), 0);
  assert.equal(of({ ...headers, ...ENDPOINT }), 0);
  assert.equal(of({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }), 0);
});

function telemetryOf(env: Readonly<Record<string, string>>) {
  return loadConfigFromEnv(source(env)).telemetry;
}

function source(over: Readonly<Record<string, string>>): ConfigSource {
  const env: Readonly<Record<string, string>> = { ANTHROPIC_API_KEY: "key", ...over };
  return { env: (name) => env[name], names: Object.keys(env), readFile: () => assert.fail("no file was to be read") };
}
