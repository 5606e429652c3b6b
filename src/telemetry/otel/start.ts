import { resourceFromAttributes } from "@opentelemetry/resources";
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
import type { CallTelemetry, SamplerOptions, TelemetryOptions } from "../call_telemetry.ts";
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
}

const SCOPE = "llmproxy";
/** How long the end waits for what is still to be sent. */
const FLUSH_MS = 3_000;

/**
 * Starts OpenTelemetry's SDK for billed calls. Nothing is registered globally: with OTEL_DENO=true
 * the runtime has the global API.
 */
export function startTelemetry(options: TelemetryOptions, parts: TelemetryParts): CallTelemetry {
  const { version, now, note, secrets } = parts;
  const outage = new Outage(note);
  const exporters = new Exporters({ ...parts, userAgent: `llmproxy/${version}`, outage });
  const redactor = new Redactor(secrets);
  const clean = (text: string) => redactor.text(text);
  const resource = resourceOf(options, parts);
  const tracing = options.traces === null ? null : new TracerProvider({
    resource,
    sampler: samplerOf(options.traces.sampler),
    spanProcessors: [new SpanQueue({ ...options.traces, exporter: exporters.traces(options.traces), outage })],
  });
  const metering = options.metrics === null ? null : new MeterProvider({
    resource,
    readers: [
      new PeriodicExportingMetricReader({
        exporter: exporters.metrics(options.metrics),
        exportIntervalMillis: options.metrics.intervalMs,
        exportTimeoutMillis: Math.min(options.metrics.timeoutMs, options.metrics.intervalMs),
      }),
    ],
  });
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
