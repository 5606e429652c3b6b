import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import {
  BatchSpanProcessor,
  type ReadableSpan,
  type Span,
  type SpanExporter,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace";
import type { TracesOptions } from "../call_telemetry.ts";
import type { Outage } from "./outage.ts";

export interface SpanQueueOptions extends Pick<TracesOptions, "queueSize" | "batchSize" | "delayMs" | "timeoutMs"> {
  readonly exporter: SpanExporter;
  readonly outage: Outage;
}

/**
 * The SDK's batches, which hold a bounded number of spans. What they would drop in silence is
 * counted.
 */
export class SpanQueue implements SpanProcessor {
  readonly #batches: BatchSpanProcessor;
  readonly #queueSize: number;
  readonly #outage: Outage;
  #waiting = 0;

  constructor({ exporter, outage, queueSize, batchSize, delayMs, timeoutMs }: SpanQueueOptions) {
    this.#queueSize = queueSize;
    this.#outage = outage;
    const counted: SpanExporter = {
      export: (spans, told) => {
        this.#waiting -= spans.length;
        exporter.export(spans, (result: ExportResult) => {
          if (result.code !== ExportResultCode.SUCCESS) outage.lost(spans.length);
          told(result);
        });
      },
      shutdown: () => exporter.shutdown(),
    };
    this.#batches = new BatchSpanProcessor({
      exporter: counted,
      maxQueueSize: queueSize,
      maxExportBatchSize: batchSize,
      scheduledDelayMillis: delayMs,
      exportTimeoutMillis: timeoutMs,
    });
  }

  onStart(_span: Span): void {}

  onEnd(span: ReadableSpan): void {
    if (this.#waiting >= this.#queueSize) return this.#outage.lost(1);
    this.#waiting++;
    this.#batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown();
  }
}
