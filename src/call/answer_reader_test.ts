/** Streams that are no server-sent events. `tests/streamed_answers_test.ts` has those. */
import assert from "node:assert/strict";
import { messages } from "../../tests/anthropic.ts";
import { joined, messageBytes } from "../../tests/event_stream_bytes.ts";
import type { AnswerDialect, BodyFacts } from "../domain/provider.ts";
import { AnswerReader } from "./answer_reader.ts";

const ASKED: BodyFacts = { model: "m-asked", isStreamed: true, maxTokens: null, userId: null, speed: null, inferenceGeo: "eu" };
const START = { type: "message_start", message: { id: "msg_1", model: "m-1", usage: { input_tokens: 7, output_tokens: 1 } } };
const DELTA = { type: "content_block_delta", delta: { type: "text_delta", text: "hello" } };
const USED = { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 9 } };
const STOP = { type: "message_stop" };
const ALL = [START, DELTA, USED, STOP];

const arrays: AnswerDialect = { ...messages.answer, readsArrays: true, endsWithBytes: true };
const frames: AnswerDialect = {
  ...messages.answer,
  partOf: ({ headers, bytes, from, to }) =>
    headers.get(":event-type") === "chunk" ? { event: "", data: new TextDecoder().decode(bytes.subarray(from, to)) } : null,
};

const encoder = new TextEncoder();
/** Without its closing bracket. */
function arrayOf(events: readonly unknown[]): Uint8Array {
  return encoder.encode(`[${events.map((event) => JSON.stringify(event)).join(",\r\n")}`);
}

function frameOf(event: unknown, type = "chunk"): Uint8Array {
  return messageBytes({ headers: { ":message-type": "event", ":event-type": type }, payload: JSON.stringify(event) });
}

async function readIn(size: number, bytes: Uint8Array, { dialect, type, status = 200 }: {
  readonly dialect: AnswerDialect;
  readonly type: string;
  readonly status?: number;
}) {
  const reader = new AnswerReader(new Response(null, { status, headers: { "content-type": type } }), { dialect, asked: ASKED });
  const holds: boolean[] = [];
  for (let from = 0; from < bytes.length; from += size) {
    await reader.push(bytes.slice(from, from + size));
    holds.push(reader.holdsLast);
  }
  const early = reader.outcome;
  const outcome = await reader.end();
  return { early, outcome, reading: reader.reading, holdsLast: holds.at(-1) };
}

for (const size of [1, 2, 3, 7, 64, 10_000]) {
  Deno.test(`AnswerReader reads a JSON array in pieces of ${size} as a stream that is whole at the end of its bytes`, async () => {
    const json = { dialect: arrays, type: "application/json; charset=UTF-8" };
    const whole = joined([arrayOf(ALL), encoder.encode("]")]);
    const { early, outcome, reading, holdsLast } = await readIn(size, whole, json);
    assert.deepEqual([early, outcome, holdsLast, reading.inputTokens, reading.outputTokens], [null, "completed", true, 7, 9]);
    const cut = await readIn(size, arrayOf([START, DELTA]), json);
    assert.deepEqual([cut.outcome, cut.reading.inputTokens, cut.reading.contentCharacters], ["upstream_broke", 7, 5]);
  });

  Deno.test(`AnswerReader holds pieces of ${size} of a stream that is whole at the end of its bytes only once it may be whole`, async () => {
    const json = { dialect: arrays, type: "application/json; charset=UTF-8" };
    const { holdsLast } = await readIn(size, arrayOf([START, DELTA, USED]), json);
    assert.equal(holdsLast, false);
  });

  Deno.test(`AnswerReader reads binary frames in pieces of ${size}, and ends with the frame that ends the answer`, async () => {
    const binary = { dialect: frames, type: "application/vnd.amazon.eventstream" };
    const whole = joined([frameOf({ unknown: 1 }, "initial-response"), ...ALL.map((event) => frameOf(event))]);
    const { early, outcome, reading, holdsLast } = await readIn(size, whole, binary);
    assert.deepEqual([early, outcome, holdsLast], ["completed", "completed", false]);
    assert.deepEqual([reading.servedModel, reading.inputTokens, reading.outputTokens], ["m-1", 7, 9]);
    const cut = await readIn(size, joined([frameOf(START), frameOf(DELTA).slice(0, -1)]), binary);
    assert.deepEqual([cut.outcome, cut.reading.contentCharacters], ["upstream_broke", 0]);
  });
}

Deno.test("AnswerReader reads neither form for a dialect that does not have it (trap 34)", async () => {
  const plain = messages.answer;
  assert.equal((await readIn(64, arrayOf(ALL), { dialect: plain, type: "application/json" })).reading.inputTokens, 0);
  const binary = { dialect: plain, type: "application/vnd.amazon.eventstream" };
  const { outcome, reading } = await readIn(64, joined(ALL.map((event) => frameOf(event))), binary);
  assert.deepEqual([outcome, reading.inputTokens], ["upstream_error", 0]);
});

Deno.test("AnswerReader takes what the answer leaves out from the request and the head, and nothing that it says", async () => {
  const dialect: AnswerDialect = {
    ...messages.answer,
    unsaid: ({ model, inferenceGeo }, headers) => ({
      servedModel: model,
      inferenceGeo,
      serviceTier: headers.get("content-type"),
    }),
  };
  const stream = encoder.encode(ALL.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""));
  const json = encoder.encode(
    JSON.stringify({ type: "message", usage: { input_tokens: 3, output_tokens: 4, inference_geo: "us" } }),
  );
  const events = await readIn(7, stream, { dialect, type: "text/event-stream" });
  const document = await readIn(7, json, { dialect, type: "application/json" });
  const said = [events, document].map(({ reading }) => [reading.servedModel, reading.inferenceGeo, reading.serviceTier]);
  assert.deepEqual(said, [["m-1", "eu", "text/event-stream"], ["m-asked", "us", "application/json"]]);
});
