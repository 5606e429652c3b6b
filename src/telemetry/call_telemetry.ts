import type { Fields } from "../domain/header_fields.ts";
import type { CallSpan } from "../domain/observe.ts";
import type { Closing, OpenCall } from "../domain/usage.ts";

/** What OpenTelemetry is told of billed calls. Never throws, and no call waits for it. */
export interface CallTelemetry {
  /** As `Observe.callBegan`. */
  readonly callBegan: (call: OpenCall, headers: Pick<Fields, "get">) => CallSpan | null;
  /** `span`: what `callBegan` returned. */
  readonly callEnded: (
    call: OpenCall,
    closing: Closing,
    more: { readonly span: CallSpan | null; readonly upstreamUrl: string },
  ) => void;
  /** Sends what waits, within a bound, and stops. */
  readonly end: () => Promise<void>;
}

/** What is sent, and where to. */
export interface TelemetryOptions {
  readonly serviceName: string;
  /** More attributes of the program that sends. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Null: no spans. */
  readonly traces: TracesOptions | null;
  /** Null: no metrics. */
  readonly metrics: MetricsOptions | null;
}

/** A server that takes OTLP over HTTP. */
export interface Receiver {
  readonly url: string;
  readonly protocol: "http/protobuf" | "http/json";
  readonly compression: "none" | "gzip";
  /** For one request, all tries together. */
  readonly timeoutMs: number;
}

export interface SamplerOptions {
  /** A client that says whether its trace is sampled is obeyed. */
  readonly obeysParent: boolean;
  /** Of the other traces, from 0 to 1. */
  readonly share: number;
}

export interface TracesOptions {
  readonly receiver: Receiver;
  readonly sampler: SamplerOptions;
  /** The client's trace is continued, and the upstream gets the span as its parent. */
  readonly propagates: boolean;
  /** Spans that wait; more are dropped. */
  readonly queueSize: number;
  readonly batchSize: number;
  readonly delayMs: number;
  readonly timeoutMs: number;
}

export interface MetricsOptions {
  readonly receiver: Receiver;
  readonly temporality: "cumulative" | "delta" | "lowmemory";
  readonly intervalMs: number;
  readonly timeoutMs: number;
}
