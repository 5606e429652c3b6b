import type { BatchLine, BatchStatus } from "../../domain/provider.ts";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { countOf, isRecord, textOf } from "./usage.ts";

/** Message batches (https://docs.anthropic.com/en/api/retrieving-message-batches). */
export function pathOf(id: string): string {
  return `/v1/messages/batches/${id}`;
}

/** A batch as it is retrieved. `results_url` leads away from the proxy: it only says that there are results. */
export function parseStatus(body: string): BatchStatus | null {
  const batch = recordIn(body);
  if (batch === null || typeof batch.processing_status !== "string") return null;
  const counts = isRecord(batch.request_counts) ? Object.values(batch.request_counts).map(countOf) : [null];
  return {
    hasEnded: batch.processing_status === "ended",
    hasResults: typeof batch.results_url === "string",
    lines: counts.reduce((sum, count) => sum === null || count === null ? null : sum + count, 0),
  };
}

/** One line of the results: `read` folds the message of one that succeeded. What is no result of a line is null. Never throws. */
export function parseLine(line: string, read: (message: Readonly<Record<string, unknown>>) => UsageReading): BatchLine | null {
  const parsed = recordIn(line);
  const customId = textOf(parsed?.custom_id);
  const result = parsed?.result;
  if (customId === null || !isRecord(result)) return null;
  if (result.type === "succeeded" && isRecord(result.message)) {
    const reading = read(result.message);
    return { customId, hasSucceeded: reading.errorType === null, reading };
  }
  return { customId, hasSucceeded: false, reading: { ...EMPTY_READING, errorType: errorTypeOf(result) } };
}

/** `errored` carries an error of the usual shape, one level further down; `canceled` and `expired` say it all. */
function errorTypeOf(result: Readonly<Record<string, unknown>>): string {
  const outer = isRecord(result.error) ? result.error : {};
  const error = isRecord(outer.error) ? outer.error : outer;
  return textOf(error.type) ?? textOf(result.type) ?? "error";
}

/**
 * Ids of the files that a server tool has made: they stand in the blocks of its results, as deep as it likes. What the model
 * wrote (the input of a tool) and what a web page or an MCP server said is not looked at: it could name anybody's.
 */
export function filesMadeIn(content: unknown): readonly string[] {
  const blocks = Array.isArray(content) ? content : [content];
  const results = blocks.filter((block) => isRecord(block) && /execution_tool_result$/.test(String(block.type)));
  const found: string[] = [];
  // A stack of our own: an answer may be nested deeper than calls can be.
  for (const waiting: unknown[] = [...results]; waiting.length > 0;) {
    const value = waiting.pop();
    if (Array.isArray(value)) {
      // One by one: a call takes no million arguments.
      for (const inner of value) waiting.push(inner);
    } else if (isRecord(value)) {
      if (typeof value.file_id === "string") found.push(value.file_id);
      for (const inner of Object.values(value)) if (typeof inner === "object") waiting.push(inner);
    }
  }
  return found;
}

function recordIn(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}
