import assert from "node:assert/strict";
import { EMPTY_READING, type UsageReading } from "../../src/domain/reading.ts";
import { cut } from "../fake_answers.ts";
import { type Fixture, loadFixtures } from "../fixtures.ts";
import { startOpenaiProxy } from "../openai_proxy.ts";
import type { ProxyUnderTest, Row } from "../proxy_under_test.ts";
import { RawConnection, type RawReply } from "../raw_connection.ts";
import { waitFor } from "../wait.ts";

const CUTS = [Infinity, 1, 2, 3, 7, 64];

interface Outcome {
  readonly outcome: string;
  readonly accuracy: string;
  /** Where it is not the reading's, because it was estimated from the text that passed. */
  readonly outputTokens?: number;
  /** Estimated from the request's bytes, because the answer names no input. */
  readonly isInputEstimated?: true;
  /** If the answer names none. */
  readonly servedModel?: string;
}

const WHOLE: Outcome = { outcome: "completed", accuracy: "exact" };
const REFUSED: Outcome = { outcome: "upstream_error", accuracy: "exact" };
const ESTIMATED = { accuracy: "estimated", isInputEstimated: true } as const;

/**
 * What is not whole and exact, and why. Of Anthropic's, 33 and 32 characters of English make 10
 * tokens; of OpenAI's, four make one.
 */
const OUTCOMES: ReadonlyMap<string, Outcome> = new Map([
  ["anthropic/error_in_mid_stream", { outcome: "upstream_error", accuracy: "estimated", outputTokens: 10 }],
  ["anthropic/no_message_stop", { outcome: "upstream_broke", accuracy: "estimated", outputTokens: 10 }],
  ["anthropic/thinking_not_shown_then_cut", { outcome: "upstream_broke", accuracy: "estimated", outputTokens: 5 }],
  ["anthropic/usage_missing_in_start", { outcome: "completed", accuracy: "unknown" }],
  // Whether the attempt that declined before any output is billed depends on its category, which no
  // row knows.
  ["anthropic/fallback_iteration", { outcome: "completed", accuracy: "estimated" }],
  ["anthropic/json_error_429", REFUSED],
  ["anthropic/json_error_529", REFUSED],
  ["openai_responses/cut_without_end", { outcome: "upstream_broke", ...ESTIMATED, outputTokens: 4 }],
  ["openai_responses/error_without_name_or_type", { outcome: "upstream_error", ...ESTIMATED, outputTokens: 1 }],
  // Without a count and without content, nothing is known.
  ["openai_responses/error_event_without_credit", { outcome: "upstream_error", accuracy: "unknown" }],
  ["openai_responses/failed_without_usage", { outcome: "upstream_error", accuracy: "unknown" }],
  ["openai_responses/failed_with_usage", { outcome: "upstream_error", accuracy: "exact" }],
  ["openai_responses/json_background_queued", { outcome: "completed", accuracy: "unknown" }],
  ["openai_responses/json_failed", { outcome: "upstream_error", accuracy: "unknown" }],
  ["openai_responses/json_compaction", { ...WHOLE, servedModel: "gpt-6.1-sol" }],
  ["openai_responses/json_error_400", REFUSED],
  ["openai_responses/json_error_429_quota", REFUSED],
  ["openai_chat/usage_not_asked", { outcome: "completed", ...ESTIMATED, outputTokens: 7 }],
  ["openai_chat/usage_null_in_every_chunk", { outcome: "completed", ...ESTIMATED, outputTokens: 4 }],
  ["openai_chat/json_without_usage", { outcome: "completed", ...ESTIMATED, outputTokens: 2 }],
  ["openai_chat/cut_before_the_usage", { outcome: "upstream_broke", ...ESTIMATED, outputTokens: 4 }],
  ["openai_chat/error_in_mid_stream", { outcome: "upstream_error", ...ESTIMATED, outputTokens: 3 }],
  ["openai_chat/running_usage_then_cut", { outcome: "upstream_broke", accuracy: "estimated", outputTokens: 4 }],
  ["openai_chat/done_missing", { outcome: "upstream_broke", accuracy: "exact" }],
  ["openai_chat/json_error_404", REFUSED],
]);

/** What each folder's answers answer to, and who sells them. */
const ROADS: Readonly<Record<string, { readonly path: string; readonly seller: string; readonly requestIdHeader: string }>> = {
  anthropic: { path: "/v1/messages", seller: "anthropic", requestIdHeader: "request-id" },
  openai_responses: { path: "/v1/responses", seller: "openai", requestIdHeader: "x-request-id" },
  openai_chat: { path: "/v1/chat/completions", seller: "openai", requestIdHeader: "x-request-id" },
};

/** Where one answers to another path than its folder. */
const OTHER_PATHS: ReadonlyMap<string, string> = new Map([["openai_responses/json_compaction", "/v1/responses/compact"]]);

for (const [folder, { path, seller, requestIdHeader }] of Object.entries(ROADS)) {
  Deno.test(`the proxy passes every recorded answer of ${folder} byte for byte and records its reading, whole and cut at 1, 2, 3, 7 and 64 bytes`, async (t) => {
    await using proxy = await startOpenaiProxy();
    const token = await proxy.token();
    const fixtures = loadFixtures().filter(({ provider }) => provider === folder);
    assert.ok(fixtures.length >= 18);
    const seen = { rows: 0 };
    for (const fixture of fixtures) {
      await t.step(fixture.name, async () => {
        using connection = new RawConnection(proxy.url);
        const name = `${folder}/${fixture.name}`;
        const outcome = OUTCOMES.get(name) ?? WHOLE;
        for (const size of CUTS) {
          answerAs(proxy, { fixture, size });
          const target = OTHER_PATHS.get(name) ?? path;
          const reply = await connection.send(requestOf(fixture, { url: proxy.url, token, target }));
          assertSameAnswer(reply, { fixture, isBroken: outcome.outcome === "upstream_broke", where: `cut at ${size}` });
          const row = await rowBehind(proxy, { reply, before: seen.rows });
          seen.rows++;
          assertRow(row, { fixture, outcome, where: `cut at ${size}`, seller, requestId: idOf(proxy, fixture, requestIdHeader) });
        }
      });
    }
    assert.equal(proxy.rows().length, fixtures.length * CUTS.length);
    assert.equal(proxy.upstream.calls.length, fixtures.length * CUTS.length);
  });
}

/** The fake names every call by Anthropic's header. */
function idOf(proxy: ProxyUnderTest, { headers }: Fixture, header: string): string | null {
  return headers[header] ?? (header === "request-id" ? proxy.upstream.calls.at(-1)!.requestId : null);
}

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

function requestOf(
  fixture: Fixture,
  { url, token, target }: { readonly url: string; readonly token: string; readonly target: string },
) {
  return {
    method: "POST",
    target,
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
  options: {
    readonly fixture: Fixture;
    readonly outcome: Outcome;
    readonly where: string;
    readonly seller: string;
    readonly requestId: string | null;
  },
): void {
  const { fixture, outcome, where, seller, requestId } = options;
  const expected: UsageReading = { ...EMPTY_READING, ...fixture.expected };
  const request = JSON.parse(new TextDecoder().decode(fixture.request));
  const columns = {
    outcome: outcome.outcome,
    accuracy: outcome.accuracy,
    status: fixture.status,
    error_type: expected.errorType,
    provider: seller,
    requested_model: request.model,
    served_model: expected.servedModel ?? outcome.servedModel ?? null,
    message_id: expected.messageId,
    upstream_request_id: requestId,
    stop_reason: expected.stopReason,
    refusal_category: expected.refusalCategory,
    streaming: request.stream === true ? 1 : 0,
    input_tokens: outcome.isInputEstimated ? Math.ceil(fixture.request.length / 4) : expected.inputTokens,
    output_tokens: outcome.outputTokens ?? expected.outputTokens,
    cache_creation_input_tokens: expected.cacheCreationInputTokens,
    cache_read_input_tokens: expected.cacheReadInputTokens,
    cache_creation_5m_tokens: expected.cacheCreation5mTokens,
    cache_creation_1h_tokens: expected.cacheCreation1hTokens,
    thinking_tokens: expected.thinkingTokens,
    service_tier: expected.serviceTier,
    inference_geo: expected.inferenceGeo,
    speed: expected.speed,
    max_tokens: maxTokensOf(request),
    request_bytes: fixture.request.length,
  };
  const recorded = Object.fromEntries(Object.keys(columns).map((name) => [name, row[name]]));
  assert.deepEqual(recorded, columns, where);
  assert.deepEqual(JSON.parse(String(row.server_tool_use ?? "{}")), expected.serverToolUse, where);
  assert.deepEqual(JSON.parse(String(row.iterations ?? "[]")), expected.iterations, where);
  assert.deepEqual(JSON.parse(String(row.token_parts ?? "{}")), expected.tokenParts, where);
  assert.equal(row.ttft_ms !== null, expected.hasContent, where);
  assert.ok(Number(row.duration_ms) >= Number(row.ttft_ms ?? 0), where);
}

/** By the keys of all dialects; that of Chat Completions is for each choice. */
function maxTokensOf(request: Readonly<Record<string, number | undefined>>): number | null {
  const { max_tokens, max_output_tokens, max_completion_tokens, n = 1 } = request;
  const each = max_tokens ?? max_output_tokens ?? max_completion_tokens;
  return each === undefined ? null : each * n;
}
