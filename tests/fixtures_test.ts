import assert from "node:assert/strict";
import Anthropic from "anthropic_sdk_1";
import { EMPTY_READING, type UsageReading } from "../src/domain/reading.ts";
import { SseReader } from "../src/wire/sse.ts";
import { ANSWER_DIALECTS, answerDialectOf } from "./answer_dialects.ts";
import { decodedBodyOf, type Fixture, loadFixtures } from "./fixtures.ts";

const CUTS = [Infinity, 1, 2, 3, 7, 64];

/** As many as show what a dialect's answers can look like, at least. */
const FEWEST_STREAMS = 12;

const fixtures = loadFixtures();
const streams = fixtures.filter((fixture) => fixture.contentType.startsWith("text/event-stream"));
const bodies = fixtures.filter((fixture) => fixture.contentType === "application/json");

for (const fixture of streams) {
  Deno.test(`parseStreamEvent() reads ${titleOf(fixture)} as its reading.json, whole and cut at 1, 2, 3, 7 and 64 bytes`, async () => {
    const body = await decodedBodyOf(fixture);
    for (const cut of CUTS) {
      assert.deepEqual(readStream(fixture, { body, cut }), { ...EMPTY_READING, ...fixture.expected }, `cut at ${cut}`);
    }
  });

  Deno.test(`parseDeltas() takes nothing of ${titleOf(fixture)} that parseStreamEvent() reads otherwise`, async () => {
    const body = await decodedBodyOf(fixture);
    for (const cut of CUTS) {
      assert.deepEqual(
        readStream(fixture, { body, cut, takesDeltas: true }),
        { ...EMPTY_READING, ...fixture.expected },
        `cut at ${cut}`,
      );
    }
  });
}

for (const fixture of bodies) {
  const dialect = answerDialectOf(fixture.provider);
  Deno.test(`parseNonStreamingResponse() reads ${titleOf(fixture)} as its reading.json, whole and from its answerKeys alone`, async () => {
    const body = new TextDecoder().decode(await decodedBodyOf(fixture));
    const expected = { ...EMPTY_READING, ...fixture.expected };
    assert.deepEqual(dialect.parseNonStreamingResponse(body), expected);
    const kept = Object.entries(JSON.parse(body)).filter(([key]) => dialect.answerKeys.includes(key));
    assert.deepEqual(dialect.parseNonStreamingResponse(JSON.stringify(Object.fromEntries(kept))), expected);
    for (let end = 0; end < body.trimEnd().length; end++) {
      assert.equal(dialect.parseNonStreamingResponse(body.slice(0, end)), EMPTY_READING, `cut off at ${end}`);
    }
  });
}

for (const folder of Object.keys(ANSWER_DIALECTS)) {
  Deno.test(`loadFixtures() gives at least twelve streams of ${folder}, whose readings hold nothing but fields of a reading`, () => {
    assert.ok(streams.filter(({ provider }) => provider === folder).length >= FEWEST_STREAMS);
    for (const { name, expected, request } of fixtures.filter(({ provider }) => provider === folder)) {
      assert.deepEqual(Object.keys(expected).filter((key) => !(key in EMPTY_READING)), [], name);
      assert.equal(typeof JSON.parse(new TextDecoder().decode(request)).model, "string", name);
    }
  });
}

/**
 * Where the SDK's sum is known to be something else than the wire's rules make of the answer, and
 * why.
 */
const SDK_DIFFERS: ReadonlyMap<string, string> = new Map([
  ["usage_missing_in_start", "it throws on a message without usage"],
  ["zero_after_nonzero_start", "it lets the zeros overwrite"],
  ["no_event_names_no_space", "it skips events without a name"],
]);

const ofAnthropic = streams.filter(({ provider }) => provider === "anthropic");
for (const fixture of ofAnthropic.filter(({ name, expected }) => expected.isWhole === true && !SDK_DIFFERS.has(name))) {
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

function titleOf({ provider, name }: Fixture): string {
  return `${provider}/${name}`;
}

/** Nothing after the event that ended the answer counts, as in the proxy. */
function readStream(
  { provider }: Fixture,
  { body, cut, takesDeltas = false }: { readonly body: Uint8Array; readonly cut: number; readonly takesDeltas?: boolean },
): UsageReading {
  const dialect = answerDialectOf(provider);
  let reading = EMPTY_READING;
  const hasEnded = () => reading.isWhole || reading.errorType !== null;
  const sse = new SseReader({
    maxEventBytes: 1024 * 1024,
    onEvent: (event) => {
      if (!hasEnded()) reading = dialect.parseStreamEvent(reading, event);
    },
    skip: (text, from) => {
      if (!takesDeltas || hasEnded()) return from;
      const taken = dialect.parseDeltas(reading, text, from);
      reading = taken.reading;
      return taken.to;
    },
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
