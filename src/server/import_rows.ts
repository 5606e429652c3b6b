import { createHash } from "node:crypto";
import type { ImportedUsage, ImportRows } from "../domain/imported_rows.ts";
import { priceIn, type PriceOf } from "../domain/price.ts";
import { EMPTY_READING, type UsageReading } from "../domain/reading.ts";
import type { Store } from "../domain/store.ts";
import { cutClientString } from "../domain/text.ts";
import { MAX_TRACE_ID_LENGTH, type Trace } from "../domain/trace.ts";
import { ABSURD_USAGE, type Closing, NO_COST, REVISION, UNSAID, type UsageRow } from "../domain/usage.ts";

/** Stands for the run of the proxy in imported rows. */
const INSTANCE_ID = "imported";
/** Higher than for an upstream's answer. Sums of millions of such rows still fit. */
const MAX_IMPORTED_COUNT = 1_000_000_000_000;
const OUR_ROW = /^ar-[\x21-\x7e]{1,125}$/;
const OUR_TRACE = new RegExp(`^[\\x21-\\x7e]{1,${MAX_TRACE_ID_LENGTH}}$`);

/** Imports rows of the Go program: priced at their own time, with the same ids every time. */
export function importInto(store: Pick<Store, "recordUsage" | "recordTraces">, priceOf: PriceOf): ImportRows {
  return async ({ traces, usage }) => {
    const rows = usage.map((row) => usageRowOf(row, priceOf));
    await store.recordTraces([...traces.map(ourTrace), ...rows.map(traceOfRow)]);
    await store.recordUsage(rows);
    return { unpriced: rows.filter(({ closing }) => closing.cost === null && closing.accuracy !== "unknown").length };
  };
}

function usageRowOf(row: ImportedUsage, priceOf: PriceOf): UsageRow {
  const model = cutClientString(row.model);
  const messageId = row.messageId === null ? null : cutClientString(row.messageId);
  const provider = cutClientString(row.provider);
  const empty: UsageReading = { ...EMPTY_READING, servedModel: model, messageId };
  const { inputTokens, outputTokens, cacheCreationInputTokens, cacheReadInputTokens } = row;
  const counts = { inputTokens, outputTokens, cacheCreationInputTokens, cacheReadInputTokens };
  // The Go program kept no split; 5 minutes is the default of clients.
  const reading = { ...empty, ...counts, cacheCreation5mTokens: cacheCreationInputTokens };
  const account: Pick<Closing, "reading" | "accuracy" | "cost" | "priceVersion" | "unpricedUses"> =
    Object.values(counts).some((count) => count > MAX_IMPORTED_COUNT)
      ? { reading: { ...empty, errorType: ABSURD_USAGE }, accuracy: "unknown", ...NO_COST }
      : {
        reading,
        ...priceIn(priceOf({ ...reading, kind: "message", provider }, row.createdAt), { accuracy: "exact", reading }),
      };
  return {
    call: {
      id: OUR_ROW.test(row.id) ? row.id : mapped("ar", row.id),
      instanceId: INSTANCE_ID,
      workspaceId: cutClientString(row.workspaceId),
      sandboxId: cutClientString(row.sandboxId),
      traceId: row.traceId === null ? mapped("at", row.id) : traceIdOf(row.traceId),
      kind: "message",
      provider,
      requestedModel: model,
      streaming: row.streaming,
      createdAt: row.createdAt,
      maxTokens: null,
      requestBytes: 0,
      ...UNSAID,
    },
    closing: {
      outcome: "completed",
      status: null,
      upstreamRequestId: null,
      duration: row.duration,
      ttft: row.ttft === 0 ? null : row.ttft,
      ...account,
    },
    revision: REVISION.closed,
  };
}

/** An existing trace keeps its source; its activity moves on. */
function traceOfRow({ call }: UsageRow): Trace {
  return {
    id: call.traceId,
    workspaceId: call.workspaceId,
    sandboxId: call.sandboxId,
    source: "auto",
    createdAt: call.createdAt,
    updatedAt: call.createdAt,
  };
}

function ourTrace(trace: Trace): Trace {
  return {
    ...trace,
    id: traceIdOf(trace.id),
    workspaceId: cutClientString(trace.workspaceId),
    sandboxId: cutClientString(trace.sandboxId),
    source: cutClientString(trace.source),
  };
}

function traceIdOf(id: string): string {
  return OUR_TRACE.test(id) ? id : mapped("at", id);
}

/** An id of our form, always the same one for an id. */
function mapped(prefix: "ar" | "at", id: string): string {
  return `${prefix}-${createHash("sha256").update(id).digest("hex").slice(0, 32)}`;
}
