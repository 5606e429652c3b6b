import type { BatchLine, BatchStatus } from "../../domain/provider.ts";
import { EMPTY_READING } from "../../domain/reading.ts";
import { readAnswer } from "./answer.ts";
import { countOf, isRecord, parsedRecord, textOf } from "../untrusted_json.ts";

/** A batch as it is retrieved. `results_url` is not used: it leads past the proxy. */
export function parseStatus(body: string): BatchStatus | null {
  const batch = parsedRecord(body);
  if (batch === null || typeof batch.processing_status !== "string") return null;
  const counts = isRecord(batch.request_counts) ? Object.values(batch.request_counts).map(countOf) : [null];
  return {
    hasEnded: batch.processing_status === "ended",
    hasResults: typeof batch.results_url === "string",
    lines: counts.reduce((sum, count) => sum === null || count === null ? null : sum + count, 0),
  };
}

/** One line of the results; null if it is not one. Never throws. */
export function parseLine(line: string): BatchLine | null {
  const parsed = parsedRecord(line);
  const customId = textOf(parsed?.custom_id);
  const result = parsed?.result;
  if (customId === null || !isRecord(result)) return null;
  if (result.type === "succeeded" && isRecord(result.message)) {
    const reading = readAnswer(result.message);
    return { customId, hasSucceeded: reading.errorType === null, reading };
  }
  return { customId, hasSucceeded: false, reading: { ...EMPTY_READING, errorType: errorTypeOf(result) } };
}

/** `errored` has an error one level further down than usual; `canceled` and `expired` have none. */
function errorTypeOf(result: Readonly<Record<string, unknown>>): string {
  const outer = isRecord(result.error) ? result.error : {};
  const error = isRecord(outer.error) ? outer.error : outer;
  return textOf(error.type) ?? textOf(result.type) ?? "error";
}
