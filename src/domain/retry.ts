import type { Outcome } from "./usage.ts";

/**
 * Which call asks again what another has asked. Of the closed rows of one trace with one `messages_hash`, in the order of their
 * admission (`created_at`, then id), a row *repeats* the one just before it where that one did not complete, and where it was
 * itself admitted within `withinMs` of that one's end (of its admission, where nobody saw the end) and within `spanMs` of its
 * admission. So a completed row ends a chain, and asking the same again afterwards is a new question.
 *
 * `retryOf` is the first row of the chain of such repetitions that leads to a row, or the earliest of it that is not more than
 * `attempts` rows and `spanMs` away; null where the row repeats none. A row that another repeats *is asked again*: what it cost
 * was paid for an answer that nobody could use.
 *
 * Nothing else counts: a client may ask again without streaming, with another `max_tokens`, or another model. Rows that are open,
 * and rows without a hash, take no part. The links depend on the rows that are there and on nothing else, not on the order in
 * which they came; rows that retention has dropped are not there.
 */
export interface Link {
  readonly retryOf: string | null;
  readonly isAskedAgain: boolean;
}

export const NO_LINK: Link = { retryOf: null, isAskedAgain: false };

/**
 * Clients wait seconds between attempts, minutes where the upstream says so. The other two bound what one row can change: someone
 * who asks the same a million times in vain must not make every commit read them all.
 */
export const RETRY_BOUNDS = { withinMs: 600_000, spanMs: 86_400_000, attempts: 32 } as const;

/** What of a closed row decides on links. */
export interface Attempt {
  readonly id: string;
  readonly createdAt: number;
  readonly outcome: Outcome;
  readonly duration: number | null;
}

/** `later` is the row just behind `earlier`. */
export function isRepeated(earlier: Attempt, later: Attempt): boolean {
  const apart = later.createdAt - earlier.createdAt;
  return earlier.outcome !== "completed" && apart <= RETRY_BOUNDS.spanMs &&
    apart <= (earlier.duration ?? 0) + RETRY_BOUNDS.withinMs;
}

/**
 * What a row that is new, or ended otherwise than it had, changes: of `rows`, a part of the chain in its order, those whose links
 * are other than they were. Before `at`, `rows` needs those that the row can reach within `RETRY_BOUNDS`, or at least the one just
 * before it where the row does not repeat that; behind it those that can reach it.
 */
export function changedLinks<R extends Attempt & { readonly link: Link }>(
  rows: readonly R[],
  at: number,
): readonly { readonly row: R; readonly link: Link }[] {
  return rows.flatMap((row, index) => {
    if (index < at - 1) return [];
    // Only the row and the one before it may have got another successor, only the row and those behind it another beginning.
    const link: Link = {
      retryOf: index < at ? row.link.retryOf : firstAttempt(rows, index),
      isAskedAgain: index > at ? row.link.isAskedAgain : index + 1 < rows.length && isRepeated(row, rows[index + 1]!),
    };
    return link.retryOf === row.link.retryOf && link.isAskedAgain === row.link.isAskedAgain ? [] : [{ row, link }];
  });
}

function firstAttempt(rows: readonly Attempt[], index: number): string | null {
  const row = rows[index]!;
  let first = index;
  while (first > 0 && index - first < RETRY_BOUNDS.attempts) {
    const earlier = rows[first - 1]!;
    if (!isRepeated(earlier, rows[first]!) || row.createdAt - earlier.createdAt > RETRY_BOUNDS.spanMs) break;
    first--;
  }
  return first === index ? null : rows[first]!.id;
}
