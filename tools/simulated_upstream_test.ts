import assert from "node:assert/strict";
import AnthropicOld from "anthropic_sdk_0";
import Anthropic from "anthropic_sdk_1";
import { type SimulatedUpstream, startSimulatedUpstream } from "./simulated_upstream.ts";

const ASK = { model: "claude-opus-4-8", max_tokens: 64, messages: [{ role: "user" as const, content: "hi" }] };

async function whileItRuns(play: (upstream: SimulatedUpstream) => Promise<void>): Promise<void> {
  const upstream = await startSimulatedUpstream();
  try {
    await play(upstream);
  } finally {
    await upstream.close();
  }
}

Deno.test("startSimulatedUpstream() answers SDK 0.137, streamed and not, and says that it is simulated", () =>
  whileItRuns(async ({ url }) => {
    const client = new AnthropicOld({ baseURL: url, apiKey: "none", maxRetries: 0 });
    const message = await client.messages.create(ASK);
    const streamed = await client.messages.stream(ASK).finalMessage();
    assert.match(JSON.stringify(message.content), /simulated: no ANTHROPIC_API_KEY is set/);
    assert.deepEqual(streamed.content, message.content);
    assert.equal(streamed.stop_reason, "end_turn");
    assert.equal(streamed.usage.output_tokens, message.usage.output_tokens);
  }));

Deno.test("startSimulatedUpstream() answers SDK 1.12, counts tokens and lists models", () =>
  whileItRuns(async ({ url }) => {
    const client = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
    assert.ok((await client.messages.stream(ASK).finalMessage()).usage.input_tokens > 0);
    assert.ok((await client.messages.countTokens(ASK)).input_tokens > 0);
    assert.ok((await client.models.list()).data.length > 0);
  }));

Deno.test("startSimulatedUpstream() writes a prompt with breakpoints to the cache in its first turn and reads it later", () =>
  whileItRuns(async ({ url }) => {
    const client = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
    const text = { type: "text" as const, text: "long ".repeat(100), cache_control: { type: "ephemeral" as const } };
    const first = { role: "user" as const, content: [text] };
    const { usage } = await client.messages.create({ ...ASK, messages: [first] });
    assert.ok(usage.cache_creation_input_tokens! > 0);
    assert.equal(usage.cache_read_input_tokens, 0);
    const answered = { role: "assistant" as const, content: "x" };
    const later = await client.messages.create({ ...ASK, messages: [first, answered, first] });
    assert.ok(later.usage.cache_read_input_tokens! > 0);
    assert.equal(later.usage.cache_creation_input_tokens, 0);
  }));

Deno.test("startSimulatedUpstream() refuses what it cannot answer in Anthropic's error JSON", () =>
  whileItRuns(async ({ url }) => {
    for (const [path, body, status] of [["/v1/messages", "not JSON", 400], ["/v1/files", "{}", 404]] as const) {
      const answer = await fetch(url + path, { method: "POST", body });
      assert.equal(answer.status, status);
      assert.equal((await answer.json()).type, "error");
    }
  }));
