import { z } from "zod";
import {
  HEADER_NAME,
  oneOf,
  optional,
  parsed,
  secret,
  type Setting,
  setting,
  url,
  VISIBLE_ASCII,
  whole,
} from "./setting_kinds.ts";

/** What a header's value may hold between its first and its last character. */
const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const PROPAGATORS = ["tracecontext", "baggage", "none"];
const SAMPLERS = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;
/** An hour, in milliseconds. */
const LONGEST = 3_600_000;
const MOST_WAITING_SPANS = 100_000;

const protocol = oneOf("http/protobuf", "http/json");
const exporter = oneOf("otlp", "none");
const headers = z.string().refine((text) => headersOf(text) !== null, {
  error: "headers such as api-key=abc,x-tenant=blue, percent-encoded",
});
const attributes = parsed(
  "attributes such as deployment.environment.name=prod,team=blue, percent-encoded",
  (text) => pairsOf(text, (name) => VISIBLE_ASCII.test(name)),
);
const ratio = parsed("a number from 0 to 1", (text) => /^(?:0|0?\.\d{1,18}|1(?:\.0+)?)$/.test(text) ? Number(text) : null);
const propagators = parsed(`${PROPAGATORS.join(", ")}, with commas between them`, (text) => {
  const names = text.split(",").map((name) => name.trim());
  return names.every((name) => PROPAGATORS.includes(name)) ? names : null;
});
const milliseconds = whole("milliseconds", { min: 1, max: LONGEST, unit: 1 });
const spans = whole("spans", { min: 1, max: MOST_WAITING_SPANS, unit: 1 });

/**
 * The standard variables of OpenTelemetry that are honoured. The SDK itself reads none of them.
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 */
export const TELEMETRY_SETTINGS = {
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(url, "a receiver of OTLP over HTTP, without `/v1/traces`; if unset, no telemetry"),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: optional(url, "the whole URL for spans, instead"),
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: optional(url, "the whole URL for metrics, instead"),
  OTEL_EXPORTER_OTLP_PROTOCOL: setting(protocol, "http/protobuf", "`http/protobuf` or `http/json`"),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: optional(protocol, "the same for spans"),
  OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: optional(protocol, "the same for metrics"),
  OTEL_EXPORTER_OTLP_HEADERS: secret(headers, "headers for the receiver, such as `api-key=abc,x-tenant=blue`"),
  OTEL_EXPORTER_OTLP_TRACES_HEADERS: secret(headers, "more of them, for spans"),
  OTEL_EXPORTER_OTLP_METRICS_HEADERS: secret(headers, "more of them, for metrics"),
  OTEL_EXPORTER_OTLP_COMPRESSION: setting(oneOf("none", "gzip"), "none", "`gzip` saves network and costs processor time"),
  OTEL_EXPORTER_OTLP_TIMEOUT: setting(milliseconds, "10000", "milliseconds that the receiver has for one request"),
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: setting(
    oneOf("cumulative", "delta", "lowmemory"),
    "cumulative",
    "`cumulative`, `delta` or `lowmemory`",
  ),
  OTEL_SDK_DISABLED: setting(oneOf("true", "false"), "false", "`true`: no telemetry, whatever else is set"),
  OTEL_TRACES_EXPORTER: optional(exporter, "`none`: no spans; `otlp` without an endpoint: to `http://localhost:4318`"),
  OTEL_METRICS_EXPORTER: optional(exporter, "the same for metrics"),
  OTEL_SERVICE_NAME: setting(z.string(), "llmproxy", "`service.name` of spans and metrics"),
  OTEL_RESOURCE_ATTRIBUTES: optional(attributes, "more attributes of this program, such as `team=blue`"),
  OTEL_TRACES_SAMPLER: setting(
    oneOf(...SAMPLERS),
    "parentbased_always_on",
    "which calls get a span: [telemetry.md](telemetry.md)",
  ),
  OTEL_TRACES_SAMPLER_ARG: optional(ratio, "the share of traces, from `0` to `1`, for samplers with a ratio"),
  OTEL_PROPAGATORS: setting(propagators, "tracecontext,baggage", "without `tracecontext`, the client's trace passes untouched"),
  OTEL_BSP_SCHEDULE_DELAY: setting(milliseconds, "5000", "milliseconds between two batches of spans"),
  OTEL_BSP_MAX_QUEUE_SIZE: setting(spans, "2048", "spans that wait at most; more are dropped"),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: setting(spans, "512", "spans in one request at most"),
  OTEL_BSP_EXPORT_TIMEOUT: setting(milliseconds, "30000", "milliseconds for one batch, tries and pauses included"),
  OTEL_METRIC_EXPORT_INTERVAL: setting(milliseconds, "60000", "milliseconds between two requests with metrics"),
  OTEL_METRIC_EXPORT_TIMEOUT: setting(milliseconds, "30000", "milliseconds for one of them, tries and pauses included"),
} as const satisfies Record<string, Setting<unknown>>;

/** Headers from their text, `name=value` with commas between them; null if it is no such text. */
export function headersOf(text: string): Readonly<Record<string, string>> | null {
  const pairs = pairsOf(text, (name) => HEADER_NAME.test(name));
  return pairs !== null && Object.values(pairs).every((value) => HEADER_VALUE.test(value)) ? pairs : null;
}

/**
 * Pairs as W3C Baggage writes them, which the variables of OpenTelemetry follow.
 * https://www.w3.org/TR/baggage/
 */
function pairsOf(text: string, accepts: (name: string) => boolean): Readonly<Record<string, string>> | null {
  const pairs = text.split(",").map((pair) => pair.trim()).filter((pair) => pair !== "").map((pair) => {
    const at = pair.indexOf("=");
    return [decoded(pair.slice(0, Math.max(at, 0)).trim()), decoded(pair.slice(at + 1).trim())] as const;
  });
  const isGood = pairs.every(([name, value]) => name !== null && value !== null && accepts(name));
  return isGood ? Object.fromEntries(pairs) as Record<string, string> : null;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
