import assert from "node:assert/strict";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { EMPTY_READING } from "../../domain/reading.ts";
import { type Closing, NO_COST, type OpenCall, UNSAID } from "../../domain/usage.ts";
import { CallSpans } from "./spans.ts";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const CALL: OpenCall = {
  ...UNSAID,
  ...{ id: "ar-1", instanceId: "i", workspaceId: "w", sandboxId: "s", traceId: "t", kind: "message", provider: "p" },
  ...{ requestedModel: "model-hush", streaming: false, createdAt: 1, maxTokens: null, requestBytes: 1 },
};
const CLOSING: Closing = {
  ...{ outcome: "completed", accuracy: "exact", status: 200, upstreamRequestId: null, duration: 1_500, ttft: null },
  ...NO_COST,
  reading: { ...EMPTY_READING, stopReason: "hush" },
};

Deno.test("CallSpans lets no credential into a name, an attribute or the trace's state", () => {
  const { spans, exporter } = started();
  const span = spans.began(CALL, new Headers({ traceparent: PARENT, tracestate: "vendor=hush" }));
  assert.deepEqual(span.headers?.map(([name]) => name), ["traceparent"]);
  spans.ended(span, { call: CALL, closing: CLOSING, server: {} });
  const [sent] = exporter.getFinishedSpans();
  assert.deepEqual([sent!.name, sent!.spanContext().traceState?.serialize() ?? ""], ["chat model-[redacted]", ""]);
  assert.equal(sent!.attributes["gen_ai.request.model"], "model-[redacted]");
  assert.deepEqual(sent!.attributes["gen_ai.response.finish_reasons"], ["[redacted]"]);
  assert.equal(sent!.parentSpanContext?.spanId, "b7ad6b7169203331");
});

Deno.test("CallSpans lasts as long as the row says, whatever the clock does meanwhile", () => {
  const { spans, exporter, clock } = started();
  clock.at = Date.UTC(2026, 0, 1, 0, 0, 0, 250);
  const span = spans.began(CALL, new Headers());
  // The clock is set back to before the process started.
  clock.at = 5;
  spans.ended(span, { call: CALL, closing: CLOSING, server: {} });
  const seconds = Date.UTC(2026, 0, 1) / 1000;
  const [sent] = exporter.getFinishedSpans();
  assert.deepEqual([sent!.startTime, sent!.endTime], [[seconds, 250_000_000], [seconds + 1, 750_000_000]]);
  spans.ended(spans.began(CALL, new Headers()), { call: CALL, closing: { ...CLOSING, duration: null }, server: {} });
  assert.deepEqual(exporter.getFinishedSpans()[1]!.startTime, [0, 5_000_000]);
});

function started() {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const clock = { at: 0 };
  const clean = (text: string) => text.replaceAll("hush", "[redacted]");
  const spans = new CallSpans({ tracer: provider.getTracer("test"), propagates: true, now: () => clock.at, clean });
  return { spans, exporter, clock };
}
