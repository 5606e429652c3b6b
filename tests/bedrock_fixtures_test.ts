import assert from "node:assert/strict";
import Anthropic from "anthropic_sdk_1";
import { AnswerReader } from "../src/call/answer_reader.ts";
import { EMPTY_READING, type UsageReading } from "../src/domain/reading.ts";
import { bedrock } from "../src/providers/bedrock/bedrock.ts";
import { invoke } from "../src/providers/bedrock/invoke.ts";
import { EventStreamReader } from "../src/wire/event_stream.ts";
import { type BedrockFixture, loadBedrockFixtures } from "./bedrock_fixtures.ts";

const CUTS = [Infinity, 1, 2, 3, 7, 64];

const fixtures = loadBedrockFixtures();

for (const fixture of fixtures) {
  Deno.test(`bedrock reads ${fixture.name} as its file says, whole and cut at 1, 2, 3, 7 and 64 bytes`, async () => {
    for (const cut of CUTS) {
      const { reading, outcome } = await readAnswer(fixture, cut);
      assert.deepEqual(reading, { ...EMPTY_READING, ...fixture.reading }, `cut at ${cut}`);
      assert.equal(outcome, fixture.outcome, `cut at ${cut}`);
    }
  });
}

Deno.test("EventStreamReader is blind in the damaged streams of Bedrock alone", () => {
  for (const { name, body, events, isBlind } of fixtures.filter(({ events }) => events !== null)) {
    const reader = new EventStreamReader({ maxMessageBytes: 1024 * 1024, onMessage: () => {} });
    for (let from = 0; from < body.length; from += 50) reader.push(body.subarray(from, from + 50));
    assert.equal(reader.isBlind, isBlind, `${name}: ${events?.length} events`);
  }
});

Deno.test("bedrock takes an event stream that is cut at any byte for one that broke", async () => {
  const fixture = fixtures.find(({ name }) => name === "plain_stream")!;
  const { body } = fixture;
  for (let end = 1; end < body.length; end += 13) {
    const { reading, outcome } = await readAnswer({ ...fixture, body: body.subarray(0, end) }, Infinity);
    assert.deepEqual([outcome, reading.isWhole], ["upstream_broke", false], `cut off at ${end}`);
  }
});

Deno.test("loadBedrockFixtures() gives at least twelve streams, whose readings hold nothing but fields of a reading", () => {
  assert.ok(fixtures.filter(({ events }) => events !== null).length >= 12);
  for (const { name, reading, request } of fixtures) {
    assert.deepEqual(Object.keys(reading).filter((key) => !(key in EMPTY_READING)), [], name);
    // What Bedrock refuses in a body.
    assert.deepEqual(["model", "stream"].filter((key) => key in request), [], name);
  }
});

for (const fixture of fixtures.filter(({ events, sdkDiffers }) => events !== null && sdkDiffers === null)) {
  Deno.test(`the reading of ${fixture.name} is what Anthropic's own SDK sums up of its events`, async () => {
    const { id, model, stop_reason, usage } = await sdkMessageOf(fixture.events!);
    const summed: Partial<UsageReading> = {
      messageId: id,
      servedModel: model,
      stopReason: stop_reason,
      inputTokens: usage.input_tokens,
      outputTokens: usage.output_tokens,
      cacheCreationInputTokens: usage.cache_creation_input_tokens ?? 0,
      cacheReadInputTokens: usage.cache_read_input_tokens ?? 0,
      thinkingTokens: usage.output_tokens_details?.thinking_tokens ?? 0,
    };
    const expected: UsageReading = { ...EMPTY_READING, ...fixture.reading };
    for (const key of Object.keys(summed) as (keyof UsageReading)[]) assert.deepEqual(expected[key], summed[key], key);
  });
}

/** As the proxy reads it, by the route of its path. */
async function readAnswer({ target, request, answer, body }: BedrockFixture, cut: number) {
  const values = new Map(Object.entries(request).filter(([key]) => invoke.request.keys.includes(key)));
  const asked = invoke.request.factsOf(values, target);
  assert.equal(bedrock.routes.find((route) => "call" in route && route.call === invoke)?.kind, "billed");
  const reader = new AnswerReader(answer, { dialect: invoke.answer, asked });
  for (let from = 0; from < body.length; from += cut) await reader.push(body.slice(from, Math.min(from + cut, body.length)));
  const outcome = await reader.end();
  reader.close();
  return { reading: reader.reading, outcome };
}

async function sdkMessageOf(events: readonly unknown[]) {
  const named = events as readonly { readonly type: string }[];
  const body = named.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
  const client = new Anthropic({
    apiKey: "not-a-key",
    maxRetries: 0,
    fetch: () => Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } })),
  });
  return await client.beta.messages.stream({ model: "any", max_tokens: 1, messages: [] }).finalMessage();
}
