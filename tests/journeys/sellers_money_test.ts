/** What calls to each seller cost, from the bytes of its answer to the row. */
import assert from "node:assert/strict";
import { json, type SeenCall } from "../fake_answers.ts";
import { bedrockModel } from "../fake_bedrock.ts";
import { claudeMessage } from "../fake_claude.ts";
import { geminiModel } from "../fake_gemini.ts";
import { openaiModel } from "../fake_openai.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { FINAL_ANSWER } from "../scripted_turns.ts";

const NOW = Date.parse("2026-11-24T12:00:00Z");
const SCRIPT = { turn: () => ({ text: FINAL_ANSWER }) };
const SAY = { max_tokens: 64, messages: [{ role: "user", content: "hi" }] };

interface Priced {
  readonly path: string;
  readonly body: object;
  readonly provider: string;
  /** Nano-dollars; null: unpriced. */
  readonly cost: number | null;
  readonly accuracy?: "estimated";
}

/** 41,003 of input, of which 36,000 were read and 4,096 written: 907 are left. 207 of output. */
const RESPONSES = { read: 36_000, written: 4_096, rest: 907, output: 207 };
/** 1,003 input, 3,072 and 1,024 written, 36,000 read, 207 output: at $4, $5, $8, $0.20, $20. */
const OPUS = 1_003 * 4_000 + 3_072 * 5_000 + 1_024 * 8_000 + 36_000 * 200 + 207 * 20_000;

const CALLS: readonly Priced[] = [
  {
    path: "/openai/v1/responses",
    body: { model: "gpt-6.2-sol", input: "hi", stream: true },
    provider: "openai",
    // Served fast, which is twice $2, $0.10, $2.50 and $10.
    cost: 2 * (RESPONSES.rest * 2_000 + RESPONSES.read * 100 + RESPONSES.written * 2_500 + RESPONSES.output * 10_000),
  },
  {
    path: "/openai/v1/chat/completions",
    body: { model: "gpt-5.5", messages: SAY.messages },
    provider: "openai",
    // OpenAI has billed no writes of this model, so what they cost is not known.
    cost: null,
  },
  {
    path: "/gemini/v1beta/models/gemini-4-carbon:streamGenerateContent?alt=sse",
    body: { contents: [{ role: "user", parts: [{ text: "hi" }] }] },
    provider: "gcp.gemini",
    // 37,003 of prompt, of which 36,000 were cached; 143 and 64 thoughts of output; $2, $0.10, $10.
    cost: 1_003 * 2_000 + 36_000 * 100 + (143 + 64) * 10_000,
  },
  {
    path: "/bedrock/model/us.anthropic.claude-opus-5-5-v1:0/invoke-with-response-stream",
    body: { anthropic_version: "bedrock-2023-05-31", ...SAY },
    provider: "aws.bedrock",
    cost: OPUS * 110 / 100,
  },
  {
    path: "/bedrock/model/global.anthropic.claude-opus-5-5-v1:0/invoke",
    body: { anthropic_version: "bedrock-2023-05-31", ...SAY },
    provider: "aws.bedrock",
    cost: OPUS,
  },
  {
    path: "/bedrock/model/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile%2Fopus/invoke",
    body: { anthropic_version: "bedrock-2023-05-31", ...SAY },
    provider: "aws.bedrock",
    // The answer names Haiku 4.5, at $1, $1.25, $2, $0.10 and $5, and the profile tells no place.
    cost: (1_003 * 1_000 + 3_072 * 1_250 + 1_024 * 2_000 + 36_000 * 100 + 207 * 5_000) * 110 / 100,
    accuracy: "estimated",
  },
  {
    path: "/anthropic/v1/messages",
    body: { model: "eu.anthropic.claude-opus-5-5", ...SAY },
    provider: "aws.bedrock",
    cost: OPUS * 110 / 100,
  },
];

Deno.test("a call costs what its seller bills, and priced again from its row it costs the same", async () => {
  await using proxy = await openProxy();
  proxy.upstream.answer(answerOf);
  const token = await proxy.token();
  for (const { path, body } of CALLS) {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(proxy.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    assert.equal(answer.status, 200, path);
    await answer.arrayBuffer();
  }
  const rows = await proxy.closedRows(CALLS.length);
  assert.deepEqual(
    rows.map(({ provider, cost, accuracy }) => ({ provider, cost, accuracy })),
    CALLS.map(({ provider, cost, accuracy = "exact" }) => ({ provider, cost, accuracy })),
  );
  const init = { method: "POST", headers: { authorization: `Bearer ${proxy.adminToken}` } };
  const again = await fetch(`${proxy.adminUrl}/internal/reprice?since=2026-11-24T00:00:00Z&until=2026-11-25T00:00:00Z`, init);
  const { readCount, repricedCount } = await again.json();
  assert.deepEqual([readCount, repricedCount], [CALLS.length, 0]);
});

function answerOf(call: SeenCall) {
  if (call.target.startsWith("/model/")) return bedrockModel(SCRIPT)(call);
  if (call.target.startsWith("/v1beta/")) return geminiModel(SCRIPT)(call);
  if (call.target !== "/v1/messages") return openaiModel({ ...SCRIPT, tier: "fast" })(call);
  return json(claudeMessage({ turn: SCRIPT.turn(), call, model: "claude-opus-5-5", idPrefix: "msg_" }));
}

/** All its upstreams are one fake. */
async function openProxy(): Promise<ProxyUnderTest> {
  const file = await Deno.makeTempFile({ prefix: "llmproxy-upstreams-" });
  const models = ["*", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/*"];
  const dialects = [["openai"], ["gemini"], ["bedrock", { models }], ["anthropic", { provider: "aws.bedrock" }]] as const;
  try {
    return await startProxy({
      system: { now: () => NOW },
      env: ({ upstreamUrl }) => {
        const upstreams = dialects.map(([dialect, more = {}]) => {
          return { name: dialect, dialect, baseUrl: upstreamUrl, credentials: [{ name: dialect, key: "a-key" }], ...more };
        });
        Deno.writeTextFileSync(file, JSON.stringify(upstreams));
        return { ANTHROPIC_API_KEY: "", ANTHROPIC_BASE_URL: "", LLMPROXY_UPSTREAMS_FILE: file };
      },
    });
  } finally {
    await Deno.remove(file);
  }
}
