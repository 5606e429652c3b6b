import type { Outcome } from "./usage.ts";

/**
 * Which call retries which. Take the closed rows of one trace with one `messages_hash`, in the
 * order of admission (`created_at`, then id). A row *retries* the one just before it if that one
 * did not complete, and if it was admitted within `withinMs` of that one's end and within `spanMs`
 * of its admission. If the end is not known, the admission counts as the end. So a completed row
 * ends a chain, and the same prompt after it is new.
 *
 * `retryOf` is the first row of a row's chain, or the earliest that is at most `rows` rows and
 * `spanMs` away; null if the row retries none. The cost of a retried row was paid for an answer
 * that was of no use.
 *
 * Nothing else counts: a retry may have another model, another `max_tokens`, or not stream. Open
 * rows and rows without a hash take no part. The result depends on the rows alone and not on the
 * order in which they came; rows that retention dropped are not there.
 */
export interface Retry {
  readonly retryOf: string | null;
  /** Another row retries this one. */
  readonly isRetried: boolean;
}

export const NO_RETRY: Retry = { retryOf: null, isRetried: false };

/**
 * Clients wait seconds between retries, or minutes if the upstream says so. The other two bound
 * what one row can change: a client that retries a million times must not make every commit read a
 * million rows.
 */
export const RETRY_BOUNDS = { withinMs: 600_000, spanMs: 86_400_000, rows: 32 } as const;

/** The part of a closed row that decides on retries. */
export interface RetryRow {
  readonly id: string;
  readonly createdAt: number;
  readonly outcome: Outcome;
  readonly duration: number | null;
}

/** `later` is the row just behind `earlier`. */
export function isRetriedBy(earlier: RetryRow, later: RetryRow): boolean {
  const apart = later.createdAt - earlier.createdAt;
  return earlier.outcome !== "completed" && apart <= RETRY_BOUNDS.spanMs &&
    apart <= (earlier.duration ?? 0) + RETRY_BOUNDS.withinMs;
}

/**
 * The rows whose `Retry` changes because the row at `at` is new or has another end. `rows` is a
 * part of the chain, in order. Before `at` it needs the rows within `RETRY_BOUNDS`, or only the one
 * just before if the row does not retry that; behind `at` it needs the rows that can reach the row.
 */
export function changedRetries<R extends RetryRow & { readonly retry: Retry }>(
  rows: readonly R[],
  at: number,
): readonly { readonly row: R; readonly retry: Retry }[] {
  return rows.flatMap((row, index) => {
    if (index < at - 1) return [];
    // Only this row and the one before it can have a new successor; only this row and later ones a
    // new first row.
    const retry: Retry = {
      retryOf: index < at ? row.retry.retryOf : firstOfChain(rows, index),
      isRetried: index > at ? row.retry.isRetried : index + 1 < rows.length && isRetriedBy(row, rows[index + 1]!),
    };
    return retry.retryOf === row.retry.retryOf && retry.isRetried === row.retry.isRetried ? [] : [{ row, retry }];
  });
}

function firstOfChain(rows: readonly RetryRow[], index: number): string | null {
  const row = rows[index]!;
  let first = index;
  while (first > 0 && index - first < RETRY_BOUNDS.rows) {
    const earlier = rows[first - 1]!;
    if (!isRetriedBy(earlier, rows[first]!) || row.createdAt - earlier.createdAt > RETRY_BOUNDS.spanMs) break;
    first--;
  }
  return first === index ? null : rows[first]!.id;
}
