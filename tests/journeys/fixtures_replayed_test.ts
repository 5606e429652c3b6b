import assert from "node:assert/strict";
import { EMPTY_READING, type UsageReading } from "../../src/domain/reading.ts";
import { cut } from "../fake_answers.ts";
import { type Fixture, loadFixtures } from "../fixtures.ts";
import { type ProxyUnderTest, type Row, startProxy } from "../proxy_under_test.ts";
import { RawConnection, type RawReply } from "../raw_connection.ts";
import { waitFor } from "../wait.ts";

const CUTS = [Infinity, 1, 2, 3, 7, 64];

interface Outcome {
  readonly outcome: string;
  readonly accuracy: string;
  /** Where it is not the reading's, because it was estimated from the text that passed. */
  readonly outputTokens?: number;
}

const WHOLE: Outcome = { outcome: "completed", accuracy: "exact" };

/** What is not whole and exact, and why: 33 and 32 characters of English make 10 tokens. */
const OUTCOMES: ReadonlyMap<string, Outcome> = new Map([
  ["error_in_mid_stream", { outcome: "upstream_error", accuracy: "estimated", outputTokens: 10 }],
  ["no_message_stop", { outcome: "upstream_broke", accuracy: "estimated", outputTokens: 10 }],
  ["thinking_not_shown_then_cut", { outcome: "upstream_broke", accuracy: "estimated", outputTokens: 5 }],
  ["usage_missing_in_start", { outcome: "completed", accuracy: "unknown" }],
  // Whether the attempt that declined before any output is billed depends on its category, which no
  // row knows.
  ["fallback_iteration", { outcome: "completed", accuracy: "estimated" }],
  ["json_error_429", { outcome: "upstream_error", accuracy: "exact" }],
  ["json_error_529", { outcome: "upstream_error", accuracy: "exact" }],
]);

Deno.test("the proxy passes every recorded answer byte for byte and records its reading, whole and cut at 1, 2, 3, 7 and 64 bytes", async (t) => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  const fixtures = loadFixtures();
  assert.ok(fixtures.length >= 18);
  const seen = { rows: 0 };
  for (const fixture of fixtures) {
    await t.step(fixture.name, async () => {
      using connection = new RawConnection(proxy.url);
      const outcome = OUTCOMES.get(fixture.name) ?? WHOLE;
      for (const size of CUTS) {
        answerAs(proxy, { fixture, size });
        const reply = await connection.send(requestOf(fixture, { url: proxy.url, token }));
        assertSameAnswer(reply, { fixture, isBroken: outcome.outcome === "upstream_broke", where: `cut at ${size}` });
        const row = await rowBehind(proxy, { reply, before: seen.rows });
        seen.rows++;
        assertRow(row, { fixture, outcome, where: `cut at ${size}`, proxy });
      }
    });
  }
  assert.equal(proxy.rows().length, fixtures.length * CUTS.length);
  assert.equal(proxy.upstream.calls.length, fixtures.length * CUTS.length);
});

function answerAs(proxy: ProxyUnderTest, { fixture, size }: { readonly fixture: Fixture; readonly size: number }): void {
  const { status, headers, contentType, contentEncoding, body } = fixture;
  const encoded: Readonly<Record<string, string>> = contentEncoding === null ? {} : { "content-encoding": contentEncoding };
  proxy.upstream.answer({
    status,
    headers: { "content-type": contentType, ...encoded, ...headers },
    body: cut(body, Math.min(size, body.length)),
    framing: size === Infinity && !contentType.startsWith("text/event-stream") ? "length" : "chunked",
  });
}

function requestOf(fixture: Fixture, { url, token }: { readonly url: string; readonly token: string }) {
  return {
    method: "POST",
    target: "/v1/messages",
    headers: [
      ["host", new URL(url).host],
      ["x-api-key", token],
      ["content-type", "application/json"],
      ["accept-encoding", "gzip, deflate, br, zstd"],
      ["content-length", String(fixture.request.length)],
    ],
    body: fixture.request,
  } as const;
}

function assertSameAnswer(
  reply: RawReply,
  { fixture, isBroken, where }: { readonly fixture: Fixture; readonly isBroken: boolean; readonly where: string },
): void {
  assert.deepEqual(reply.body, new Uint8Array(fixture.body), where);
  assert.equal(reply.isBroken, isBroken, where);
  assert.equal(reply.status, fixture.status, where);
  assert.equal(reply.headers.get("content-type"), fixture.contentType, where);
  assert.equal(reply.headers.get("content-encoding") ?? null, fixture.contentEncoding, where);
  for (const [name, value] of Object.entries(fixture.headers)) assert.equal(reply.headers.get(name), value, where);
}

/**
 * Who has seen an answer's end finds its row closed; an answer that breaks may be a moment ahead of
 * its row.
 */
async function rowBehind(
  proxy: ProxyUnderTest,
  { reply, before }: { readonly reply: RawReply; readonly before: number },
): Promise<Row> {
  const closed = () => proxy.rows().slice(before).find((row) => row.outcome !== null) ?? null;
  const row = reply.isBroken ? await waitFor(closed, { what: "the row of an answer that broke" }) : closed();
  assert.ok(row !== null, "the answer has been seen whole, and its row is not closed");
  return row;
}

function assertRow(
  row: Row,
  options: { readonly fixture: Fixture; readonly outcome: Outcome; readonly where: string; readonly proxy: ProxyUnderTest },
): void {
  const { fixture, outcome, where, proxy } = options;
  const expected: UsageReading = { ...EMPTY_READING, ...fixture.expected };
  const request = JSON.parse(new TextDecoder().decode(fixture.request));
  const columns = {
    outcome: outcome.outcome,
    accuracy: outcome.accuracy,
    status: fixture.status,
    error_type: expected.errorType,
    provider: fixture.provider,
    requested_model: request.model,
    served_model: expected.servedModel,
    message_id: expected.messageId,
    upstream_request_id: fixture.headers["request-id"] ?? proxy.upstream.calls.at(-1)!.requestId,
    stop_reason: expected.stopReason,
    refusal_category: expected.refusalCategory,
    streaming: request.stream === true ? 1 : 0,
    input_tokens: expected.inputTokens,
    output_tokens: outcome.outputTokens ?? expected.outputTokens,
    cache_creation_input_tokens: expected.cacheCreationInputTokens,
    cache_read_input_tokens: expected.cacheReadInputTokens,
    cache_creation_5m_tokens: expected.cacheCreation5mTokens,
    cache_creation_1h_tokens: expected.cacheCreation1hTokens,
    thinking_tokens: expected.thinkingTokens,
    service_tier: expected.serviceTier,
    inference_geo: expected.inferenceGeo,
    speed: expected.speed,
    max_tokens: request.max_tokens,
    request_bytes: fixture.request.length,
  };
  const recorded = Object.fromEntries(Object.keys(columns).map((name) => [name, row[name]]));
  assert.deepEqual(recorded, columns, where);
  assert.deepEqual(JSON.parse(String(row.server_tool_use ?? "{}")), expected.serverToolUse, where);
  assert.deepEqual(JSON.parse(String(row.iterations ?? "[]")), expected.iterations, where);
  assert.equal(row.ttft_ms !== null, expected.hasContent, where);
  assert.ok(Number(row.duration_ms) >= Number(row.ttft_ms ?? 0), where);
}
