/** A limit that is used up stops clients: Anthropic's SDKs, and agents by what they once sent. */
import assert from "node:assert/strict";
import { ALL_KINDS, type LimitKind } from "../../src/domain/limits.ts";
import { bodyOf, type Captured, capturesOf, headersOf } from "../captured_calls.ts";
import { limitedCall, OUTPUT_TOKENS, quota, tenCentAnswer, tenCentEnv } from "../limited_calls.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { RawConnection } from "../raw_connection.ts";
import { clientOf, saying, SDKS } from "../sdk_clients.ts";
import { gate, waitFor } from "../wait.ts";

/** All days and months of these tests are 12 hours from their ends, and hours half an hour. */
const BEGIN = Date.UTC(2026, 10, 29, 12, 30);
const SECONDS_TO_DAY_END = 11.5 * 3_600;

interface Refused {
  /** Below the workspace's quota; empty: the workspace's. */
  readonly place?: string;
  readonly limit: Readonly<Record<string, unknown>>;
  readonly type: "billing_error" | "rate_limit_error";
  readonly message: RegExp;
}

/** Two calls of ten cents and 1,005 tokens were before. */
const REFUSED: Readonly<Record<Exclude<LimitKind, "concurrent">, Refused>> = {
  rpd: {
    limit: { max_rpd: 2 },
    type: "rate_limit_error",
    message: /^Quota exceeded\. This workspace has used 2 of its limit of 2 requests a day \(rpd\)\. The limit will reset at /,
  },
  tokens_per_day: {
    limit: { max_tokens_per_day: 2_500 },
    type: "rate_limit_error",
    message:
      /This workspace has used 2,010 of its limit of 2,500 tokens a day \(tokens_per_day\), and this call may use [\d,]+\./,
  },
  cost_per_day: {
    limit: { max_cost_per_day_usd: "0.2" },
    type: "billing_error",
    message: /This workspace has used 0\.20 of its limit of 0\.20 dollars a day \(cost_per_day\), and this call may use 0\.10\./,
  },
  cost_per_month: {
    limit: { max_cost_per_month_usd: "0.25" },
    type: "billing_error",
    message: /has used 0\.20 of its limit of 0\.25 dollars a month \(cost_per_month\), .* will reset at 2026-12-01T00:00:00Z\.$/,
  },
  calls_per_minute: {
    place: "/traces/at-limits",
    limit: { max_calls_per_minute: 2 },
    type: "rate_limit_error",
    message: /This session has used 2 of its limit of 2 calls a minute \(calls_per_minute\)\. The session pauses until /,
  },
  cost_per_hour: {
    place: "/traces/at-limits",
    limit: { max_cost_per_hour_usd: "0.20" },
    type: "billing_error",
    message: /This session has used 0\.20 of its limit of 0\.20 dollars an hour \(cost_per_hour\), .* The session pauses until /,
  },
};

/** What the SDKs throw; both majors have these fields. */
interface Thrown extends Error {
  readonly status: number;
  readonly headers: Headers;
  readonly error: { readonly error: { readonly type: string; readonly message: string } };
}

const CALL = { ...saying("hi"), model: "house-model", max_tokens: OUTPUT_TOKENS };
const RETRIES = { maxRetries: 4 };
const HEADERS = { headers: { "x-trace-id": "at-limits" } };

Deno.test("the kinds of limits that are tested here are all that do not pass at once", () => {
  assert.deepEqual([...Object.keys(REFUSED), "concurrent"].toSorted(), [...ALL_KINDS].toSorted());
});

for (const { name, Sdk } of SDKS) {
  Deno.test(`${name} asks once if a limit is used up that resets late, and its error has the message`, async () => {
    await using proxy = await proxyAtNoon();
    for (const [kind, { place = "", limit, type, message }] of Object.entries(REFUSED)) {
      const token = await proxy.token(kind);
      for (let n = 0; n < 2; n++) assert.equal((await limitedCall(proxy.url, token)).status, 200);
      await proxy.closedRows(proxy.upstream.calls.length);
      await quota(proxy, `/${kind}${place}`, limit);
      const before = proxy.upstream.calls.length;
      for (const stream of [false, true]) {
        const { client, attempts } = clientOf(Sdk, { url: proxy.url, token, ...RETRIES });
        const error = await thrownBy(client.messages.create({ ...CALL, stream }, HEADERS), kind);
        assert.ok(error instanceof Sdk.RateLimitError, `${kind}: ${error}`);
        assert.equal(error.error.error.type, type, kind);
        assert.match(error.error.error.message, message);
        assert.ok(error.message.includes(error.error.error.message), error.message);
        assert.equal(error.headers.get("x-should-retry"), "false", kind);
        assert.ok(Number(error.headers.get("retry-after")) > 60, kind);
        assert.equal(attempts(), 1, kind);
      }
      assert.equal(proxy.upstream.calls.length, before, kind);
    }
  });

  Deno.test(`${name} asks once for a model without a price if a limit of cost applies`, async () => {
    await using proxy = await proxyAtNoon();
    const { client, attempts } = clientOf(Sdk, { url: proxy.url, token: await proxy.token(), ...RETRIES });
    await quota(proxy, "/w1", { max_cost_per_day_usd: "5" });
    const error = await thrownBy(client.messages.create({ ...CALL, model: "no-price" }));
    assert.ok(error instanceof Sdk.PermissionDeniedError, String(error));
    assert.match(error.message, /This workspace has a spending limit, and this model has no price here/);
    assert.equal(error.headers.get("x-should-retry"), "false");
    assert.deepEqual([attempts(), proxy.upstream.calls.length], [1, 0]);
  });

  Deno.test(`${name} waits as it is told if too many calls run, and then its call passes`, async () => {
    await using proxy = await proxyAtNoon({ LLMPROXY_QUEUE_SECONDS: "0" });
    const token = await proxy.token();
    await quota(proxy, "/w1", { max_concurrent: 1 });
    const { passed, open } = gate();
    proxy.upstream.answer(async (call) => {
      await passed;
      return tenCentAnswer(call);
    });
    const running = limitedCall(proxy.url, token);
    await proxy.upstream.waitForCalls(1);
    const begun = performance.now();
    const { client, attempts } = clientOf(Sdk, { url: proxy.url, token, ...RETRIES });
    const message = client.messages.create(CALL);
    await waitFor(() => proxy.logs.some((line) => line.includes('"over_concurrent"')), { what: "a refusal" });
    open();
    assert.equal((await running).status, 200);
    assert.equal((await message).usage.output_tokens, OUTPUT_TOKENS);
    assert.ok(attempts() >= 2);
    // A timer may be early by a fraction of a millisecond.
    assert.ok(performance.now() - begun >= (attempts() - 1) * 1_990);
  });
}

/** What stops each client, by the beginning of its capture's name. Each was seen to ask once. */
const STOPPED_BY: Readonly<Record<string, 403 | 429>> = {
  "anthropic-sdk-": 429,
  "claude-code-": 429,
  "copilot-cli-": 429,
  "opencode-": 403,
  "pi-": 403,
  "qwen-code-": 403,
};

/** What opencode 1.18.33 takes for an error that passes, anywhere in the body of a refusal. */
const PASSES_IN_OPENCODE = [
  /429|500|502|503|504|524/i,
  /rate increased too quickly|rate limit|rate-limit|rate_limit|too many requests/i,
  /overloaded|service.unavailable|internal.error|internal server error|server.error|provider.returned.error/i,
  /terminated|network[-_\s]error|connection (error|refused|lost)|\b(request|response|connection|network|stream|read) time/i,
  /(try your|retry your) request|resource.exhausted|\btry again (later|in\b)|\b(currently|temporarily) at capacity\b/i,
];

/** The same of pi 1.6.0, which first asks for one of these words. */
const FINAL_IN_PI = /available balance|insufficient_quota|out of budget|quota exceeded|billing/i;

/** Amounts in which some clients see a status. */
const UNLUCKY: readonly (readonly [limit: Readonly<Record<string, unknown>>, shown: string])[] = [
  [{ max_tokens_per_day: 500 }, "500 tokens"],
  [{ max_cost_per_day_usd: "0.000429" }, "0.000429 dollars"],
];

Deno.test("each captured client is refused with the status and the words that stop it", async () => {
  await using proxy = await proxyAtNoon();
  const files = [...Deno.readDirSync(new URL("../fixtures/clients/", import.meta.url))];
  // Codex speaks to another API.
  const names = files.map(({ name }) => name.replace(".jsonl", "")).filter((name) => !name.startsWith("codex-"));
  for (const name of names) {
    const status = Object.entries(STOPPED_BY).find(([start]) => name.startsWith(start))?.[1];
    for (const [n, [limit, shown]] of UNLUCKY.entries()) {
      const token = await proxy.token(`${name}-${n}`);
      await quota(proxy, `/${name}-${n}`, limit);
      for (const captured of capturesOf(name).filter(({ url }) => /^\/v1\/messages(\?|$)/.test(url))) {
        const { status: got, headers, body } = await sent(proxy, captured, token);
        assert.equal(got, status, name);
        assert.equal(headers.get("x-should-retry"), "false", name);
        const wait = Number(headers.get("retry-after"));
        assert.ok(wait <= SECONDS_TO_DAY_END && wait > SECONDS_TO_DAY_END - 600, `${wait} s`);
        const text = new TextDecoder().decode(body);
        const { message } = (JSON.parse(text) as Thrown["error"]).error;
        assert.match(message, /^Quota exceeded\. .* The limit will reset at 2026-11-30T00:00:00Z\.$/);
        assert.match(text, FINAL_IN_PI);
        if (name.startsWith("opencode-")) { for (const pattern of PASSES_IN_OPENCODE) assert.doesNotMatch(text, pattern); }
        else {assert.ok(
            message.includes(`This workspace has used 0${n === 0 ? "" : ".00"} of its limit of ${shown} a day`),
            message,
          );}
      }
    }
  }
  assert.equal(proxy.upstream.calls.length, 0);
});

async function sent(proxy: ProxyUnderTest, captured: Captured, token: string) {
  using connection = new RawConnection(proxy.url);
  const body = bodyOf(captured);
  const headers = headersOf(captured, { body, host: new URL(proxy.url).host, token });
  return await connection.send({ method: captured.method, target: captured.url, headers, body });
}

async function proxyAtNoon(env: Readonly<Record<string, string>> = {}): Promise<ProxyUnderTest> {
  const started = Date.now();
  const now = () => BEGIN + Date.now() - started;
  const proxy = await startProxy({ env: { ...await tenCentEnv(), ...env }, system: { now } });
  proxy.upstream.answer((call) => tenCentAnswer(call));
  return proxy;
}

async function thrownBy(call: Promise<unknown>, what = "an error"): Promise<Thrown> {
  const error = await call.then(() => null, (error: unknown) => error);
  assert.ok(error instanceof Error, `expected ${what}, got ${JSON.stringify(error)}`);
  return error as Thrown;
}
