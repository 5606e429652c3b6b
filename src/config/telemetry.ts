import type { Receiver, SamplerOptions, TelemetryOptions } from "../telemetry/call_telemetry.ts";
import type { SettingsReader } from "./settings_reader.ts";
import { headersOf } from "./telemetry_settings.ts";

/** For each signal, what its receiver wants in the head of a request, such as an API key. */
export type TelemetryHeaders = Readonly<Record<"traces" | "metrics", Readonly<Record<string, string>>>>;

/** Where the specification has a receiver if the environment names none. */
const DEFAULT_ENDPOINT = "http://localhost:4318";
const SIGNALS = {
  TRACES: { exporter: "OTEL_TRACES_EXPORTER", path: "/v1/traces" },
  METRICS: { exporter: "OTEL_METRICS_EXPORTER", path: "/v1/metrics" },
} as const;
type Signal = keyof typeof SIGNALS;

/** Null if the environment names no receiver and no exporter, or turns telemetry off. */
export function readTelemetry(reader: SettingsReader): TelemetryOptions | null {
  if (reader.read("OTEL_SDK_DISABLED") === "true") return null;
  const [tracesUrl, metricsUrl] = [urlOf("TRACES", reader), urlOf("METRICS", reader)];
  if (tracesUrl === null && metricsUrl === null) return null;
  const attributes = reader.read("OTEL_RESOURCE_ATTRIBUTES") ?? {};
  const named = reader.isSet("OTEL_SERVICE_NAME") ? undefined : attributes["service.name"];
  return {
    serviceName: named ?? reader.read("OTEL_SERVICE_NAME"),
    attributes,
    traces: tracesUrl === null ? null : {
      receiver: receiverOf("TRACES", tracesUrl, reader),
      sampler: readSampler(reader),
      propagates: reader.read("OTEL_PROPAGATORS").includes("tracecontext"),
      ...readQueue(reader),
    },
    metrics: metricsUrl === null ? null : {
      receiver: receiverOf("METRICS", metricsUrl, reader),
      temporality: reader.read("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"),
      intervalMs: reader.read("OTEL_METRIC_EXPORT_INTERVAL"),
      timeoutMs: reader.read("OTEL_METRIC_EXPORT_TIMEOUT"),
    },
  };
}

export function readTelemetryHeaders(reader: SettingsReader): TelemetryHeaders {
  const common = headersOf(reader.read("OTEL_EXPORTER_OTLP_HEADERS") ?? "");
  const of = (signal: Signal) => ({ ...common, ...headersOf(reader.read(`OTEL_EXPORTER_OTLP_${signal}_HEADERS`) ?? "") });
  return { traces: of("TRACES"), metrics: of("METRICS") };
}

/** Where a signal goes; null: nowhere. */
function urlOf(signal: Signal, reader: SettingsReader): string | null {
  const { exporter, path } = SIGNALS[signal];
  const chosen = reader.read(exporter);
  if (chosen === "none") return null;
  const own = reader.read(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`);
  if (own !== null) return own;
  const endpoint = reader.read("OTEL_EXPORTER_OTLP_ENDPOINT") ?? (chosen === "otlp" ? DEFAULT_ENDPOINT : null);
  return endpoint === null ? null : endpoint + path;
}

function receiverOf(signal: Signal, url: string, reader: SettingsReader): Receiver {
  return {
    url,
    protocol: reader.read(`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`) ?? reader.read("OTEL_EXPORTER_OTLP_PROTOCOL"),
    compression: reader.read("OTEL_EXPORTER_OTLP_COMPRESSION"),
    timeoutMs: reader.read("OTEL_EXPORTER_OTLP_TIMEOUT"),
  };
}

function readSampler(reader: SettingsReader): SamplerOptions {
  const name = reader.read("OTEL_TRACES_SAMPLER");
  const ratio = reader.read("OTEL_TRACES_SAMPLER_ARG") ?? 1;
  return {
    obeysParent: name.startsWith("parentbased_"),
    share: name.endsWith("always_off") ? 0 : name.endsWith("always_on") ? 1 : ratio,
  };
}

function readQueue(reader: SettingsReader) {
  const queueSize = reader.read("OTEL_BSP_MAX_QUEUE_SIZE");
  const batchSize = reader.read("OTEL_BSP_MAX_EXPORT_BATCH_SIZE");
  if (batchSize > queueSize && reader.isSet("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")) {
    reader.complain(
      "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
      `Cannot send more spans at a time than wait: OTEL_BSP_MAX_QUEUE_SIZE is ${queueSize}`,
    );
  }
  return {
    queueSize,
    batchSize: Math.min(batchSize, queueSize),
    delayMs: reader.read("OTEL_BSP_SCHEDULE_DELAY"),
    timeoutMs: reader.read("OTEL_BSP_EXPORT_TIMEOUT"),
  };
}
