import { type AccountingDeps, accountOf, accuracyOf } from "../domain/account.ts";
import type { AnswerDialect, BatchLine } from "../domain/provider.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import { type Closing, type OpenCall, REVISION, type UsageRow } from "../domain/usage.ts";
import { hashedDigits } from "../wire/hashed_digits.ts";

const ID_DIGITS = 26;

/**
 * The row of one line of a batch's results; null stands for a line that cannot be read. Its key is
 * made from the batch and the line's own id, so that each line is one row, however often it is
 * read.
 */
export function rowOfLine(
  line: BatchLine | null,
  options: {
    readonly number: number;
    readonly call: OpenCall;
    readonly answer: AnswerDialect;
    readonly deps: AccountingDeps;
  },
): UsageRow {
  const { number, answer, deps } = options;
  const customId = line?.customId ?? null;
  const batchId = options.call.batchId ?? "";
  const call: OpenCall = { ...options.call, id: lineId(batchId, customId ?? { number }), customId };
  const accuracy = line === null ? "unknown" : line.hasSucceeded ? accuracyOf(line.reading) : "exact";
  const closing: Closing = {
    outcome: line === null ? "unknown" : line.hasSucceeded ? "completed" : "upstream_error",
    status: null,
    upstreamRequestId: null,
    duration: null,
    ttft: null,
    ...accountOf(line?.reading ?? EMPTY_READING, { accuracy, call, answer, deps }),
  };
  return { call, closing, revision: REVISION.closed };
}

/** `ar-` and the first 130 bits of a SHA-256. A line without an id is named by its number. */
function lineId(batchId: string, name: string | { readonly number: number }): string {
  return `ar-${hashedDigits([batchId, name], ID_DIGITS)}`;
}
