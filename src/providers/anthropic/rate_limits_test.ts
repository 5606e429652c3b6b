import assert from "node:assert/strict";
import { roomOf, waitMsOf } from "./rate_limits.ts";

const NOW = Date.UTC(2026, 0, 1);

function waitOf(status: number, headers: Record<string, string>): number {
  return waitMsOf({ status, headers: new Headers(headers) }, NOW);
}

function at(seconds: number): string {
  return new Date(NOW + 1000 * seconds).toISOString();
}

Deno.test("waitMsOf() takes the retry-after of a 429 and a 529: seconds, milliseconds or a date", () => {
  for (const status of [429, 529]) {
    assert.equal(waitOf(status, { "retry-after": "7" }), 7_000);
    assert.equal(waitOf(status, { "retry-after": "7", "retry-after-ms": "350.5" }), 350.5);
    assert.equal(waitOf(status, { "retry-after": new Date(NOW + 9_000).toUTCString() }), 9_000);
    assert.equal(waitOf(status, { "retry-after": new Date(NOW - 9_000).toUTCString() }), 0);
  }
});

Deno.test("waitMsOf() asks for no wait if the upstream does not", () => {
  assert.equal(waitOf(529, {}), 0);
  assert.equal(waitOf(429, { "retry-after": "soon" }), 0);
  assert.equal(waitOf(503, { "retry-after": "7" }), 0);
  assert.equal(waitOf(200, { "anthropic-ratelimit-requests-remaining": "1", "anthropic-ratelimit-requests-reset": at(9) }), 0);
  assert.equal(waitOf(200, { "anthropic-ratelimit-requests-remaining": "0" }), 0);
});

Deno.test("waitMsOf() waits for the reset of a limit of which nothing is left, the latest of several, for 5 s at most", () => {
  const kinds = ["requests", "tokens", "input-tokens", "output-tokens"];
  for (const kind of kinds) {
    const left = { [`anthropic-ratelimit-${kind}-remaining`]: "0", [`anthropic-ratelimit-${kind}-reset`]: at(3) };
    assert.equal(waitOf(200, left), 3_000);
    assert.equal(waitOf(200, { ...left, [`anthropic-ratelimit-${kind}-reset`]: at(60) }), 5_000);
    assert.equal(waitOf(429, { ...left, [`anthropic-ratelimit-${kind}-reset`]: at(60) }), 60_000);
    assert.equal(waitOf(200, { ...left, [`anthropic-ratelimit-${kind}-reset`]: at(-60) }), 0);
  }
  const all = kinds.flatMap((kind, n) => [
    [`anthropic-ratelimit-${kind}-remaining`, "0"],
    [`anthropic-ratelimit-${kind}-reset`, at(n + 1)],
  ]);
  assert.equal(waitOf(200, Object.fromEntries(all)), 4_000);
});

Deno.test("waitMsOf() goes by the upstream's clock, and believes no wait above a day", () => {
  const date = new Date(NOW - 600_000).toUTCString();
  const left = { "anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": at(-598) };
  assert.equal(waitOf(200, { ...left, date }), 2_000);
  assert.equal(waitOf(429, { "retry-after": "99999999" }), 86_400_000);
});

Deno.test("roomOf() tells the share that is left of each limit, and leaves out what it cannot read", () => {
  const limitOf = (kind: string, remaining: string, limit: string) => ({
    [`anthropic-ratelimit-${kind}-remaining`]: remaining,
    [`anthropic-ratelimit-${kind}-limit`]: limit,
  });
  const headers = { ...limitOf("requests", "1", "4"), ...limitOf("tokens", "0", "80000"), ...limitOf("input-tokens", "9", "9") };
  assert.deepEqual(roomOf(new Headers(headers)), { requests: 0.25, tokens: 0, "input-tokens": 1 });
  for (
    const [remaining, limit] of [["5", "4"], ["-1", "4"], ["1", "0"], ["0", "0"], ["many", "4"], ["1", "many"], ["", "4"], [
      "1",
      "",
    ]]
  ) {
    assert.deepEqual(roomOf(new Headers(limitOf("requests", remaining!, limit!))), {}, `${remaining} of ${limit}`);
  }
  assert.deepEqual(roomOf(new Headers({ "anthropic-ratelimit-requests-remaining": "1" })), {});
});
