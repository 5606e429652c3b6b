import assert from "node:assert/strict";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { type ReadableSpan, type SpanExporter, TracerProvider } from "@opentelemetry/sdk-trace";
import { waitFor } from "../../../tests/wait.ts";
import { Outage } from "./outage.ts";
import { SpanQueue } from "./span_queue.ts";

const DELAY_MS = 3_600_000;

Deno.test("SpanQueue holds a bounded number of spans, and counts each that it drops or that is not taken", async () => {
  const lines: string[] = [];
  const outage = new Outage({
    note: (level, message, fields) => void lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
    spansLost: () => {},
  });
  const sent: string[][] = [];
  const pending: ((result: ExportResult) => void)[] = [];
  const exporter: SpanExporter = {
    export(spans: ReadableSpan[], told) {
      sent.push(spans.map(({ name }) => name));
      pending.push(told);
    },
    shutdown: () => Promise.resolve(),
  };
  const queue = new SpanQueue({ exporter, outage, queueSize: 3, batchSize: 2, delayMs: DELAY_MS, timeoutMs: DELAY_MS });
  const tracer = new TracerProvider({ spanProcessors: [queue] }).getTracer("test");
  const end = (name: string) => tracer.startSpan(name).end();

  // Two are a batch and under way; three wait; two are too many.
  for (const name of ["1", "2", "3", "4", "5", "6", "7"]) end(name);
  assert.deepEqual(sent, [["1", "2"]]);
  outage.failed("traces", { receiver: "http://receiver.test", error: new Error("away") });
  pending[0]!({ code: ExportResultCode.FAILED });
  const ended = queue.shutdown();
  await waitFor(() => sent.length === 3, { what: "the rest of the queue" });
  assert.deepEqual(sent.slice(1), [["3", "4"], ["5"]]);
  for (const told of pending.slice(1)) told({ code: ExportResultCode.SUCCESS });
  await ended;
  outage.sent("traces");
  assert.match(lines.join("\n"), /^warn telemetry cannot be sent.*\ninfo telemetry is sent again \{"lostSpans":4\}$/);
});
