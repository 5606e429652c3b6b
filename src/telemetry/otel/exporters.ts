import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { rootCertificates } from "node:tls";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { AggregationTemporalityPreference, OTLPMetricExporter as JsonMetrics } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as ProtobufMetrics } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter as JsonTraces } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufTraces } from "@opentelemetry/exporter-trace-otlp-proto";
import { CompressionAlgorithm } from "@opentelemetry/otlp-exporter-base";
import type { PushMetricExporter } from "@opentelemetry/sdk-metrics";
import type { SpanExporter } from "@opentelemetry/sdk-trace";
import type { MetricsOptions, Receiver, TracesOptions } from "../call_telemetry.ts";
import type { Outage } from "./outage.ts";

export interface ExportersOptions {
  /** Of a signal, for each request: an operator can rotate them. */
  readonly headers: () => Readonly<Record<"traces" | "metrics", Readonly<Record<string, string>>>>;
  /** PEM; null: the public certificates only. */
  readonly caCertificates: string | null;
  readonly userAgent: string;
  readonly outage: Outage;
}

const TEMPORALITIES = {
  cumulative: AggregationTemporalityPreference.CUMULATIVE,
  delta: AggregationTemporalityPreference.DELTA,
  lowmemory: AggregationTemporalityPreference.LOWMEMORY,
} as const;

/**
 * The SDK's exporters of OTLP over HTTP. Every option is given, because they would read the
 * environment for one that is not. They call receivers directly, through no forward proxy.
 */
export class Exporters {
  readonly #options: ExportersOptions;
  readonly #agents: (HttpAgent | HttpsAgent)[] = [];

  constructor(options: ExportersOptions) {
    this.#options = options;
  }

  traces({ receiver, timeoutMs }: TracesOptions): SpanExporter {
    const options = this.#optionsFor("traces", receiver, timeoutMs);
    const exporter = receiver.protocol === "http/json" ? new JsonTraces(options) : new ProtobufTraces(options);
    return this.#watched(exporter, { signal: "traces", receiver });
  }

  metrics({ receiver, temporality, intervalMs, timeoutMs }: MetricsOptions): PushMetricExporter {
    const options = {
      ...this.#optionsFor("metrics", receiver, Math.min(intervalMs, timeoutMs)),
      temporalityPreference: TEMPORALITIES[temporality],
    };
    const exporter = receiver.protocol === "http/json" ? new JsonMetrics(options) : new ProtobufMetrics(options);
    return this.#watched(exporter, { signal: "metrics", receiver });
  }

  /** Closes the connections. */
  close(): void {
    for (const agent of this.#agents) agent.destroy();
  }

  /** A request ends before the SDK waits for it no longer: the next one must not overtake it. */
  #optionsFor(signal: "traces" | "metrics", { url, compression, timeoutMs }: Receiver, mostMs: number) {
    const { headers, userAgent } = this.#options;
    return {
      url,
      headers: () => Promise.resolve({ ...headers()[signal] }),
      compression: compression === "gzip" ? CompressionAlgorithm.GZIP : CompressionAlgorithm.NONE,
      timeoutMillis: Math.min(timeoutMs, mostMs),
      userAgent,
      httpAgentOptions: (protocol: string) => this.#agentFor(protocol),
    };
  }

  #agentFor(protocol: string): HttpAgent | HttpsAgent {
    const { caCertificates } = this.#options;
    const ca = caCertificates === null ? {} : { ca: [...rootCertificates, caCertificates] };
    const agent = protocol === "https:" ? new HttpsAgent({ keepAlive: true, ...ca }) : new HttpAgent({ keepAlive: true });
    this.#agents.push(agent);
    return agent;
  }

  /** The same exporter; the outage learns what came of each request. */
  #watched<T extends { export(items: never, told: (result: ExportResult) => void): void }>(
    exporter: T,
    { signal, receiver: { url } }: { readonly signal: string; readonly receiver: Receiver },
  ): T {
    const { outage } = this.#options;
    // The log shows no path: some receivers want a key in it.
    const { origin } = new URL(url);
    const send = exporter.export.bind(exporter);
    exporter.export = (items: never, told: (result: ExportResult) => void) =>
      send(items, (result) => {
        if (result.code === ExportResultCode.SUCCESS) outage.sent(signal);
        else outage.failed(signal, { receiver: origin, error: result.error });
        told(result);
      });
    return exporter;
  }
}
