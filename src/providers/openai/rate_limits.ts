import { MOST_WAIT_MS, REFILL_MS, retryAfterMs, sharesOf } from "../rate_limit_headers.ts";

/** What an answer says of limits: https://platform.openai.com/docs/guides/rate-limits */
const KINDS = ["requests", "tokens"].map((kind) => ({
  kind,
  limit: `x-ratelimit-limit-${kind}`,
  remaining: `x-ratelimit-remaining-${kind}`,
  reset: `x-ratelimit-reset-${kind}`,
}));

/**
 * How long the upstream asks to wait before the next call, ms: by its `retry-after` if it refused
 * the call for its limits (429) or its load (503); otherwise by a limit of which nothing is left.
 */
export function waitMsOf({ status, headers }: Pick<Response, "status" | "headers">, now: number): number {
  if (status !== 429 && status !== 503) return Math.min(untilReset(headers), REFILL_MS);
  return Math.min(retryAfterMs(headers, now) ?? untilReset(headers), MOST_WAIT_MS);
}

/** By kind. A limit that the answer does not name, or names oddly, is left out. */
export function roomOf(headers: Headers): Readonly<Record<string, number>> {
  return sharesOf(KINDS, headers);
}

function untilReset(headers: Headers): number {
  const resets = KINDS.filter(({ remaining }) => headers.get(remaining) === "0").map(({ reset }) =>
    durationMs(headers.get(reset))
  );
  return Math.max(0, ...resets);
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `6m0s`, `1h2m3s`, `8.64s`, `120ms`; anything else is no wait. */
function durationMs(text: string | null): number {
  if (text === null || !DURATION.test(text)) return 0;
  return [...text.matchAll(PART)].reduce((sum, [, count, unit]) => sum + Number(count) * UNITS_MS[unit!]!, 0);
}

const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/;
const PART = /([\d.]+)(ms|[smhd])/g;
