import assert from "node:assert/strict";
import Anthropic from "anthropic_sdk_1";
import { EMPTY_READING, type UsageReading } from "../src/domain/reading.ts";
import { messages } from "../src/providers/anthropic/messages.ts";
import { SseReader } from "../src/wire/sse.ts";
import { decodedBodyOf, type Fixture, loadFixtures } from "./fixtures.ts";

const CUTS = [Infinity, 1, 2, 3, 7, 64];

const fixtures = loadFixtures();
const streams = fixtures.filter((fixture) => fixture.contentType.startsWith("text/event-stream"));
const bodies = fixtures.filter((fixture) => fixture.contentType === "application/json");

for (const fixture of streams) {
  Deno.test(`parseStreamEvent() reads ${fixture.name} as its reading.json, whole and cut at 1, 2, 3, 7 and 64 bytes`, async () => {
    const body = await decodedBodyOf(fixture);
    for (const cut of CUTS) {
      assert.deepEqual(readStream(body, cut), { ...EMPTY_READING, ...fixture.expected }, `cut at ${cut}`);
    }
  });
}

for (const fixture of bodies) {
  Deno.test(`parseNonStreamingResponse() reads ${fixture.name} as its reading.json, whole and from its answerKeys alone`, async () => {
    const body = new TextDecoder().decode(await decodedBodyOf(fixture));
    const expected = { ...EMPTY_READING, ...fixture.expected };
    assert.deepEqual(messages.answer.parseNonStreamingResponse(body), expected);
    const kept = Object.entries(JSON.parse(body)).filter(([key]) => messages.answer.answerKeys.includes(key));
    assert.deepEqual(messages.answer.parseNonStreamingResponse(JSON.stringify(Object.fromEntries(kept))), expected);
    for (let end = 0; end < body.length; end++) {
      assert.equal(messages.answer.parseNonStreamingResponse(body.slice(0, end)), EMPTY_READING, `cut off at ${end}`);
    }
  });
}

Deno.test("loadFixtures() gives at least eighteen cases, whose readings hold nothing but fields of a reading", () => {
  assert.ok(fixtures.length >= 18);
  for (const { name, expected, request } of fixtures) {
    assert.deepEqual(Object.keys(expected).filter((key) => !(key in EMPTY_READING)), [], name);
    assert.equal(typeof JSON.parse(new TextDecoder().decode(request)).model, "string", name);
  }
});

/**
 * Where the SDK's sum is known to be something else than the wire's rules make of the answer, and
 * why.
 */
const SDK_DIFFERS: ReadonlyMap<string, string> = new Map([
  ["usage_missing_in_start", "it throws on a message without usage"],
  ["zero_after_nonzero_start", "it lets the zeros overwrite"],
  ["no_event_names_no_space", "it skips events without a name"],
]);

for (const fixture of streams.filter(({ name, expected }) => expected.isWhole === true && !SDK_DIFFERS.has(name))) {
  Deno.test(`reading.json of ${fixture.name} is what Anthropic's own SDK sums up`, async () => {
    const message = await sdkMessageOf(fixture);
    const { usage } = message;
    const summed: Partial<UsageReading> = {
      messageId: message.id,
      servedModel: message.model,
      stopReason: message.stop_reason,
      inputTokens: usage.input_tokens,
      outputTokens: usage.output_tokens,
      cacheCreationInputTokens: usage.cache_creation_input_tokens ?? 0,
      cacheReadInputTokens: usage.cache_read_input_tokens ?? 0,
      thinkingTokens: usage.output_tokens_details?.thinking_tokens ?? 0,
      iterations: (usage.iterations ?? []).map((iteration) => ({ ...iteration })),
    };
    const expected: UsageReading = { ...EMPTY_READING, ...fixture.expected };
    for (const key of Object.keys(summed) as (keyof UsageReading)[]) assert.deepEqual(expected[key], summed[key], key);
  });
}

function readStream(body: Uint8Array, cut: number): UsageReading {
  let reading = EMPTY_READING;
  const sse = new SseReader({
    maxEventBytes: 1024 * 1024,
    onEvent: (event) => reading = messages.answer.parseStreamEvent(reading, event),
  });
  for (let from = 0; from < body.length; from += cut) sse.push(body.subarray(from, Math.min(from + cut, body.length)));
  sse.end();
  assert.equal(sse.isBlind, false);
  return reading;
}

async function sdkMessageOf(fixture: Fixture) {
  const body = await decodedBodyOf(fixture);
  const client = new Anthropic({
    apiKey: "not-a-key",
    maxRetries: 0,
    fetch: () => Promise.resolve(new Response(body, { headers: { "content-type": fixture.contentType } })),
  });
  return await client.beta.messages.stream(JSON.parse(new TextDecoder().decode(fixture.request))).finalMessage();
}
