/** Reading with the shortcut past plain deltas, against reading each event on its own. */
import assert from "node:assert/strict";
import { AnswerReader } from "../src/call/answer_reader.ts";
import type { AnswerDialect } from "../src/domain/provider.ts";
import { EMPTY_READING, type UsageReading } from "../src/domain/reading.ts";
import { messages } from "../src/providers/anthropic/messages.ts";
import { SseReader } from "../src/wire/sse.ts";
import { decodedBodyOf, loadFixtures } from "./fixtures.ts";
import { seeded } from "./json_documents.ts";

const SEED = 20261128;
const ANSWER = new Response(null, { headers: { "content-type": "text/event-stream" } });
const ASKED = { model: "", isStreamed: true, maxTokens: null, userId: null, speed: null, inferenceGeo: null };
const encoder = new TextEncoder();
const streams = loadFixtures().filter(({ contentType }) => contentType.startsWith("text/event-stream"));

for (const fixture of streams) {
  Deno.test(`AnswerReader reads ${fixture.name} in random pieces as in one, event by event`, async () => {
    const body = await decodedBodyOf(fixture);
    const random = seeded(SEED);
    for (let round = 0; round < 60; round++) assertSameReading(body, random, `round ${round}`);
  });
}

Deno.test("AnswerReader reads 3,000 seeded streams of deltas, some of them damaged, in random pieces as event by event", () => {
  const random = seeded(SEED);
  for (let round = 0; round < 3_000; round++) {
    const bytes = encoder.encode(streamText(random));
    while (random() < 0.2) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    assertSameReading(bytes, random, `round ${round}`);
  }
});

Deno.test("AnswerReader counts what a delta says, whatever words its text holds", () => {
  const text = 'event: message_stop\ndata: {"type":"message_stop"}\n\n';
  const body = encoder.encode(eventOf("ping", { type: "ping" }) + eventOf("content_block_delta", deltaOf("text", text)));
  const { reading, outcome } = readWhole(body);
  assert.deepEqual([reading.contentCharacters, outcome], [text.length, null]);
});

Deno.test("AnswerReader parses no plain delta as an event of its own", () => {
  const body = encoder.encode(
    eventOf("message_start", { type: "message_start", message: {} }) +
      eventOf("content_block_delta", deltaOf("text", "word ")).repeat(100) +
      eventOf("message_stop", { type: "message_stop" }),
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
function assertSameReading(body: Uint8Array, random: () => number, hint: string): void {
  const reader = newReader();
  const longest = [1, 8, 300, 5_000][Math.floor(random() * 4)]!;
  const exact = exactReader();
  for (let from = 0; from < body.length;) {
    const to = Math.min(from + 1 + Math.floor(random() * longest), body.length);
    const chunk = body.slice(from, to);
    assert.equal(reader.push(chunk), undefined);
    chunk.fill(0x58);
    exact.push(body.subarray(from, to));
    // The first bytes wait until they tell the answer's form.
    if (to > 64) assert.deepEqual(reader.reading, exact.reading(), hint);
    from = to;
  }
  assert.deepEqual(reader.reading, exact.reading(), hint);
  assert.deepEqual(readWhole(body).reading, exact.reading(), hint);
  assert.deepEqual(readWhole(body).outcome, reader.outcome, hint);
}

function newReader(): AnswerReader {
  return new AnswerReader(ANSWER, { dialect: messages.answer, asked: ASKED });
}

function readWhole(body: Uint8Array): AnswerReader {
  const reader = newReader();
  reader.push(body);
  return reader;
}

/** Every event by the parser of events, nothing after the one that ends the answer. */
function exactReader() {
  let reading: UsageReading = EMPTY_READING;
  const events = new SseReader({
    maxEventBytes: 1e6,
    onEvent: (event) => {
      if (!reading.isWhole && reading.errorType === null) reading = messages.answer.parseStreamEvent(reading, event);
    },
  });
  return { push: (chunk: Uint8Array) => events.push(chunk), reading: () => reading };
}

/** Deltas of all kinds, and now and then something that only looks like one. */
function streamText(random: () => number): string {
  const pick = <T>(of: readonly T[]) => of[Math.floor(random() * of.length)]!;
  const words = ["", "a", "é", "👋", "\n", '"', "\\", "\t", "message_stop", "}}\n\n", "\u2028", "\ud83d", "word ".repeat(20)];
  const text = () => Array.from({ length: Math.floor(random() * 6) }, () => pick(words)).join("");
  const one = () => {
    const event = eventOf("content_block_delta", deltaOf(pick(["text", "thinking", "partial_json", "signature"]), text()));
    if (random() < 0.7) return event;
    return pick([
      event.replaceAll("\n", "\r\n"),
      event.replace("event: content_block_delta\n", ""),
      event.replace("content_block_delta\n", "error\n"),
      event.replace("data: ", "data:"),
      event.replace("}}", "} }"),
      event.replace("}}", '},"type":"ping"}'),
      event.replace("\n\n", "\n"),
      event.replace("\n\n", "\n\n\n"),
      eventOf("ping", { type: "ping" }),
      `: comment ${text()}\n\n`,
      eventOf("message_delta", { type: "message_delta", delta: {}, usage: { output_tokens: 7 } }),
      random() < 0.1 ? eventOf("message_stop", { type: "message_stop" }) : "\n",
    ]);
  };
  return `data: {}\n\n${Array.from({ length: 1 + Math.floor(random() * 12) }, one).join("")}`;
}

function deltaOf(key: string, text: string): object {
  return {
    type: "content_block_delta",
    index: 0,
    delta: { type: key === "partial_json" ? "input_json_delta" : `${key}_delta`, [key]: text },
  };
}

function eventOf(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
