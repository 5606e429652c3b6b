/** What several vendors say alike of their limits. */

/** A mistaken header must not close a model for longer. */
export const MOST_WAIT_MS = 24 * 3_600_000;
/**
 * A vendor says when a limit is whole again. It fills up little by little, so part of it is there
 * sooner. If that does not do, a 429 says how long.
 */
export const REFILL_MS = 5_000;

/** As SDKs read it: milliseconds, otherwise seconds, otherwise a date; null: it says nothing. */
export function retryAfterMs(headers: Headers, now: number): number | null {
  const ms = headers.get("retry-after-ms");
  const after = headers.get("retry-after");
  const asked = isNumber(ms)
    ? Number(ms)
    : isNumber(after)
    ? 1000 * Number(after)
    : Date.parse(after ?? "") - sentAt(headers, now);
  return Number.isNaN(asked) ? null : Math.max(asked, 0);
}

/** By the upstream's own clock if it says the time: ours may be wrong. */
export function sentAt(headers: Headers, now: number): number {
  return Date.parse(headers.get("date") ?? "") || now;
}

/** Names the headers of one kind of limit. */
interface LimitHeaders {
  readonly kind: string;
  readonly limit: string;
  readonly remaining: string;
}

/** What is left of each limit, from 0 to 1. One that the two headers do not tell is left out. */
export function sharesOf(kinds: readonly LimitHeaders[], headers: Headers): Readonly<Record<string, number>> {
  const shares: Record<string, number> = {};
  for (const { kind, limit, remaining } of kinds) {
    const left = headers.get(remaining);
    if (!isNumber(left)) continue;
    const share = Number(left) / Number(headers.get(limit) ?? "");
    if (share >= 0 && share <= 1) shares[kind] = share;
  }
  return shares;
}

function isNumber(text: string | null): text is string {
  return text !== null && /^\d+(\.\d+)?$/.test(text);
}
