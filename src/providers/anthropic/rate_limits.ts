import { MOST_WAIT_MS, REFILL_MS, retryAfterMs, sentAt, sharesOf } from "../rate_limit_headers.ts";

/** What an answer says of the upstream's limits: https://docs.anthropic.com/en/api/rate-limits */

const KINDS = ["requests", "tokens", "input-tokens", "output-tokens"].map((kind) => ({
  kind,
  limit: `anthropic-ratelimit-${kind}-limit`,
  remaining: `anthropic-ratelimit-${kind}-remaining`,
  reset: `anthropic-ratelimit-${kind}-reset`,
}));
/**
 * How long the upstream asks to wait before the next call, ms: by its `retry-after` if it refused
 * the call for its limits (429) or its load (529); otherwise by a limit of which nothing is left.
 */
export function waitMsOf({ status, headers }: Pick<Response, "status" | "headers">, now: number): number {
  if (status !== 429 && status !== 529) return Math.min(untilReset(headers, now), REFILL_MS);
  return Math.min(retryAfterMs(headers, now) ?? untilReset(headers, now), MOST_WAIT_MS);
}

/** By kind. A limit that the answer does not name, or names oddly, is left out. */
export function roomOf(headers: Headers): Readonly<Record<string, number>> {
  return sharesOf(KINDS, headers);
}

function untilReset(headers: Headers, now: number): number {
  let waitMs = 0;
  for (const { remaining, reset } of KINDS) {
    if (headers.get(remaining) !== "0") continue;
    waitMs = Math.max(waitMs, Date.parse(headers.get(reset) ?? "") - sentAt(headers, now) || 0);
  }
  return waitMs;
}
