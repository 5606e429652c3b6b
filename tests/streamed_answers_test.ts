/** Reading with the shortcut past plain deltas, against reading each event on its own. */
import assert from "node:assert/strict";
import { AnswerReader } from "../src/call/answer_reader.ts";
import type { AnswerDialect } from "../src/domain/provider.ts";
import { EMPTY_READING, type UsageReading } from "../src/domain/reading.ts";
import { messages } from "../src/providers/anthropic/messages.ts";
import { SseReader } from "../src/wire/sse.ts";
import { ANSWER_DIALECTS, answerDialectOf } from "./answer_dialects.ts";
import { decodedBodyOf, loadFixtures } from "./fixtures.ts";
import { seeded } from "./json_documents.ts";
import { eventOf, streamText } from "./made_up_streams.ts";

const SEED = 20261128;
/** Of each recorded stream. */
const ROUNDS = 30;
const ANSWER = new Response(null, { headers: { "content-type": "text/event-stream" } });
const ASKED = { model: "", isStreamed: true, maxTokens: null, userId: null, speed: null, inferenceGeo: null };
const encoder = new TextEncoder();
const streams = loadFixtures().filter(({ contentType }) => contentType.startsWith("text/event-stream"));

for (const fixture of streams) {
  Deno.test(`AnswerReader reads ${fixture.provider}/${fixture.name} in random pieces as in one, event by event`, async () => {
    const body = await decodedBodyOf(fixture);
    const random = seeded(SEED);
    for (let round = 0; round < ROUNDS; round++) {
      assertSameReading(body, random, { dialect: answerDialectOf(fixture.provider), hint: `round ${round}` });
    }
  });
}

for (const [folder, dialect] of Object.entries(ANSWER_DIALECTS)) {
  Deno.test(`AnswerReader reads 3,000 seeded streams of ${folder}, some of them damaged, in random pieces as event by event`, () => {
    const random = seeded(SEED);
    for (let round = 0; round < 3_000; round++) {
      const bytes = encoder.encode(streamText(folder, random));
      while (random() < 0.2) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      assertSameReading(bytes, random, { dialect, hint: `round ${round}` });
    }
  });
}

Deno.test("AnswerReader counts what a delta says, whatever words its text holds", () => {
  const text = 'event: message_stop\ndata: {"type":"message_stop"}\n\n';
  const body = encoder.encode(eventOf({ type: "ping" }) + eventOf(textDelta(text)));
  const { reading, outcome } = readWhole(body, messages.answer);
  assert.deepEqual([reading.contentCharacters, outcome], [text.length, null]);
});

Deno.test("AnswerReader parses no plain delta as an event of its own", () => {
  const body = encoder.encode(
    eventOf({ type: "message_start", message: {} }) +
      eventOf(textDelta("word ")).repeat(100) +
      eventOf({ type: "message_stop" }),
  );
  const parsed: string[] = [];
  const dialect: AnswerDialect = {
    ...messages.answer,
    parseStreamEvent: (reading, part) => {
      parsed.push(part.event);
      return messages.answer.parseStreamEvent(reading, part);
    },
  };
  const reader = new AnswerReader(ANSWER, { dialect, asked: ASKED });
  reader.push(body);
  assert.deepEqual(parsed, ["message_start", "message_stop"]);
  assert.deepEqual([reader.reading.contentCharacters, reader.outcome], [500, "completed"]);
});

/** At every place where a chunk ends, and with each chunk's buffer written over afterwards. */
function assertSameReading(
  body: Uint8Array,
  random: () => number,
  { dialect, hint }: { readonly dialect: AnswerDialect; readonly hint: string },
): void {
  const reader = new AnswerReader(ANSWER, { dialect, asked: ASKED });
  const longest = [1, 8, 300, 5_000][Math.floor(random() * 4)]!;
  const exact = exactReader(dialect);
  for (let from = 0; from < body.length;) {
    const to = Math.min(from + 1 + Math.floor(random() * longest), body.length);
    const chunk = body.slice(from, to);
    assert.equal(reader.push(chunk), undefined);
    chunk.fill(0x58);
    exact.push(body.subarray(from, to));
    // The first bytes wait until they tell the answer's form.
    if (to > 64 && !isSame(reader.reading, exact.reading())) assert.deepEqual(reader.reading, exact.reading(), hint);
    from = to;
  }
  assert.deepEqual(reader.reading, exact.reading(), hint);
  assert.deepEqual(readWhole(body, dialect).reading, exact.reading(), hint);
  assert.deepEqual(readWhole(body, dialect).outcome, reader.outcome, hint);
}

/** Comparing is slow, so only readings that may differ are compared as a whole. */
function isSame(one: UsageReading, other: UsageReading): boolean {
  return Object.entries(one).every(([key, value]) => Object.is(value, other[key as keyof UsageReading]));
}

function readWhole(body: Uint8Array, dialect: AnswerDialect): AnswerReader {
  const reader = new AnswerReader(ANSWER, { dialect, asked: ASKED });
  reader.push(body);
  return reader;
}

/** Every event by the parser of events, nothing after the one that ends the answer. */
function exactReader(dialect: AnswerDialect) {
  let reading: UsageReading = EMPTY_READING;
  const events = new SseReader({
    maxEventBytes: 1e6,
    onEvent: (event) => {
      if (!reading.isWhole && reading.errorType === null) reading = dialect.parseStreamEvent(reading, event);
    },
  });
  return { push: (chunk: Uint8Array) => events.push(chunk), reading: () => reading };
}

function textDelta(text: string) {
  return { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } };
}
