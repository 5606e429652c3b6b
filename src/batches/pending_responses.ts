import { type AccountingDeps, accountOf, accuracyOf } from "../domain/account.ts";
import type { PendingDialect } from "../domain/provider.ts";
import type { UsageReading } from "../domain/reading.ts";
import { type OpenCall, REVISION, type UsageRow } from "../domain/usage.ts";
import { type BatchAsked, type BatchSource, fetchText } from "./results.ts";

/** A response with all that it echoes of its request. */
const MAX_RESPONSE_BYTES = 32 * 1024 * 1024;

/** Null while it is still being made. Rejects as `fetchStatus` does. */
export async function fetchPending(
  asked: BatchAsked,
  { pathOf, answer, geoOf }: PendingDialect,
  source: Omit<BatchSource, "dialect">,
): Promise<UsageReading | null> {
  const text = await fetchText(asked, { path: pathOf(asked.id), maxBytes: MAX_RESPONSE_BYTES, source });
  const reading = answer.parseNonStreamingResponse(text);
  if (!reading.isWhole || reading.messageId !== asked.id) {
    throw new Error("Cannot read the response: the upstream's answer is another one");
  }
  if (reading.isPending) return null;
  const { baseUrl } = source.upstream.credentials.holding(asked.heldBy);
  return { ...reading, inferenceGeo: reading.inferenceGeo ?? geoOf?.(baseUrl) ?? null };
}

/**
 * The row of the call that asked for the response, as it is now that the response is there. It
 * takes the place of the row that the call closed with, however often it is written.
 */
export function rowOfPending(
  reading: UsageReading,
  { call, answer, deps }: {
    readonly call: OpenCall;
    readonly answer: PendingDialect["answer"];
    readonly deps: AccountingDeps;
  },
): UsageRow {
  const account = accountOf(reading, { accuracy: accuracyOf(reading), call, answer, deps });
  const outcome = reading.errorType === null ? "completed" : "upstream_error";
  const closing = { outcome, status: 200, upstreamRequestId: null, duration: null, ttft: null, ...account } as const;
  return { call, closing, revision: REVISION.closed + 1 };
}
