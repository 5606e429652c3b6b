import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { settlesWithin } from "../../async/deadline.ts";
import type { Observe } from "../../domain/observe.ts";
import type { CallTelemetry, MetricsOptions, SamplerOptions, TelemetryOptions, TracesOptions } from "../call_telemetry.ts";
import { Redactor } from "../redact.ts";
import { serverAttributes } from "./attributes.ts";
import { CallMetrics } from "./call_metrics.ts";
import { Exporters, type ExportersOptions } from "./exporters.ts";
import { Outage } from "./outage.ts";
import { SpanQueue } from "./span_queue.ts";
import { CallSpans } from "./spans.ts";

export interface TelemetryParts extends Pick<ExportersOptions, "headers" | "caCertificates"> {
  /** The program's own. */
  readonly version: string;
  /** Names this run of the process. */
  readonly instanceId: string;
  /** Its number, if it is one of several that serve calls. */
  readonly worker: number | null;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  /** Texts that must never leave; called for each call. */
  readonly secrets: () => readonly string[];
  readonly note: Observe["note"];
  /** Spans were dropped, because their receiver did not take them. */
  readonly spansLost: (count: number) => void;
}

const SCOPE = "llmproxy";
/** How long the end waits for what is still to be sent. */
const FLUSH_MS = 3_000;

/**
 * Starts OpenTelemetry's SDK for billed calls. Nothing is registered globally: with OTEL_DENO=true
 * the runtime has the global API.
 */
export function startTelemetry(options: TelemetryOptions, parts: TelemetryParts): CallTelemetry {
  const { version, now, note, spansLost, secrets } = parts;
  const outage = new Outage({ note, spansLost });
  const exporters = new Exporters({ ...parts, userAgent: `llmproxy/${version}`, outage });
  const redactor = new Redactor(secrets);
  const clean = (text: string) => redactor.text(text);
  const shared = { resource: resourceOf(options, parts), exporters, outage };
  const tracing = options.traces === null ? null : tracingOf(options.traces, shared);
  const metering = options.metrics === null ? null : meteringOf(options.metrics, shared);
  const spans = tracing === null ? null : new CallSpans({
    tracer: tracing.getTracer(SCOPE, version),
    propagates: options.traces!.propagates,
    now,
    clean,
  });
  const metrics = metering === null ? null : new CallMetrics(metering.getMeter(SCOPE, version), clean);
  const servers = new Map<string, ReturnType<typeof serverAttributes>>();

  function serverOf(upstreamUrl: string) {
    let server = servers.get(upstreamUrl);
    if (server === undefined) servers.set(upstreamUrl, server = serverAttributes(upstreamUrl));
    return server;
  }

  return {
    callBegan(call, headers) {
      redactor.refresh();
      return spans?.began(call, headers) ?? null;
    },
    callEnded(call, closing, { span, upstreamUrl }) {
      redactor.refresh();
      const server = serverOf(upstreamUrl);
      if (span !== null) spans?.ended(span, { call, closing, server });
      metrics?.ended(call, closing, server);
    },
    async end() {
      const sent = Promise.allSettled([tracing?.shutdown(), metering?.shutdown()]);
      if (!await settlesWithin(sent, FLUSH_MS)) {
        note("warn", "the last telemetry could not be sent in time and is dropped", { waitedMs: FLUSH_MS });
      }
      outage.end();
      exporters.close();
    },
  };
}

interface Shared {
  readonly resource: Resource;
  readonly exporters: Exporters;
  readonly outage: Outage;
}

function tracingOf(traces: TracesOptions, { resource, exporters, outage }: Shared): TracerProvider {
  const queue = new SpanQueue({ ...traces, exporter: exporters.traces(traces), outage });
  return new TracerProvider({ resource, sampler: samplerOf(traces.sampler), spanProcessors: [queue] });
}

function meteringOf(metrics: MetricsOptions, { resource, exporters }: Shared): MeterProvider {
  const reader = new PeriodicExportingMetricReader({
    exporter: exporters.metrics(metrics),
    exportIntervalMillis: metrics.intervalMs,
    // The SDK refuses a longer one than the interval.
    exportTimeoutMillis: Math.min(metrics.timeoutMs, metrics.intervalMs),
  });
  return new MeterProvider({ resource, readers: [reader] });
}

/** No two processes send metrics as one instance: their sums would overwrite each other. */
function resourceOf({ serviceName, attributes }: TelemetryOptions, { version, instanceId, worker }: TelemetryParts) {
  const named = attributes["service.instance.id"];
  return resourceFromAttributes({
    "service.version": version,
    ...attributes,
    "service.name": serviceName,
    "service.instance.id": named === undefined ? instanceId : worker === null ? named : `${named}/${worker}`,
  });
}

function samplerOf({ obeysParent, share }: SamplerOptions): Sampler {
  const root = share === 1 ? new AlwaysOnSampler() : share === 0 ? new AlwaysOffSampler() : new TraceIdRatioBasedSampler(share);
  return obeysParent ? new ParentBasedSampler({ root }) : root;
}
