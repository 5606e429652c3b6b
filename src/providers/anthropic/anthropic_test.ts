import assert from "node:assert/strict";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { MAX_CLIENT_STRING_BYTES } from "../../domain/text.ts";
import { parseLine } from "./batches.ts";
import { messages } from "./messages.ts";
import { estimate, filesMadeIn, parseDeltas, parseNonStreamingResponse, parseStreamEvent } from "./answer.ts";

const START = {
  type: "message_start",
  message: {
    id: "msg_01",
    type: "message",
    model: "claude-opus-5-5",
    stop_reason: null,
    usage: {
      input_tokens: 25,
      output_tokens: 3,
      cache_creation_input_tokens: 100,
      cache_read_input_tokens: 40,
      cache_creation: { ephemeral_5m_input_tokens: 60, ephemeral_1h_input_tokens: 40 },
      output_tokens_details: { thinking_tokens: 2 },
      server_tool_use: { web_search_requests: 1 },
      service_tier: "standard",
      inference_geo: "us",
      speed: "fast",
      iterations: [{ type: "message", model: null, input_tokens: 25, cache_creation: { ephemeral_1h_input_tokens: 4 } }],
    },
  },
};
const [FILE_1, FILE_2] = ["file_1", "file_2"].map((id) => ({ id, kind: "file" }));
const STARTED = fold(EMPTY_READING, START);

Deno.test("parseStreamEvent() takes the whole usage object of message_start", () => {
  assert.deepEqual(STARTED, {
    ...EMPTY_READING,
    messageId: "msg_01",
    servedModel: "claude-opus-5-5",
    inputTokens: 25,
    outputTokens: 3,
    cacheCreationInputTokens: 100,
    cacheReadInputTokens: 40,
    cacheCreation5mTokens: 60,
    cacheCreation1hTokens: 40,
    thinkingTokens: 2,
    serverToolUse: { web_search_requests: 1 },
    serviceTier: "standard",
    inferenceGeo: "us",
    speed: "fast",
    iterations: START.message.usage.iterations,
    hasInput: true,
  });
});

Deno.test("parseStreamEvent() returns the very same reading for what it does not know and what is not an object", () => {
  const data = [
    "",
    "{",
    "null",
    "[]",
    "7",
    '"message_stop"',
    '{"type":"ping"}',
    '{"type":"toString"}',
    '{"type":"content_block_stop"}',
  ];
  for (const text of [...data, '{"type":"message_start"}', '{"type":"content_block_delta","delta":null}', "\u0000"]) {
    for (const event of ["", "ping", "constructor", "__proto__", "brand_new"]) {
      assert.equal(parseStreamEvent(STARTED, { event, data: text }), STARTED, `${event}: ${text}`);
    }
  }
  assert.equal(parseStreamEvent(STARTED, { event: "message_stop", data: "[DONE]" }), STARTED);
});

Deno.test("parseStreamEvent() believes the data's type against the event's name, and the name where the data have no type", () => {
  assert.equal(parseStreamEvent(STARTED, { event: "ping", data: '{"type":"message_stop"}' }).isWhole, true);
  assert.equal(parseStreamEvent(STARTED, { event: "message_stop", data: '{"type":"ping"}' }), STARTED);
  assert.equal(parseStreamEvent(STARTED, { event: "message_stop", data: "{}" }).isWhole, true);
});

Deno.test("parseStreamEvent() reads an error event that says no type, or nothing readable, as `error`", () => {
  const type = (data: string) => parseStreamEvent(STARTED, { event: "error", data }).errorType;
  assert.equal(type('{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'), "overloaded_error");
  assert.equal(type('{"type":"error","error":null}'), "error");
  assert.equal(type("upstream went away"), "error");
});

Deno.test("parseStreamEvent() lets a later output count win also when it is zero or smaller, and calls it final once a stop reason is known", () => {
  const running = fold(STARTED, { type: "message_delta", delta: { stop_reason: null }, usage: { output_tokens: 5 } });
  assert.deepEqual([running.outputTokens, running.hasFinalOutput], [5, false]);
  const stopped = fold(running, { type: "message_delta", delta: { stop_reason: "refusal" }, usage: {} });
  assert.deepEqual([stopped.outputTokens, stopped.hasFinalOutput, stopped.stopReason], [5, false, "refusal"]);
  const final = fold(stopped, { type: "message_delta", delta: {}, usage: { output_tokens: 0 } });
  assert.deepEqual([final.outputTokens, final.hasFinalOutput, final.stopReason], [0, true, "refusal"]);
  assert.equal(fold(final, { type: "message_delta", delta: {} }).hasFinalOutput, true);
});

Deno.test("parseStreamEvent() and parseNonStreamingResponse() read why a call was declined, and tell no category from no word about one", () => {
  const rows: readonly (readonly [unknown, string | null])[] = [
    [{ type: "refusal", category: "cyber", explanation: "no" }, "cyber"],
    [{ type: "refusal", category: null, explanation: null }, ""],
    [{ type: "refusal" }, ""],
    [{ type: "refusal", category: 7 }, null],
    [{ type: "refusal", category: ["bio"] }, null],
    [{ type: "refusal", category: "x".repeat(300) }, "x".repeat(256)],
    [{ type: "something_else", category: "cyber" }, null],
    [null, null],
    [undefined, null],
    ["cyber", null],
  ];
  for (const [stop_details, category] of rows) {
    const delta = { stop_reason: "refusal", stop_details };
    const streamed = fold(STARTED, { type: "message_delta", delta, usage: { output_tokens: 0 } });
    const message = { ...START.message, ...delta, usage: { ...START.message.usage, output_tokens: 0 } };
    for (const reading of [streamed, parseNonStreamingResponse(JSON.stringify(message))]) {
      assert.deepEqual([reading.refusalCategory, reading.stopReason], [category, "refusal"], JSON.stringify(stop_details));
      assert.deepEqual([reading.outputTokens, reading.hasFinalOutput], [0, true]);
    }
  }
});

Deno.test("parseStreamEvent() believes no count of nothing where text has passed before a refusal", () => {
  const text = fold(STARTED, { type: "content_block_delta", delta: { type: "text_delta", text: "Sure, the" } });
  const refused = fold(text, { type: "message_delta", delta: { stop_reason: "refusal" }, usage: { output_tokens: 0 } });
  assert.equal(refused.hasFinalOutput, false);
  assert.equal(estimate(refused).outputTokens, 3);
  const counted = fold(text, { type: "message_delta", delta: { stop_reason: "refusal" }, usage: { output_tokens: 7 } });
  assert.deepEqual([counted.hasFinalOutput, counted.outputTokens], [true, 7]);
});

Deno.test("parseNonStreamingResponse() believes no count of nothing beside the text of a refusal, in a batch neither", () => {
  const message = (content: readonly object[]) => ({
    type: "message",
    model: "claude-opus-5-5",
    content,
    stop_reason: "refusal",
    usage: { input_tokens: 9, output_tokens: 0 },
  });
  const text = message([{ type: "text", text: "Sure, the" }]);
  assert.ok(messages.answer.answerKeys.includes("content"));
  assert.equal(messages.answer.readAnswer({ ...text, stop_reason: "end_turn" }).hasFinalOutput, true);
  const line = { custom_id: "a", result: { type: "succeeded", message: text } };
  for (
    const reading of [
      messages.answer.parseNonStreamingResponse(JSON.stringify(text)),
      parseLine(JSON.stringify(line))!.reading,
    ]
  ) {
    assert.equal(reading.hasFinalOutput, false);
    assert.equal(estimate(reading).outputTokens, 3);
  }
  const empty = messages.answer.parseNonStreamingResponse(JSON.stringify(message([])));
  assert.deepEqual([empty.hasFinalOutput, empty.outputTokens], [true, 0]);
});

Deno.test("parseStreamEvent() counts text, thinking and tool input, of deltas and of a block's start, and no other words", () => {
  const delta = (value: object) => ({ type: "content_block_delta", index: 0, delta: value });
  const start = (value: object) => ({ type: "content_block_start", index: 0, content_block: value });
  const rows: [object, number, boolean][] = [
    [start({ type: "text", text: "" }), 0, false],
    [start({ type: "text", text: "abc" }), 3, false],
    [start({ type: "web_search_tool_result", content: [{ title: "no" }] }), 0, false],
    [delta({ type: "text_delta", text: "Grüße 👋" }), 8, true],
    [delta({ type: "thinking_delta", thinking: "hm" }), 2, true],
    [delta({ type: "input_json_delta", partial_json: '{"a' }), 3, true],
    [delta({ type: "signature_delta", signature: "EqQB" }), 0, true],
    [delta({ type: "compaction_delta", content: "a summary" }), 0, true],
    [delta({ type: "brand_new_delta", text: 7 }), 0, true],
  ];
  for (const [event, characters, hasContent] of rows) {
    assert.deepEqual(fold(STARTED, event), { ...STARTED, contentCharacters: characters, hasContent }, JSON.stringify(event));
  }
});

const PLAIN_EVENTS: readonly (readonly [data: string, characters: number])[] = [
  [deltaText({ type: "text_delta", text: "Grüße 👋" }), 8],
  [deltaText({ type: "text_delta", text: "" }), 0],
  [deltaText({ type: "text_delta", text: "event: message_stop\ndata: {}\n\n" }), 30],
  [deltaText({ type: "thinking_delta", thinking: "hm\u2028" }), 3],
  [deltaText({ type: "input_json_delta", partial_json: '{"a\\' }), 4],
  [String.raw`{"type":"content_block_delta","index":10,"delta":{"type":"text_delta","text":"\u00e9\ud83d\/"}}`, 3],
  [`${deltaText({ type: "text_delta", text: "padded" }).slice(0, -1)}      }`, 6],
];

Deno.test("parseDeltas() reads a run of plain deltas as parseStreamEvent() does, and says where the run ends", () => {
  const run = PLAIN_EVENTS.map(([data]) => eventText(data)).join("");
  const expected = PLAIN_EVENTS.reduce((reading, [data]) => parseStreamEvent(reading, { event: "", data }), STARTED);
  assert.equal(expected.contentCharacters, PLAIN_EVENTS.reduce((sum, [, characters]) => sum + characters, 0));
  const before = "event: ping\ndata: {}\n\n";
  const stop = eventText('{"type":"message_stop"}');
  assert.deepEqual(parseDeltas(STARTED, before + run + stop + run, before.length), {
    reading: expected,
    to: before.length + run.length,
  });
  assert.deepEqual(parseDeltas(STARTED, run, 0), { reading: expected, to: run.length });
});

Deno.test("parseDeltas() takes no event of another spelling, which may mean other things, and none that is not whole", () => {
  const plain = deltaText({ type: "text_delta", text: "abc" });
  const whole = eventText(plain);
  const others = [
    eventText('{"type":"message_stop"}'),
    eventText(plain.replace(/}$/, ',"type":"message_stop"}')),
    eventText(plain.replace("}}", ',"text":"longer"}}')),
    eventText(plain.replace('"index"', '"usage":{},"index"')),
    eventText(plain.replace("abc", "a\tc")),
    eventText(plain.replace("abc", String.raw`a\xc`)),
    eventText(plain.replace("abc", String.raw`a\u00g0`)),
    eventText(plain.replace('abc"', String.raw`abc\"`)),
    eventText(plain.replace(":0,", ":01,")),
    eventText(deltaText({ type: "signature_delta", signature: "EqQB" })),
    eventText(deltaText({ type: "compaction_delta", content: "a summary" })),
    eventText(deltaText({ type: "text_delta", text: 7 })),
    whole.replace("event: content_block_delta", "event: error"),
    whole.replace("data: ", "data: \ndata: "),
    whole.replace("\n\n", "\nid: 7\n\n"),
    whole.replaceAll("\n", "\r\n"),
    whole.slice(1),
  ];
  for (const text of others) assert.deepEqual(parseDeltas(STARTED, text, 0), { reading: STARTED, to: 0 }, text);
  for (let end = 0; end < whole.length; end++) assert.equal(parseDeltas(STARTED, whole.slice(0, end), 0).to, 0);
  const long = eventText(deltaText({ type: "text_delta", text: "\n".repeat(5_000_000) }));
  assert.deepEqual(parseDeltas(STARTED, long, 0), { reading: STARTED, to: 0 });
});

Deno.test("parseStreamEvent() takes the model that a fallback block hands over to as the one that served", () => {
  const start = (block: object) => fold(STARTED, { type: "content_block_start", index: 0, content_block: block });
  assert.equal(start({ type: "fallback", to: { model: "claude-opus-5" } }).servedModel, "claude-opus-5");
  assert.equal(start({ type: "fallback", to: null }), STARTED);
  assert.equal(start({ type: "handover", to: { model: "claude-opus-5" } }), STARTED);
});

Deno.test("parseNonStreamingResponse() knows an account without credit, and not a request that repeats the words", () => {
  const isOut = (message: string, type = "invalid_request_error") =>
    parseNonStreamingResponse(JSON.stringify({ type: "error", error: { type, message } })).isOutOfCredit;
  const credit = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to purchase credits.";
  const limit = "You have reached your specified API usage limits. You will regain access on 2026-01-01 at 00:00 UTC.";
  for (const message of [credit, limit, limit.replace("API", "workspace API")]) {
    assert.equal(isOut(message), true, message);
    for (
      const echo of [
        `${message}: Extra inputs are not permitted`,
        `${message}\n: Extra inputs`,
        `messages.0: ${message}`,
        `"${message}`,
      ]
    ) {
      assert.equal(isOut(echo), false, echo);
    }
  }
  assert.equal(isOut("Pay your bill", "billing_error"), true);
  assert.equal(isOut("Overloaded", "overloaded_error"), false);
  const event = parseStreamEvent(STARTED, { event: "error", data: `{"type":"error","error":{"type":"billing_error"}}` });
  assert.equal(event.isOutOfCredit, true);
});

Deno.test("parseNonStreamingResponse() is empty and not whole for what is no JSON object, and knows messages from errors", () => {
  for (const body of ["", "{", "null", "[]", "7", '"x"', "<html>", '{"type":"message"']) {
    assert.equal(parseNonStreamingResponse(body), EMPTY_READING, body);
  }
  assert.deepEqual(parseNonStreamingResponse("{}"), { ...EMPTY_READING, isWhole: true });
  assert.deepEqual(parseNonStreamingResponse('\ufeff{"type":"error","error":{"type":"api_error"}}'), {
    ...EMPTY_READING,
    errorType: "api_error",
    isWhole: true,
  });
  assert.equal(parseNonStreamingResponse('{"error":{"type":"gateway_error"}}').errorType, "gateway_error");
  const message = { ...START.message, stop_reason: "end_turn" };
  const whole = { ...STARTED, stopReason: "end_turn", hasContent: true, hasFinalOutput: true, isWhole: true };
  assert.deepEqual(parseNonStreamingResponse(JSON.stringify(message)), whole);
});

Deno.test("parseNonStreamingResponse() survives a body that is nested 1,000,000 deep", () => {
  const nested = "[".repeat(1_000_000) + "]".repeat(1_000_000);
  assert.equal(parseNonStreamingResponse(nested), EMPTY_READING);
  assert.equal(parseStreamEvent(STARTED, { event: "ping", data: nested }), STARTED);
});

Deno.test("estimate() makes one token of 3.5 characters, never fewer than named, and leaves the upstream's last word alone", () => {
  const estimated = (reading: Partial<UsageReading>) => estimate({ ...EMPTY_READING, ...reading }).outputTokens;
  assert.deepEqual([0, 7, 8].map((contentCharacters) => estimated({ contentCharacters })), [0, 2, 3]);
  const named = [{ outputTokens: 40 }, { outputTokens: 1, hasFinalOutput: true }];
  assert.deepEqual(named.map((reading) => estimated({ contentCharacters: 8, ...reading })), [40, 1]);
});

Deno.test("parseStreamEvent() throws on nothing, makes no impossible count, and replaces rather than adds, on 30,000 seeded mutations", () => {
  const seed = 0x5eed;
  const random = randomOf(seed);
  let reading = EMPTY_READING;
  for (let round = 0; round < 30_000; round++) {
    const data = mutated(random);
    const event = pick(random, ["", "ping", "error", "message_delta", "message_start", "what"]);
    const hint = `seed ${seed}, round ${round}: ${event} ${data}`;
    const next = parseStreamEvent(Object.freeze(reading), { event, data });
    assertPossible(next, hint);
    const again = parseStreamEvent(next, { event, data });
    assert.deepEqual({ ...again, contentCharacters: 0 }, { ...next, contentCharacters: 0 }, hint);
    assertPossible(parseNonStreamingResponse(data), hint);
    reading = random() < 0.1 ? EMPTY_READING : next;
  }
});

Deno.test("filesMadeIn() takes what code execution made, and nothing that anybody else wrote", () => {
  const output = (file_id: unknown) => ({ content: { content: [{ type: "code_execution_output", file_id }] } });
  const blocks = [
    { type: "bash_code_execution_tool_result", ...output("file_1") },
    { type: "code_execution_tool_result", ...output("file_2") },
    { type: "code_execution_tool_result", ...output(3) },
    { type: "tool_use", input: { file_id: "file_forged" } },
    { type: "server_tool_use", input: output("file_forged") },
    { type: "mcp_tool_result", ...output("file_forged") },
    { type: "text", text: "file_forged" },
    null,
    "file_forged",
  ];
  assert.deepEqual(filesMadeIn(blocks).map(({ id }) => id).sort(), ["file_1", "file_2"]);
  assert.deepEqual(filesMadeIn(blocks[0]), [FILE_1]);
  assert.deepEqual([undefined, null, "x", {}, []].flatMap(filesMadeIn), []);
  let deep: unknown = { file_id: "file_deep" };
  for (let n = 0; n < 100_000; n++) deep = [deep];
  assert.deepEqual(filesMadeIn({ type: "code_execution_tool_result", content: deep }), [{ id: "file_deep", kind: "file" }]);
});

Deno.test("parseStreamEvent() and readAnswer() collect the files that tools made, in an error and beside text too", () => {
  const block = (file_id: string) => ({ type: "code_execution_tool_result", content: [{ file_id }] });
  const one = fold(STARTED, { type: "content_block_start", content_block: block("file_1") });
  const two = fold(one, { type: "content_block_start", content_block: block("file_2") });
  assert.deepEqual([STARTED.made, one.made, two.made], [[], [FILE_1], [FILE_1, FILE_2]]);
  const content = [{ type: "text", text: "done" }, block("file_3")];
  assert.deepEqual(messages.answer.readAnswer({ ...START.message, content }).made, [{ id: "file_3", kind: "file" }]);
  assert.deepEqual(messages.answer.readAnswer({ type: "error", content }).made, [{ id: "file_3", kind: "file" }]);
});

function fold(reading: UsageReading, event: object): UsageReading {
  return parseStreamEvent(reading, { event: "", data: JSON.stringify(event) });
}

function deltaText(delta: object): string {
  return JSON.stringify({ type: "content_block_delta", index: 0, delta });
}

function eventText(data: string): string {
  return `event: content_block_delta\ndata: ${data}\n\n`;
}

function assertPossible(reading: UsageReading, hint: string): void {
  const counts = [...Object.values(reading), ...Object.values(reading.serverToolUse)].filter((value) =>
    typeof value === "number"
  );
  for (const count of counts) assert.ok(Number.isSafeInteger(count) && !Object.is(count, -0) && count >= 0, hint);
  assert.equal(reading.cacheCreation5mTokens + reading.cacheCreation1hTokens, reading.cacheCreationInputTokens, hint);
  for (const value of Object.values(reading)) {
    if (typeof value === "string") assert.ok(new TextEncoder().encode(value).length <= MAX_CLIENT_STRING_BYTES, hint);
  }
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function pick<T>(random: () => number, of: readonly T[]): T {
  return of[Math.floor(random() * of.length)]!;
}

/**
 * An event with some of its values replaced by rubbish, and one time in three its text damaged too.
 */
function mutated(random: () => number): string {
  const events: unknown[] = [
    START,
    START.message,
    { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { ...START.message.usage, output_tokens: 61 } },
    { type: "content_block_start", content_block: { type: "fallback", text: "abc", to: { model: "claude-opus-5" } } },
    { type: "content_block_delta", delta: { type: "text_delta", text: "é👋", partial_json: '{"' } },
    { type: "error", error: { type: "overloaded_error" } },
    { type: "message_stop" },
  ];
  const rubbish = [null, true, -0, -7, 0, 0.5, 1e300, 2 ** 53, 2 ** 53 - 1, 12, "12", "", "👋".repeat(200), [], [[]], {}, {
    type: "ping",
  }];
  const damagedValue = (value: unknown): unknown => {
    if (random() < 0.06) return pick(random, rubbish);
    if (Array.isArray(value)) return value.map(damagedValue);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, damagedValue(inner)]));
  };
  // JSON.stringify writes -0 as 0.
  let text = JSON.stringify(damagedValue(pick(random, events))).replace(/:0([,}])/, random() < 0.5 ? ":-0$1" : ":0$1");
  while (random() < 0.3) {
    const at = Math.floor(random() * text.length);
    text = text.slice(0, at) + pick(random, ["", "}", "{", '"', "9", "-", "\\u00", ",", "\ud83d"]) +
      text.slice(at + Math.floor(random() * 3));
  }
  return text;
}
