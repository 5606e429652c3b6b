import assert from "node:assert/strict";
import { failing } from "../fake_answers.ts";
import { usageOf } from "../fake_messages.ts";
import { OPERATOR_KEY, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { clientOf, saying, type Sdk, SDKS } from "../sdk_clients.ts";

/** What the SDKs throw; both majors have these fields. */
interface Thrown extends Error {
  readonly status: number;
  readonly headers: Headers;
  readonly requestID: string | null;
  readonly error: { readonly error: { readonly type: string; readonly message: string }; readonly request_id: string };
}

type ErrorClass = new (...args: never[]) => Error;

/** What the upstream refuses with: each is shown as it is, and leaves a row without tokens. */
const UPSTREAM_ERRORS: readonly (readonly [status: number, type: string, thrownAs: (Sdk: Sdk) => ErrorClass])[] = [
  [413, "request_too_large", (Sdk) => Sdk.APIError],
  [429, "rate_limit_error", (Sdk) => Sdk.RateLimitError],
  [529, "overloaded_error", (Sdk) => Sdk.InternalServerError],
];

/** One more than the API takes. */
const TOO_LONG = "x".repeat(32 * 1024 * 1024 + 1);

for (const { name, Sdk } of SDKS) {
  Deno.test(`the proxy shows ${name} the upstream's errors as they are, each with a row without tokens`, async () => {
    await using proxy = await startProxy();
    const { client, attempts } = clientOf(Sdk, { url: proxy.url, token: await proxy.token() });
    const calls = [
      (text: string) => client.messages.create(saying(text)),
      (text: string) => client.messages.stream(saying(text)).done(),
    ];
    for (const [status, type, thrownAs] of UPSTREAM_ERRORS) {
      const message = `the upstream's own words on ${status}`;
      proxy.upstream.answer(failing(status, { message, headers: { "retry-after": "7" } }));
      for (const [streaming, call] of calls.entries()) {
        const before = { rows: proxy.rows().length, attempts: attempts() };
        const error = await thrownBy(call("hello"), thrownAs(Sdk));
        const { requestId } = proxy.upstream.calls.at(-1)!;
        assert.deepEqual([error.status, error.error.error], [status, { type, message }]);
        assert.deepEqual([error.requestID, error.headers.get("retry-after")], [requestId, "7"]);
        assert.equal(attempts(), before.attempts + 1);
        const [row, ...others] = proxy.rows().slice(before.rows);
        assert.deepEqual(others, []);
        assert.equal(error.headers.get("x-llmproxy-request-id"), row!.id);
        const { outcome, accuracy, error_type, upstream_request_id, input_tokens, output_tokens } = row!;
        assert.deepEqual(
          {
            outcome,
            accuracy,
            status: row!.status,
            error_type,
            upstream_request_id,
            streaming: row!.streaming,
            input_tokens,
            output_tokens,
          },
          {
            outcome: "upstream_error",
            accuracy: "exact",
            status,
            error_type: type,
            upstream_request_id: requestId,
            streaming,
            input_tokens: 0,
            output_tokens: 0,
          },
        );
      }
    }
  });

  Deno.test(`the proxy refuses ${name} with a 401 of its own for a bad token, once, without a row`, async () => {
    await using proxy = await startProxy();
    const { client, attempts } = clientOf(Sdk, { url: proxy.url, token: `llmp_${"0".repeat(40)}`, maxRetries: 2 });
    const error = await thrownBy(client.messages.create(saying("hello")), Sdk.AuthenticationError);
    assert.deepEqual([error.status, error.error.error.type], [401, "authentication_error"]);
    assertRefusedOnce(proxy, { error, attempts });
  });

  Deno.test(`the proxy refuses ${name} with a 413 of its own for a body over 32 MB, once, without a row`, async () => {
    await using proxy = await startProxy();
    const { client, attempts } = clientOf(Sdk, { url: proxy.url, token: await proxy.token(), maxRetries: 2 });
    const error = await thrownBy(client.messages.create(saying(TOO_LONG)), Sdk.APIError);
    assert.deepEqual([error.status, error.error.error.type], [413, "request_too_large"]);
    assertRefusedOnce(proxy, { error, attempts });
  });

  Deno.test(`the proxy refuses ${name} lists of batches and files with 403, once each`, async () => {
    await using proxy = await startProxy();
    const token = await proxy.token();
    const calls: readonly ((client: ReturnType<typeof clientOf>["client"]) => Promise<unknown>)[] = [
      async (client) => await client.messages.batches.list(),
      async (client) => await client.beta.files.list(),
    ];
    for (const call of calls) {
      const { client, attempts } = clientOf(Sdk, { url: proxy.url, token, maxRetries: 2 });
      const error = await thrownBy(call(client), Sdk.PermissionDeniedError);
      assert.deepEqual([error.status, error.error.error.type], [403, "permission_error"]);
      assertRefusedOnce(proxy, { error, attempts });
    }
  });

  Deno.test(`the proxy shows ${name} an upstream 401 as a 502 that is not tried again, and tells the operator`, async () => {
    await using proxy = await startProxy();
    const { client, attempts } = clientOf(Sdk, { url: proxy.url, token: await proxy.token(), maxRetries: 2 });
    proxy.upstream.answer(failing(401, { message: "invalid x-api-key" }));
    const error = await thrownBy(client.messages.create(saying("hello")), Sdk.APIError);
    assert.deepEqual([error.status, error.error.error.type, error.headers.get("x-should-retry")], [502, "api_error", "false"]);
    assert.doesNotMatch(error.message, /x-api-key|401/);
    assert.deepEqual([attempts(), proxy.upstream.calls.length], [1, 1]);
    const [row, ...others] = proxy.rows();
    assert.deepEqual([row!.outcome, row!.status, row!.error_type, others.length], [
      "upstream_error",
      401,
      "authentication_error",
      0,
    ]);
    const loud = proxy.logs.map((line) => JSON.parse(line)).filter(({ level }) => level === "error" || level >= 50);
    assert.ok(loud.some((record) => JSON.stringify(record).includes(String(row!.id))));
    assert.ok(!proxy.logs.join("").includes(OPERATOR_KEY));
  });

  Deno.test(`the proxy records each attempt where ${name} tries again after a 529`, async () => {
    await using proxy = await startProxy();
    const { client, attempts } = clientOf(Sdk, { url: proxy.url, token: await proxy.token(), maxRetries: 2 });
    const overloaded = failing(529, { headers: { "retry-after-ms": "1" } });
    proxy.upstream.answer((call) => proxy.upstream.calls.length < 2 ? overloaded(call) : "default");
    const message = await client.messages.create(saying("patience"));
    assert.deepEqual(message.usage, usageOf("patience"));
    assert.equal(attempts(), 2);
    const recorded = proxy.rows().map(({ outcome, status, message_id }) => [outcome, status, message_id]);
    assert.deepEqual(recorded, [["upstream_error", 529, null], ["completed", 200, message.id]]);
  });
}

async function thrownBy(call: Promise<unknown>, kind: ErrorClass): Promise<Thrown> {
  const error = await call.then(() => null, (error: unknown) => error);
  assert.ok(error instanceof kind, `expected ${kind.name}, got ${error}`);
  return error as unknown as Thrown;
}

/** Nothing went upstream, nothing was recorded, and the client did not ask again. */
function assertRefusedOnce(
  proxy: ProxyUnderTest,
  { error, attempts }: { readonly error: Thrown; readonly attempts: () => number },
): void {
  assert.equal(error.headers.get("x-should-retry"), "false");
  assert.equal(error.headers.get("x-llmproxy-request-id"), error.error.request_id);
  assert.deepEqual([attempts(), proxy.upstream.calls.length, proxy.rows().length], [1, 0, 0]);
}
