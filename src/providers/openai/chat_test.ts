import assert from "node:assert/strict";
import { accuracyOf } from "../../domain/account.ts";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { chatCompletions } from "./chat.ts";
import { parseChatDeltas } from "./chat_deltas.ts";

const { answer, request } = chatCompletions;
const { parseStreamEvent, parseNonStreamingResponse, readAnswer } = answer;

const HEAD = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "gpt-6.2-sol", service_tier: "default" };
const USAGE = { prompt_tokens: 100, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 60 } };
const STARTED = fold(EMPTY_READING, chunk({ role: "assistant", content: "" }));

function chunk(delta: object, finish_reason: string | null = null) {
  return { ...HEAD, choices: [{ index: 0, delta, logprobs: null, finish_reason }] };
}

function fold(reading: UsageReading, data: object): UsageReading {
  return parseStreamEvent(reading, { event: "", data: JSON.stringify(data) });
}

function done(reading: UsageReading): UsageReading {
  return parseStreamEvent(reading, { event: "", data: "[DONE]" });
}

function factsOf(body: Readonly<Record<string, unknown>>) {
  return request.factsOf(new Map(request.keys.map((key) => [key, body[key]])), "/v1/chat/completions");
}

Deno.test("factsOf() reads the limit of tokens under both names, for all choices together", () => {
  assert.equal(factsOf({ max_completion_tokens: 16, max_tokens: 99 }).maxTokens, 16);
  assert.equal(factsOf({ max_tokens: 99 }).maxTokens, 99);
  assert.equal(factsOf({ max_tokens: 99, n: 3 }).maxTokens, 297);
  for (const n of [0, -1, 1.5, "3", null]) assert.equal(factsOf({ max_tokens: 99, n }).maxTokens, 99, String(n));
  assert.equal(factsOf({ max_tokens: Number.MAX_SAFE_INTEGER, n: 3 }).maxTokens, null);
  assert.equal(factsOf({}).maxTokens, null);
});

Deno.test("factsOf() reads model, stream, tier and the key of the cache", () => {
  const body = { model: "gpt-5.5", stream: true, service_tier: "priority", prompt_cache_key: "ses_1" };
  const facts = { model: "gpt-5.5", isStreamed: true, maxTokens: null, userId: null, speed: "priority", inferenceGeo: null };
  assert.deepEqual(factsOf(body), facts);
  assert.deepEqual([request.messagesKey, factsOf({ stream: "yes" }).isStreamed], ["messages", false]);
});

Deno.test("parseStreamEvent() goes on after finish_reason: the usage follows, and [DONE] is the end (trap 18)", () => {
  const finished = fold(fold(STARTED, chunk({ content: "Hi" })), chunk({}, "stop"));
  assert.deepEqual([finished.stopReason, finished.isWhole, finished.hasInput], ["stop", false, false]);
  const counted = fold(finished, { ...HEAD, choices: [], usage: USAGE });
  assert.deepEqual([counted.inputTokens, counted.cacheReadInputTokens, counted.outputTokens], [40, 60, 7]);
  assert.deepEqual([counted.hasFinalOutput, counted.isWhole], [true, false]);
  const whole = done(counted);
  assert.deepEqual([whole.isWhole, accuracyOf(whole)], [true, "exact"]);
});

Deno.test("parseStreamEvent() takes a usage of null, which each chunk but one has, for no count (trap 19)", () => {
  const nulls = fold(STARTED, { ...chunk({ content: "Hi" }), usage: null });
  assert.deepEqual([nulls.hasInput, nulls.hasFinalOutput, nulls.contentCharacters], [false, false, 2]);
  const counted = fold(nulls, { ...HEAD, choices: [], usage: USAGE });
  const later = fold(counted, { ...chunk({}), usage: null });
  assert.deepEqual([later.inputTokens, later.outputTokens, later.hasFinalOutput], [40, 7, true]);
});

Deno.test("a stream without usage is estimated, whether it was not asked to name any or broke off, once content has come", () => {
  assert.equal(accuracyOf(STARTED), "unknown");
  const said = fold(fold(STARTED, chunk({ content: "Hello there" })), chunk({}, "stop"));
  for (const reading of [said, done(said)]) {
    assert.equal(accuracyOf(reading), "estimated");
    const { inputTokens, outputTokens } = answer.estimate(reading, { requestBytes: 400 });
    assert.deepEqual([inputTokens, outputTokens], [100, 3]);
  }
  // An end without a beginning has said nothing that could be estimated.
  assert.equal(accuracyOf(done(EMPTY_READING)), "unknown");
});

Deno.test("unmetered() refuses a stream that would not name its usage, in words that say what to add", () => {
  const refusal = (body: object) => request.unmetered?.(new Map(Object.entries(body))) ?? null;
  for (const stream_options of [undefined, null, {}, { include_usage: false }, { include_usage: "true" }, "x"]) {
    const fault = refusal({ stream: true, stream_options });
    assert.equal(fault?.code, "unmetered", JSON.stringify(stream_options));
    assert.match(fault.message, /"stream_options": \{"include_usage": true\}/);
  }
  assert.equal(refusal({ stream: true, stream_options: { include_usage: true } }), null);
  assert.equal(refusal({}), null);
  assert.equal(refusal({ stream: false }), null);
});

Deno.test("parseStreamEvent() counts what the model says, asks and sounds like, and no role and no base64", () => {
  const rows: readonly (readonly [delta: object, characters: number, hasContent: boolean])[] = [
    [{ role: "assistant", content: "" }, 0, false],
    [{ content: "Grüße 👋" }, 8, true],
    [{ refusal: "No" }, 2, true],
    [{ reasoning_content: "hm" }, 2, true],
    [{ tool_calls: [{ index: 0, id: "call_1", function: { name: "ls", arguments: "{}" } }] }, 4, true],
    [{ tool_calls: [{ index: 0, custom: { name: "p", input: "abc" } }] }, 4, true],
    [{ function_call: { name: "f", arguments: "{" } }, 2, true],
    [{ audio: { id: "audio_1", transcript: "Hi" } }, 2, true],
    [{ audio: { data: "UklGRg==" } }, 0, true],
    [{ content: null, tool_calls: null }, 0, false],
  ];
  for (const [delta, characters, hasContent] of rows) {
    const { contentCharacters, hasContent: has } = fold(STARTED, chunk(delta));
    assert.deepEqual([contentCharacters, has], [characters, hasContent], JSON.stringify(delta));
  }
});

Deno.test("parseStreamEvent() reads an error within a stream, and returns the very same reading for what does not parse", () => {
  const error = { error: { message: "No.", type: "server_error", code: null } };
  assert.equal(fold(STARTED, error).errorType, "server_error");
  assert.equal(parseStreamEvent(STARTED, { event: "error", data: "gone" }).errorType, "error");
  const quota = fold(STARTED, { error: { type: "insufficient_quota", code: "insufficient_quota" } });
  assert.equal(quota.isOutOfCredit, true);
  for (const data of ["", "{", "null", "[]", "7", " [DONE]", "\u0000"]) {
    assert.equal(parseStreamEvent(STARTED, { event: "", data }), STARTED, data);
  }
});

Deno.test("readAnswer() knows a completion from an error and from any other page", () => {
  const completion = {
    ...HEAD,
    object: "chat.completion",
    choices: [{ index: 0, message: { content: "Hi" }, finish_reason: "stop" }],
  };
  const counted = readAnswer({ ...completion, usage: USAGE });
  assert.deepEqual([counted.hasContent, counted.isWhole, counted.stopReason, accuracyOf(counted)], [true, true, "stop", "exact"]);
  const uncounted = readAnswer(completion);
  assert.equal(accuracyOf(uncounted), "estimated");
  assert.equal(readAnswer({ error: { type: "invalid_request_error", code: "model_not_found" } }).errorType, "model_not_found");
  for (const page of [{}, { object: "list", data: [] }]) assert.deepEqual(readAnswer(page), { ...EMPTY_READING, isWhole: true });
  for (const body of ["", "{", "null", "<html>"]) assert.equal(parseNonStreamingResponse(body), EMPTY_READING, body);
});

const SAID = { ...STARTED, hasContent: false };

function eventText(delta: string, { tail = "", head = JSON.stringify(HEAD).slice(0, -1) } = {}): string {
  return `data: ${head},"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":null}]${tail}}\n\n`;
}

const PLAIN_EVENTS: readonly (readonly [text: string, characters: number])[] = [
  [eventText('{"content":"Grüße 👋"}'), 8],
  [eventText('{"content":""}', { tail: ',"usage":null' }), 0],
  [eventText(String.raw`{"content":"data: [DONE]\n\n"}`, { tail: ',"usage":null,"obfuscation":"aB9"' }), 14],
  [eventText(String.raw`{"content":"\u00e9\ud83d\/\"\\"}`, { tail: ',"obfuscation":""' }), 5],
];

Deno.test("parseDeltas() reads a run of plain chunks as parseStreamEvent() does, and says where the run ends", () => {
  const run = PLAIN_EVENTS.map(([text]) => text).join("");
  const expected = PLAIN_EVENTS.reduce(
    (reading, [text]) => parseStreamEvent(reading, { event: "", data: text.slice("data: ".length, -2) }),
    SAID,
  );
  assert.equal(expected.contentCharacters, PLAIN_EVENTS.reduce((sum, [, characters]) => sum + characters, 0));
  const end = "data: [DONE]\n\n";
  assert.deepEqual(parseChatDeltas(SAID, end + run + end + run, end.length), { reading: expected, to: end.length + run.length });
  // The second time the head is known.
  assert.deepEqual(parseChatDeltas(SAID, run, 0), { reading: expected, to: run.length });
  const [, empty] = PLAIN_EVENTS;
  assert.deepEqual(parseChatDeltas(SAID, empty![0], 0), { reading: SAID, to: empty![0].length });
});

Deno.test("parseDeltas() takes no chunk that names what the reading does not know", () => {
  const text = eventText('{"content":"abc"}');
  assert.equal(parseChatDeltas(SAID, text, 0).to, text.length);
  for (
    const other of [{ messageId: "chatcmpl-2" }, { servedModel: "gpt-5.5" }, { serviceTier: "priority" }, { serviceTier: null }]
  ) {
    const reading = { ...SAID, ...other };
    assert.deepEqual(parseChatDeltas(reading, text, 0), { reading, to: 0 }, JSON.stringify(other));
  }
  assert.deepEqual(parseChatDeltas(EMPTY_READING, text, 0), { reading: EMPTY_READING, to: 0 });
  const untiered = eventText('{"content":"abc"}', { head: JSON.stringify({ ...HEAD, service_tier: undefined }).slice(0, -1) });
  assert.equal(parseChatDeltas(SAID, untiered, 0).reading.serviceTier, "default");
});

Deno.test("parseDeltas() takes no chunk of another spelling, which may mean other things, and none that is not whole", () => {
  const whole = eventText('{"content":"abc"}');
  const others = [
    eventText('{"role":"assistant","content":"abc"}'),
    eventText('{"content":"abc","refusal":"No"}'),
    eventText('{"content":null}'),
    eventText('{"content":"a\tc"}'),
    eventText(String.raw`{"content":"a\xc"}`),
    eventText(String.raw`{"content":"abc\"}`),
    eventText('{"content":"abc"}', { tail: ',"usage":{"prompt_tokens":1}' }),
    eventText('{"content":"abc"}', { tail: ',"error":{"type":"x"}' }),
    eventText('{"content":"abc"}', { tail: ',"model":"other"' }),
    whole.replace('"finish_reason":null', '"finish_reason":"stop"'),
    whole.replace('"logprobs":null', '"logprobs":{"content":[]}'),
    whole.replace('"index":0', '"index":00'),
    whole.replace('"created":1', '"created":01'),
    `event: error\n${whole}`,
    whole.replace("\n\n", "\nid: 7\n\n"),
    whole.replaceAll("\n", "\r\n"),
    whole.slice(1),
  ];
  for (const text of others) assert.deepEqual(parseChatDeltas(SAID, text, 0), { reading: SAID, to: 0 }, text);
  for (let end = 0; end < whole.length; end++) assert.equal(parseChatDeltas(SAID, whole.slice(0, end), 0).to, 0);
});
