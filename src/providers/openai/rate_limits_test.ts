import assert from "node:assert/strict";
import { roomOf, waitMsOf } from "./rate_limits.ts";

const NOW = Date.UTC(2026, 0, 1);

function waitOf(status: number, headers: Record<string, string>): number {
  return waitMsOf({ status, headers: new Headers(headers) }, NOW);
}

function spent(kind: string, reset: string): Record<string, string> {
  return { [`x-ratelimit-remaining-${kind}`]: "0", [`x-ratelimit-reset-${kind}`]: reset };
}

Deno.test("waitMsOf() takes the retry-after of a 429 and a 503: milliseconds, seconds or a date", () => {
  for (const status of [429, 503]) {
    assert.equal(waitOf(status, { "retry-after": "7" }), 7_000);
    assert.equal(waitOf(status, { "retry-after": "7", "retry-after-ms": "350.5" }), 350.5);
    assert.equal(waitOf(status, { "retry-after": new Date(NOW + 9_000).toUTCString() }), 9_000);
    assert.equal(waitOf(status, { "retry-after": new Date(NOW - 9_000).toUTCString() }), 0);
  }
});

Deno.test("waitMsOf() asks for no wait if the upstream does not", () => {
  assert.equal(waitOf(429, {}), 0);
  assert.equal(waitOf(429, { "retry-after": "soon" }), 0);
  assert.equal(waitOf(500, { "retry-after": "7" }), 0);
  assert.equal(waitOf(200, { ...spent("requests", "9s"), "x-ratelimit-remaining-requests": "1" }), 0);
  assert.equal(waitOf(200, { "x-ratelimit-remaining-requests": "0" }), 0);
});

Deno.test("waitMsOf() reads resets as OpenAI writes them", () => {
  const rows: readonly (readonly [reset: string, ms: number])[] = [
    ["6m0s", 360_000],
    ["1h2m3s", 3_723_000],
    ["1d", 86_400_000],
    ["8.64s", 8_640],
    ["120ms", 120],
    ["1s20ms", 1_020],
    ["0s", 0],
    ["", 0],
    ["soon", 0],
    ["5", 0],
    ["-5s", 0],
    ["1.2.3s", 0],
  ];
  for (const [reset, ms] of rows) assert.equal(waitOf(429, spent("tokens", reset)), ms, reset);
});

Deno.test("waitMsOf() waits for the latest reset of several, for 5 s at most unless the call was refused", () => {
  const both = { ...spent("requests", "3s"), ...spent("tokens", "60s") };
  assert.equal(waitOf(429, both), 60_000);
  assert.equal(waitOf(200, both), 5_000);
  assert.equal(waitOf(200, spent("requests", "3s")), 3_000);
  assert.equal(waitOf(429, { ...both, "retry-after": "2" }), 2_000);
  assert.equal(waitOf(429, { "retry-after": "99999999" }), 86_400_000);
});

Deno.test("roomOf() tells the share that is left of each limit, and leaves out what it cannot read", () => {
  const limitOf = (kind: string, remaining: string, limit: string) => ({
    [`x-ratelimit-remaining-${kind}`]: remaining,
    [`x-ratelimit-limit-${kind}`]: limit,
  });
  const headers = new Headers({ ...limitOf("requests", "1", "4"), ...limitOf("tokens", "0", "80000") });
  assert.deepEqual(roomOf(headers), { requests: 0.25, tokens: 0 });
  for (const [remaining, limit] of [["5", "4"], ["-1", "4"], ["0", "0"], ["many", "4"], ["1", "many"], ["", "4"], ["1", ""]]) {
    assert.deepEqual(roomOf(new Headers(limitOf("requests", remaining!, limit!))), {}, `${remaining} of ${limit}`);
  }
  assert.deepEqual(roomOf(new Headers({ "x-ratelimit-remaining-requests": "1" })), {});
});
