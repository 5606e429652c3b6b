/** What an answer says of the upstream's limits: https://docs.anthropic.com/en/api/rate-limits */

const KINDS = ["requests", "tokens", "input-tokens", "output-tokens"].map((kind) => ({
  kind,
  limit: `anthropic-ratelimit-${kind}-limit`,
  remaining: `anthropic-ratelimit-${kind}-remaining`,
  reset: `anthropic-ratelimit-${kind}-reset`,
}));
/** A mistaken header must not close a model for longer. */
const MOST_MS = 24 * 3_600_000;
/**
 * `reset` is when a limit is whole again. It fills up little by little, so part of it is there
 * sooner. If that does not do, a 429 says how long.
 */
const REFILL_MS = 5_000;

/**
 * How long the upstream asks to wait before the next call, ms: by its `retry-after` if it refused
 * the call for its limits (429) or its load (529); otherwise by a limit of which nothing is left.
 */
export function waitMsOf({ status, headers }: Pick<Response, "status" | "headers">, now: number): number {
  if (status !== 429 && status !== 529) return Math.min(untilReset(headers, now), REFILL_MS);
  return Math.min(retryAfterMs(headers, now) ?? untilReset(headers, now), MOST_MS);
}

/** By kind. A limit that the answer does not name, or names oddly, is left out. */
export function roomOf(headers: Headers): Readonly<Record<string, number>> {
  const shares: Record<string, number> = {};
  for (const { kind, limit, remaining } of KINDS) {
    const left = headers.get(remaining);
    if (!isNumber(left)) continue;
    const share = Number(left) / Number(headers.get(limit) ?? "");
    if (share >= 0 && share <= 1) shares[kind] = share;
  }
  return shares;
}

/** As the SDKs read it: milliseconds, otherwise seconds, otherwise a date. */
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

function untilReset(headers: Headers, now: number): number {
  let waitMs = 0;
  for (const { remaining, reset } of KINDS) {
    if (headers.get(remaining) !== "0") continue;
    waitMs = Math.max(waitMs, Date.parse(headers.get(reset) ?? "") - sentAt(headers, now) || 0);
  }
  return waitMs;
}

/** By the upstream's own clock if it says the time: ours may be wrong. */
function sentAt(headers: Headers, now: number): number {
  return Date.parse(headers.get("date") ?? "") || now;
}

function isNumber(text: string | null): text is string {
  return text !== null && /^\d+(\.\d+)?$/.test(text);
}
