/** Every recorded answer of Gemini and of Claude on Vertex AI, through the proxy. */
import assert from "node:assert/strict";
import { EMPTY_READING, type UsageReading } from "../../src/domain/reading.ts";
import { cut } from "../fake_answers.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { type Fixture, loadFixturesOf } from "../fixtures.ts";
import { type ProxyUnderTest, type Row, startProxy } from "../proxy_under_test.ts";
import { RawConnection } from "../raw_connection.ts";

const CUTS = [Infinity, 1, 2, 3, 7, 64];

/** What each dialect's entry says besides its name and base URL, and who sells its calls. */
const DIALECTS: Readonly<Record<string, { readonly seller: string; readonly more: object }>> = {
  gemini: { seller: "gcp.gemini", more: {} },
  vertex: {
    seller: "gcp.vertex_ai",
    more: { project: "team-7", locations: ["us-east5", "global", "europe-west1", "us-central1"] },
  },
};

for (const [dialect, { seller, more }] of Object.entries(DIALECTS)) {
  Deno.test(`the proxy passes every recorded answer of ${dialect} byte for byte and records its reading, whole and cut at 1, 2, 3, 7 and 64 bytes`, async () => {
    await using upstream = await startFakeUpstream();
    const credentials = [{ name: "key", key: "key-of-the-operator" }];
    await using proxy = await proxyOf({ name: "google", dialect, baseUrl: upstream.url, credentials, ...more });
    const token = await proxy.token();
    using connection = new RawConnection(proxy.url);
    const sent: { readonly recorded: Recorded; readonly where: string }[] = [];
    for (const recorded of recordedOf(dialect)) {
      const { fixture, target, outcome } = recorded;
      for (const size of CUTS) {
        const where = `${fixture.name} cut at ${size}`;
        const { status, headers, contentType, body } = fixture;
        upstream.answer({
          status,
          headers: { "content-type": contentType, ...headers },
          body: cut(body, Math.min(size, body.length)),
          framing: "chunked",
        });
        const reply = await connection.send(requestOf(fixture, { url: proxy.url, token, target }));
        assert.deepEqual([reply.status, reply.isBroken], [status, outcome === "upstream_broke"], where);
        assert.deepEqual(reply.body, new Uint8Array(body), where);
        assert.equal(upstream.calls.at(-1)!.target, target);
        sent.push({ recorded, where });
      }
    }
    const rows = await proxy.closedRows(sent.length);
    assert.equal(rows.length, sent.length);
    sent.forEach(({ recorded, where }, n) => assertRow(rows[n]!, { recorded, seller, where }));
  });
}

interface Recorded {
  readonly fixture: Fixture;
  /** Path and query of the request. */
  readonly target: string;
  readonly outcome: string;
}

function recordedOf(dialect: string): readonly Recorded[] {
  return loadFixturesOf(dialect).map((fixture) => {
    const file = new URL(`../fixtures/${dialect}/${fixture.name}/call.json`, import.meta.url);
    return { fixture, ...JSON.parse(Deno.readTextFileSync(file)) };
  });
}

async function proxyOf(entry: object): Promise<ProxyUnderTest> {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(file, JSON.stringify([entry]));
    return await startProxy({ env: { LLMPROXY_UPSTREAMS_FILE: file } });
  } finally {
    await Deno.remove(file);
  }
}

function requestOf(
  { request }: Fixture,
  { url, token, target }: { readonly url: string; readonly token: string; readonly target: string },
) {
  const headers = [
    ["host", new URL(url).host],
    ["x-goog-api-key", token],
    ["content-type", "application/json"],
    ["content-length", String(request.length)],
  ] as const;
  return { method: "POST", target, headers, body: request };
}

function assertRow(
  row: Row,
  { recorded: { fixture, outcome }, seller, where }: {
    readonly recorded: Recorded;
    readonly seller: string;
    readonly where: string;
  },
): void {
  const reading: UsageReading = { ...EMPTY_READING, ...fixture.expected };
  const { hasAbsurdCount, hasInput, hasFinalOutput } = reading;
  const errorType = hasAbsurdCount ? "absurd_usage" : reading.errorType;
  assertColumns(row, { outcome, provider: seller, status: fixture.status, error_type: errorType }, where);
  // Of a refusal no row keeps more.
  if (fixture.status !== 200) return;
  assertColumns(row, {
    message_id: reading.messageId,
    stop_reason: reading.stopReason,
    refusal_category: reading.refusalCategory,
    service_tier: reading.serviceTier,
    inference_geo: reading.inferenceGeo,
  }, where);
  if (!hasInput || hasAbsurdCount) return;
  assertColumns(row, {
    served_model: reading.servedModel,
    input_tokens: reading.inputTokens,
    cache_read_input_tokens: reading.cacheReadInputTokens,
    cache_creation_5m_tokens: reading.cacheCreation5mTokens,
    cache_creation_1h_tokens: reading.cacheCreation1hTokens,
    thinking_tokens: reading.thinkingTokens,
  }, where);
  assert.deepEqual(JSON.parse(String(row.server_tool_use ?? "{}")), reading.serverToolUse, where);
  assert.deepEqual(JSON.parse(String(row.token_parts ?? "{}")), reading.tokenParts, where);
  if (hasFinalOutput) assert.equal(row.output_tokens, reading.outputTokens, where);
  else assert.equal(row.accuracy, "estimated", where);
}

function assertColumns(row: Row, columns: Readonly<Record<string, unknown>>, where: string): void {
  assert.deepEqual(Object.fromEntries(Object.keys(columns).map((name) => [name, row[name]])), columns, where);
}
