import { ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace, type Tracer } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import type { Fields } from "../../domain/header_fields.ts";
import type { CallSpan } from "../../domain/observe.ts";
import type { Closing, OpenCall } from "../../domain/usage.ts";
import { errorTypeOf, OPERATION, spanAttributes } from "./attributes.ts";

export interface CallSpansOptions {
  readonly tracer: Tracer;
  /** The client's trace is continued, and the upstream gets the span as its parent. */
  readonly propagates: boolean;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  /** The text without credentials. */
  readonly clean: (text: string) => string;
}

/** The span of a call that runs. */
class RunningSpan implements CallSpan {
  readonly span: Span;
  readonly startedAt: number;
  readonly headers: CallSpan["headers"];

  constructor(span: Span, { startedAt, headers }: Pick<RunningSpan, "startedAt" | "headers">) {
    [this.span, this.startedAt, this.headers] = [span, startedAt, headers];
  }

  get traceId(): string {
    return this.span.spanContext().traceId;
  }

  get spanId(): string {
    return this.span.spanContext().spanId;
  }
}

/** One span for each billed call: it begins at the admission and gets its attributes at the end. */
export class CallSpans {
  readonly #options: CallSpansOptions;
  readonly #w3c = new W3CTraceContextPropagator();

  constructor(options: CallSpansOptions) {
    this.#options = options;
  }

  began({ requestedModel }: OpenCall, headers: Pick<Fields, "get">): CallSpan {
    const { tracer, propagates, now, clean } = this.#options;
    const startedAt = now();
    const name = requestedModel === "" ? OPERATION : `${OPERATION} ${clean(requestedModel)}`;
    const parent = propagates ? this.#w3c.extract(ROOT_CONTEXT, headers, this.#getter) : ROOT_CONTEXT;
    const span = tracer.startSpan(name, { kind: SpanKind.CLIENT, startTime: timeOf(startedAt) }, parent);
    return new RunningSpan(span, { startedAt, headers: propagates ? this.#headersOf(span) : null });
  }

  ended(running: CallSpan, { call, closing, server }: {
    readonly call: OpenCall;
    readonly closing: Closing;
    readonly server: Readonly<Record<string, string | number>>;
  }): void {
    if (!(running instanceof RunningSpan)) return;
    const { span, startedAt } = running;
    const endedAt = timeOf(startedAt + (closing.duration ?? 0));
    if (!span.isRecording()) return span.end(endedAt);
    for (const [name, value] of Object.entries({ ...spanAttributes(call, closing), ...server })) {
      if (value !== undefined) span.setAttribute(name, this.#cleanValue(value));
    }
    if (errorTypeOf(closing) !== null) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end(endedAt);
  }

  #headersOf(span: Span): CallSpan["headers"] {
    const headers: (readonly [string, string])[] = [];
    this.#w3c.inject(trace.setSpan(ROOT_CONTEXT, span), headers, {
      set: (to, name, value) => {
        // An empty list is no valid header.
        if (value !== "") to.push([name, value]);
      },
    });
    return headers;
  }

  /** A `tracestate` that holds a credential of any shape would come out in the span. */
  readonly #getter = {
    get: (headers: Pick<Fields, "get">, name: string) => {
      const value = headers.get(name);
      return value === null || this.#options.clean(value) !== value ? undefined : value;
    },
    keys: () => [],
  };

  #cleanValue(value: string | number | boolean | readonly string[]): string | number | boolean | string[] {
    const { clean } = this.#options;
    if (typeof value === "string") return clean(value);
    return typeof value === "object" ? value.map(clean) : value;
  }
}

/** As seconds and nanoseconds: the SDK would take a small number for the process's own clock. */
function timeOf(ms: number): [seconds: number, nanoseconds: number] {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}
