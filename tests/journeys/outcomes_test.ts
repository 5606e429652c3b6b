import assert from "node:assert/strict";
import { type Answer, eventStream, failing, json, messageTo, type SeenCall } from "../fake_answers.ts";
import { messageBody, messageEvents, sse, usageOf } from "../fake_messages.ts";
import { messageCall, type ProxyUnderTest, received, type Row, startProxy } from "../proxy_under_test.ts";

const TEXT = "How does it end?";
const USAGE = usageOf(TEXT);

interface Breakage {
  readonly how: string;
  readonly isStreamed: boolean;
  readonly answer: (call: SeenCall) => Answer;
  /** What of the answer had arrived before it broke. */
  readonly arrived: (call: SeenCall) => string;
  readonly accuracy: "estimated" | "exact" | "unknown";
}

/** Everything up to the third of ten deltas. */
function begun(call: SeenCall): string[] {
  return messageEvents({ ...messageTo(call), deltas: 10 }).slice(0, 6);
}

function allButTheStop(call: SeenCall): string[] {
  return messageEvents({ ...messageTo(call), deltas: 10 }).slice(0, -1);
}

function jsonText(call: SeenCall): string {
  return JSON.stringify(messageBody(messageTo(call)));
}

function half(text: string): string {
  return text.slice(0, text.length / 2);
}

const BREAKAGES: readonly Breakage[] = [
  {
    how: "is reset in mid-stream",
    isStreamed: true,
    answer: (call) => ({ ...eventStream(begun(call)), ending: "reset" }),
    arrived: (call) => begun(call).join(""),
    accuracy: "estimated",
  },
  {
    how: "ends tidily without message_stop",
    isStreamed: true,
    answer: (call) => eventStream(begun(call)),
    arrived: (call) => begun(call).join(""),
    accuracy: "estimated",
  },
  {
    how: "ends tidily after message_delta, without message_stop",
    isStreamed: true,
    answer: (call) => eventStream(allButTheStop(call)),
    arrived: (call) => allButTheStop(call).join(""),
    accuracy: "exact",
  },
  {
    how: "ends tidily in the middle of an event",
    isStreamed: true,
    answer: (call) => eventStream([...begun(call), "event: content_block_delta\ndata: {"]),
    arrived: (call) => begun(call).join("") + "event: content_block_delta\ndata: {",
    accuracy: "estimated",
  },
  {
    how: "cuts its chunked framing",
    isStreamed: true,
    answer: (call) => ({ ...eventStream(begun(call)), ending: "cut" }),
    arrived: (call) => begun(call).join(""),
    accuracy: "estimated",
  },
  {
    how: "closes a connection that delimits a stream",
    isStreamed: true,
    answer: (call) => ({ ...eventStream(begun(call).join("")), framing: "close" }),
    arrived: (call) => begun(call).join(""),
    accuracy: "estimated",
  },
  {
    how: "ends a stream tidily without message_stop, with the length of what it sent",
    isStreamed: true,
    answer: (call) => ({ ...eventStream(begun(call).join("")), framing: "length" }),
    arrived: (call) => begun(call).join("").slice(0, -1),
    accuracy: "estimated",
  },
  {
    how: "answers an empty event stream",
    isStreamed: true,
    answer: () => eventStream([]),
    arrived: () => "",
    accuracy: "unknown",
  },
  {
    how: "cuts a JSON body short of its content-length",
    isStreamed: false,
    answer: (call) => ({ ...json(null), body: half(jsonText(call)), contentLength: jsonText(call).length, ending: "cut" }),
    arrived: (call) => half(jsonText(call)),
    accuracy: "unknown",
  },
  {
    how: "ends a JSON body tidily in its middle, with the length of what it sent",
    isStreamed: false,
    answer: (call) => ({ ...json(null), body: half(jsonText(call)) }),
    // The client knows the length, so the last byte would be the end.
    arrived: (call) => half(jsonText(call)).slice(0, -1),
    accuracy: "unknown",
  },
  {
    how: "ends a JSON body tidily in its middle, in chunks",
    isStreamed: false,
    answer: (call) => ({
      ...json(null),
      body: [half(jsonText(call)).slice(0, 20), half(jsonText(call)).slice(20)],
      framing: "chunked",
    }),
    arrived: (call) => half(jsonText(call)),
    accuracy: "unknown",
  },
  {
    how: "resets a JSON body",
    isStreamed: false,
    answer: (call) => ({ ...json(null), body: [half(jsonText(call))], framing: "chunked", ending: "reset" }),
    arrived: (call) => half(jsonText(call)),
    accuracy: "unknown",
  },
];

for (const { how, isStreamed, answer, arrived, accuracy } of BREAKAGES) {
  Deno.test(`the proxy breaks the client's connection, after every byte that had arrived, where the upstream ${how}`, async () => {
    await using proxy = await startProxy();
    proxy.upstream.answer(answer);
    const got = await received(await ask(proxy, { isStreamed }));
    const call = await proxy.upstream.waitForCalls(1);
    assert.equal(got.text, arrived(call));
    assert.ok(got.error instanceof Error, "the client saw a tidy end");
    const [row] = await proxy.closedRows(1);
    assert.deepEqual([row!.outcome, row!.status, row!.accuracy], ["upstream_broke", 200, accuracy]);
    if (accuracy !== "unknown") assertPromptCounts(row!);
    if (accuracy === "estimated") assertEstimatedOutput(row!);
    assert.equal(proxy.upstream.calls.length, 1);
  });
}

Deno.test("the proxy delivers what came before a reset that follows at once, fifty times", async () => {
  await using proxy = await startProxy();
  proxy.upstream.answer((call) => ({ ...eventStream(begun(call)), ending: "reset" }));
  const token = await proxy.token();
  for (let n = 0; n < 50; n++) {
    const got = await received(await ask(proxy, { isStreamed: true, token }));
    assert.equal(got.text.split("\n\n").length - 1, 6, `round ${n}`);
    assert.ok(got.error instanceof Error, `round ${n}: the client saw a tidy end`);
  }
});

Deno.test("the proxy keeps a call completed whose upstream resets the connection after message_stop", async () => {
  await using proxy = await startProxy();
  proxy.upstream.answer((call) => ({ ...eventStream(messageEvents(messageTo(call))), ending: "reset" }));
  const got = await received(await ask(proxy, { isStreamed: true }));
  assert.match(got.text, /"message_stop"/);
  const [row] = await proxy.closedRows(1);
  assert.deepEqual([row!.outcome, row!.accuracy, row!.output_tokens], ["completed", "exact", USAGE.output_tokens]);
});

Deno.test("the proxy ends a stream tidily that carries an error event, and records its type under the status 200", async () => {
  await using proxy = await startProxy();
  const error = sse("error", { type: "error", error: { type: "overloaded_error", message: "too much" }, request_id: "req_1" });
  proxy.upstream.answer((call) => eventStream([...begun(call), error]));
  const answer = await ask(proxy, { isStreamed: true });
  const got = await received(answer);
  assert.equal(got.error, null);
  assert.ok(got.text.endsWith(error));
  const [row] = await proxy.closedRows(1);
  assert.deepEqual([row!.outcome, row!.status, row!.error_type], ["upstream_error", 200, "overloaded_error"]);
  assert.equal(row!.accuracy, "estimated");
  assertPromptCounts(row!);
  assertEstimatedOutput(row!);
});

const PASSED_HEADERS = {
  "request-id": "req_of_the_upstream",
  "retry-after": "17",
  "retry-after-ms": "17000",
  "x-should-retry": "true",
  "anthropic-ratelimit-requests-remaining": "3",
  "anthropic-ratelimit-tokens-reset": "2026-11-24T05:00:00Z",
  "anthropic-organization-id": "org-1",
};
const ERROR_TYPES: readonly (readonly [status: number, type: string])[] = [
  [400, "invalid_request_error"],
  [402, "billing_error"],
  [403, "permission_error"],
  [404, "not_found_error"],
  [413, "request_too_large"],
  [429, "rate_limit_error"],
  [500, "api_error"],
  [503, "api_error"],
  [529, "overloaded_error"],
];
Deno.test("the proxy passes the upstream's errors with all their headers, and records status and type without tokens", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  const expected: unknown[] = [];
  for (const [status, type] of ERROR_TYPES) {
    for (const isStreamed of [false, true]) {
      const refusal = failing(status, { message: `no, ${status}`, headers: PASSED_HEADERS });
      proxy.upstream.answer(refusal);
      const answer = await ask(proxy, { isStreamed, token });
      const text = await answer.text();
      assert.equal(answer.status, status);
      assert.equal(text, refusal(proxy.upstream.calls.at(-1)!).body);
      for (const [name, value] of Object.entries(PASSED_HEADERS)) {
        assert.equal(answer.headers.get(name), value, `${status} ${name}`);
      }
      assert.match(answer.headers.get("x-llmproxy-request-id") ?? "", /^ar-/);
      expected.push(["upstream_error", status, type, "exact", 0, 0, 0, 0, "req_of_the_upstream"]);
    }
  }
  const rows = await proxy.closedRows(expected.length);
  assert.deepEqual(
    rows.map((row) => [
      row.outcome,
      row.status,
      row.error_type,
      row.accuracy,
      row.input_tokens,
      row.output_tokens,
      row.cache_creation_input_tokens,
      row.cache_read_input_tokens,
      row.upstream_request_id,
    ]),
    expected,
  );
});

async function ask(
  proxy: ProxyUnderTest,
  { isStreamed, token }: { readonly isStreamed: boolean; readonly token?: string },
): Promise<Response> {
  return await fetch(`${proxy.url}/v1/messages`, messageCall(token ?? await proxy.token(), { text: TEXT, stream: isStreamed }));
}

function assertPromptCounts(row: Row): void {
  assert.equal(row.input_tokens, USAGE.input_tokens);
  assert.equal(row.cache_creation_input_tokens, USAGE.cache_creation_input_tokens);
  assert.equal(row.cache_read_input_tokens, USAGE.cache_read_input_tokens);
}

/** More than the placeholder of `message_start`, and no more tokens than characters that passed. */
function assertEstimatedOutput(row: Row): void {
  const passed = "word-0 word-1 word-2 ".length;
  assert.ok(Number(row.output_tokens) > 1 && Number(row.output_tokens) <= passed, `estimated ${row.output_tokens}`);
}
