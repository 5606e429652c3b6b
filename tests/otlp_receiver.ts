/** A receiver of OTLP over HTTP, for all journeys: it shows what came on the wire. */
import { Buffer } from "node:buffer";
import { gunzipSync } from "node:zlib";
import { type Json, readOtlp } from "./otlp_wire.ts";
import { waitFor } from "./wait.ts";

export interface OtlpRequest {
  readonly signal: "traces" | "metrics";
  readonly headers: Headers;
  readonly message: Json;
  /** The body as it came, undone of gzip, byte for byte as Latin-1. */
  readonly text: string;
}

/** A span with its attributes by name, and those of the program that sent it. */
export interface SeenSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly statusCode: number;
  readonly attributes: Json;
  readonly resource: Json;
}

/** A point of a histogram. */
export interface SeenPoint {
  readonly metric: string;
  readonly unit: string;
  readonly count: number;
  readonly sum: number;
  readonly bounds: readonly number[];
  /** 1: delta, 2: cumulative. */
  readonly temporality: number;
  readonly attributes: Json;
  readonly resource: Json;
}

export interface OtlpReceiver extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly OtlpRequest[];
  readonly spans: () => readonly SeenSpan[];
  /** Of each series and process the latest, if it is cumulative. */
  readonly points: () => readonly SeenPoint[];
  /** Bodies that were no OTLP. */
  readonly malformed: readonly string[];
  /** Waits for that many spans. */
  readonly waitForSpans: (count: number) => Promise<readonly SeenSpan[]>;
  /** How requests are answered from now on. They are on record only if it is 200. */
  answer(status: number | "stall"): void;
  /** How many requests were not taken. */
  readonly refused: () => number;
}

export interface ReceiverOptions {
  readonly port?: number;
  readonly tls?: { readonly key: string; readonly cert: string };
}

export function startOtlpReceiver({ port = 0, tls }: ReceiverOptions = {}): OtlpReceiver {
  const requests: OtlpRequest[] = [];
  const malformed: string[] = [];
  const state = { answer: 200 as number | "stall", refused: 0 };
  const over = Promise.withResolvers<void>();

  async function handle(request: Request): Promise<Response> {
    const sent = new Uint8Array(await request.arrayBuffer());
    if (state.answer !== 200) {
      state.refused++;
      if (state.answer === "stall") await over.promise;
      return new Response("not now", { status: state.answer === "stall" ? 503 : state.answer });
    }
    const signal = /\/v1\/(traces|metrics)$/.exec(new URL(request.url).pathname)?.[1] as OtlpRequest["signal"] | undefined;
    if (request.method !== "POST" || signal === undefined) return new Response("nothing here", { status: 404 });
    const contentType = request.headers.get("content-type") ?? "";
    try {
      const body = request.headers.get("content-encoding") === "gzip" ? new Uint8Array(gunzipSync(sent)) : sent;
      const message = readOtlp(body, { contentType, signal });
      requests.push({ signal, headers: request.headers, message, text: Buffer.from(body).toString("latin1") });
    } catch (error) {
      malformed.push(`${error}`);
      return new Response("malformed", { status: 400 });
    }
    // Nothing was left out: https://opentelemetry.io/docs/specs/otlp/#full-success-1
    const whole = contentType === "application/json" ? "{}" : "";
    return new Response(whole, { headers: { "content-type": contentType } });
  }

  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {}, ...tls }, handle);
  const spans = () => requests.flatMap(({ message }) => spansOf(message));
  return {
    url: `${tls === undefined ? "http" : "https"}://${tls === undefined ? "127.0.0.1" : "localhost"}:${server.addr.port}`,
    requests,
    spans,
    points: () => latest(requests.flatMap(({ message }) => pointsOf(message))),
    malformed,
    waitForSpans: (count) => waitFor(() => spans().length >= count && spans(), { what: `${count} spans at the receiver` }),
    answer: (status) => void (state.answer = status),
    refused: () => state.refused,
    [Symbol.asyncDispose]: async () => {
      over.resolve();
      await server.shutdown();
    },
  };
}

// deno-lint-ignore no-explicit-any
type Tree = any;

function spansOf(message: Tree): readonly SeenSpan[] {
  return (message.resourceSpans ?? []).flatMap(({ resource, scopeSpans }: Tree) =>
    scopeSpans.flatMap(({ spans }: Tree) =>
      spans.map((span: Tree): SeenSpan => ({
        name: span.name,
        kind: span.kind,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? "",
        traceState: span.traceState ?? "",
        startMs: Number(BigInt(span.startTimeUnixNano) / 1_000_000n),
        endMs: Number(BigInt(span.endTimeUnixNano) / 1_000_000n),
        statusCode: span.status?.code ?? 0,
        attributes: attributesOf(span),
        resource: attributesOf(resource),
      }))
    )
  );
}

function pointsOf(message: Tree): readonly SeenPoint[] {
  return (message.resourceMetrics ?? []).flatMap(({ resource, scopeMetrics }: Tree) =>
    scopeMetrics.flatMap(({ metrics }: Tree) =>
      metrics.flatMap(({ name, unit, histogram }: Tree) =>
        histogram.dataPoints.map((point: Tree): SeenPoint => ({
          metric: name,
          unit,
          count: Number(point.count),
          sum: point.sum,
          bounds: point.explicitBounds,
          temporality: histogram.aggregationTemporality,
          attributes: attributesOf(point),
          resource: attributesOf(resource),
        }))
      )
    )
  );
}

function latest(points: readonly SeenPoint[]): readonly SeenPoint[] {
  const bySeries = new Map<string, SeenPoint>();
  points.forEach((point, number) => {
    const { metric, attributes, resource, temporality } = point;
    bySeries.set(JSON.stringify([metric, attributes, resource, temporality === 1 ? number : null]), point);
  });
  return [...bySeries.values()];
}

function attributesOf({ attributes }: Tree): Json {
  return Object.fromEntries((attributes ?? []).map(({ key, value }: Tree) => [key, plain(value)]));
}

/** An attribute's value is an object with one field, named by its type. */
function plain(value: Tree): unknown {
  const [[kind, inner] = [], ...others] = Object.entries<Tree>(value);
  if (kind === undefined || others.length > 0) throw new Error(`No value: ${JSON.stringify(value)}`);
  return kind === "arrayValue" ? inner.values.map(plain) : inner;
}
