import assert from "node:assert/strict";
import { accuracyOf } from "../../domain/account.ts";
import { EMPTY_READING, type UsageReading } from "../../domain/reading.ts";
import { parseResponseDeltas } from "./response_deltas.ts";
import { compactions, responses } from "./responses.ts";

const { answer, request } = responses;
const { parseStreamEvent, parseNonStreamingResponse, readAnswer } = answer;

const RUNNING = {
  id: "resp_1",
  object: "response",
  model: "gpt-6.2-sol",
  status: "in_progress",
  service_tier: "auto",
  usage: null,
};
const USAGE = { input_tokens: 100, input_tokens_details: { cached_tokens: 60 }, output_tokens: 7 };
const DONE = { ...RUNNING, status: "completed", service_tier: "default", usage: USAGE };
const STARTED = fold(EMPTY_READING, { type: "response.created", response: RUNNING });

function fold(reading: UsageReading, event: object): UsageReading {
  return parseStreamEvent(reading, { event: "", data: JSON.stringify(event) });
}

function factsOf(body: Readonly<Record<string, unknown>>) {
  const values = new Map(request.keys.map((key) => [key, body[key]]));
  return request.factsOf(values, "/v1/responses");
}

Deno.test("factsOf() reads a request whose tools are an item of the input (trap 4)", () => {
  const body = {
    model: "gpt-6.2-sol",
    input: [{ type: "additional_tools", tools: [] }, { type: "message", role: "user", content: [] }],
    stream: true,
    store: false,
    prompt_cache_key: "thread-1",
    client_metadata: { session_id: "s-1", thread_id: "thread-1" },
  };
  assert.deepEqual(factsOf(body), {
    model: "gpt-6.2-sol",
    isStreamed: true,
    maxTokens: null,
    userId: null,
    speed: null,
    inferenceGeo: null,
  });
  // A tool more is another question, because the key of the conversation holds it.
  assert.equal(request.messagesKey, "input");
});

Deno.test("factsOf() reads limit and tier, takes no key of the cache for a user, and reads nothing of what is not as it should be", () => {
  const plain = { model: "m", isStreamed: false, maxTokens: 16, userId: null, speed: "flex", inferenceGeo: null };
  assert.deepEqual(factsOf({ model: "m", max_output_tokens: 16, prompt_cache_key: "key", service_tier: "flex" }), plain);
  const odd = { model: 7, stream: "true", max_output_tokens: -1, prompt_cache_key: 7, client_metadata: "x", service_tier: null };
  const nothing = { model: "", isStreamed: false, maxTokens: null, userId: null, speed: null, inferenceGeo: null };
  assert.deepEqual(factsOf(odd), nothing);
  assert.deepEqual(factsOf({}), nothing);
});

Deno.test("metadataOf() takes the client's own object, and continues() what the upstream keeps, and neither takes anything else", () => {
  const of = (body: Readonly<Record<string, unknown>>) => {
    const values = new Map(Object.entries(body));
    return [request.metadataOf?.(values) ?? null, request.continues?.(values) ?? null];
  };
  assert.deepEqual(of({ client_metadata: { thread_id: "t" }, previous_response_id: "resp_1" }), [{ thread_id: "t" }, "resp_1"]);
  assert.deepEqual(of({ conversation: "conv_1" }), [null, "conv_1"]);
  assert.deepEqual(of({ conversation: { id: "conv_2" } }), [null, "conv_2"]);
  for (const odd of [7, null, [], ["x"], {}, { id: 7 }, true, ""]) {
    const [metadata, id] = of({ client_metadata: odd, previous_response_id: odd, conversation: odd });
    assert.equal(id, null, JSON.stringify(odd));
    assert.ok(metadata === null || !Array.isArray(metadata));
  }
});

Deno.test("parseStreamEvent() reads one response: a successor has a stream or an answer of its own (trap 8)", () => {
  const whole = fold(STARTED, { type: "response.completed", response: DONE });
  assert.deepEqual([whole.messageId, whole.isWhole, whole.inputTokens], ["resp_1", true, 40]);
  const second = { ...DONE, id: "resp_2", usage: { input_tokens: 5, output_tokens: 1 } };
  const successor = fold(whole, { type: "response.completed", response: second });
  // If one came here, its counts would replace the first one's and not add to them.
  assert.deepEqual([successor.inputTokens, successor.outputTokens], [5, 1]);
});

Deno.test("parseStreamEvent() takes the tier that was served from the last event, not the one that was asked (trap 15)", () => {
  assert.equal(STARTED.serviceTier, null);
  for (const served of ["fast", "priority", "default", "flex"]) {
    const response = { ...DONE, service_tier: served };
    assert.equal(fold(STARTED, { type: "response.completed", response }).serviceTier, served);
    assert.equal(readAnswer(response).serviceTier, served);
  }
});

Deno.test("parseStreamEvent() ends a response at its last event, and at no [DONE] (trap 18)", () => {
  assert.equal(parseStreamEvent(STARTED, { event: "", data: "[DONE]" }), STARTED);
  assert.equal(fold(STARTED, { type: "response.completed", response: DONE }).isWhole, true);
  const incomplete = { ...DONE, status: "incomplete", incomplete_details: { reason: "content_filter" } };
  const cut = fold(STARTED, { type: "response.incomplete", response: incomplete });
  assert.deepEqual([cut.isWhole, cut.stopReason, cut.errorType], [true, "content_filter", null]);
});

Deno.test("compactions name the asked model, because their answer names none (trap 21)", () => {
  const asked = { model: "gpt-6.1-sol", isStreamed: false, maxTokens: null, userId: null, speed: null, inferenceGeo: null };
  assert.deepEqual(compactions.answer.unsaid?.(asked, new Headers()), { servedModel: "gpt-6.1-sol", inferenceGeo: null });
  assert.deepEqual(compactions.answer.unsaid?.({ ...asked, model: "" }, new Headers()), { inferenceGeo: null });
  assert.deepEqual(answer.unsaid?.(asked, new Headers()), { inferenceGeo: null });
  const compacted = { id: "resp_9", object: "response.compaction", output: [], usage: USAGE };
  const reading = compactions.answer.readAnswer(compacted);
  assert.deepEqual([reading.isWhole, reading.hasContent, accuracyOf(reading), reading.inputTokens], [true, true, "exact", 40]);
});

Deno.test("readAnswer() takes a response in the background for a whole answer whose usage is asked for later (trap 22)", () => {
  for (const status of ["queued", "in_progress"]) {
    const reading = readAnswer({ ...RUNNING, status, background: true });
    assert.deepEqual([reading.isWhole, reading.hasContent, reading.stopReason, reading.serviceTier], [true, true, status, null]);
    assert.deepEqual([accuracyOf(reading), reading.isPending], ["unknown", true]);
  }
  const later = readAnswer({ ...DONE, background: true });
  assert.deepEqual([accuracyOf(later), later.isPending], ["exact", false]);
  assert.equal(request.unmetered, undefined);
});

Deno.test("a stream that broke before its last event is estimated once content has come, and unknown before", () => {
  assert.equal(accuracyOf(STARTED), "unknown");
  const said = fold(STARTED, { type: "response.output_text.delta", delta: "Hello there" });
  assert.equal(accuracyOf(said), "estimated");
  const { inputTokens, outputTokens } = answer.estimate(said, { requestBytes: 400 });
  assert.deepEqual([inputTokens, outputTokens], [100, 3]);
  assert.equal(accuracyOf(fold(said, { type: "response.completed", response: DONE })), "exact");
});

Deno.test("parseStreamEvent() returns the very same reading for what it does not know and what is not an object", () => {
  const data = [
    "",
    "{",
    "null",
    "[]",
    "7",
    "[DONE]",
    '{"type":"keepalive"}',
    '{"type":"toString"}',
    '{"type":"response.created"}',
  ];
  const others = ['{"type":"response.completed"}', '{"type":"response.content_part.added","part":{}}', "\u0000"];
  for (const text of [...data, ...others]) {
    for (const event of ["", "ping", "constructor", "__proto__"]) {
      assert.equal(parseStreamEvent(STARTED, { event, data: text }), STARTED, `${event}: ${text}`);
    }
  }
});

Deno.test("parseStreamEvent() does not read what response.created has told already", () => {
  const repeated = { type: "response.in_progress", response: { ...RUNNING, id: "resp_2" } };
  assert.equal(fold(STARTED, repeated), STARTED);
  // If it is the first one, it tells as much.
  assert.equal(fold(EMPTY_READING, repeated).messageId, "resp_2");
});

Deno.test("parseStreamEvent() believes the data's type against the event's name, and the name where the data have no type", () => {
  const { type: _, ...untyped } = { type: "response.completed", response: DONE };
  const read = (event: string, data: object) => parseStreamEvent(STARTED, { event, data: JSON.stringify(data) });
  assert.equal(read("response.in_progress", { type: "response.completed", response: DONE }).isWhole, true);
  assert.equal(read("response.completed", { type: "keepalive", response: DONE }), STARTED);
  assert.equal(read("response.completed", untyped).isWhole, true);
});

Deno.test("parseStreamEvent() and readAnswer() name an error by its code, otherwise by its type", () => {
  const rows: readonly (readonly [event: string, data: string, errorType: string, isOutOfCredit: boolean])[] = [
    ["error", '{"type":"error","code":"rate_limit_exceeded","message":"Slow down."}', "rate_limit_exceeded", false],
    ["error", '{"type":"error","code":null,"message":"No."}', "error", false],
    ["error", "upstream went away", "error", false],
    ["", '{"error":{"type":"server_error","code":null}}', "server_error", false],
    ["", '{"type":"error","error":{"type":"insufficient_quota","code":null}}', "insufficient_quota", true],
    ["error", '{"type":"error","code":"project_spend_limit_exceeded"}', "project_spend_limit_exceeded", true],
  ];
  for (const [event, data, errorType, isOutOfCredit] of rows) {
    const reading = parseStreamEvent(STARTED, { event, data });
    assert.deepEqual([reading.errorType, reading.isOutOfCredit], [errorType, isOutOfCredit], data);
  }
  const failed = fold(STARTED, { type: "response.failed", response: { ...RUNNING, status: "failed", error: null } });
  assert.deepEqual([failed.errorType, failed.isWhole, accuracyOf(failed)], ["failed", false, "unknown"]);
  const body = { error: { message: "Pay.", type: "insufficient_quota", param: null, code: "credit_balance_exhausted" } };
  const reading = readAnswer(body);
  assert.deepEqual([reading.errorType, reading.isOutOfCredit, reading.hasContent], ["credit_balance_exhausted", true, false]);
});

Deno.test("parseNonStreamingResponse() is empty and not whole for what is no JSON object, and tells nothing of other pages", () => {
  for (const body of ["", "{", "null", "[]", "7", '"x"', "<html>", '{"object":"response"']) {
    assert.equal(parseNonStreamingResponse(body), EMPTY_READING, body);
  }
  for (const body of ["{}", '{"object":"list","data":[]}', '{"error":"no"}']) {
    assert.deepEqual(parseNonStreamingResponse(body), { ...EMPTY_READING, isWhole: true }, body);
  }
});

Deno.test("parseStreamEvent() and readAnswer() tell what the upstream keeps: a response and its items unless `store` is false", () => {
  const [response, item] = [{ id: "resp_1", kind: "response" }, { id: "msg_1", kind: "item" }];
  const message = { id: "msg_1", type: "message", content: [{ id: "a_tool_said_so" }] };
  assert.deepEqual(STARTED.made, [response]);
  const added = fold(STARTED, { type: "response.output_item.added", item: message });
  assert.deepEqual(added.made, [response, item]);
  assert.equal(fold(added, { type: "response.output_item.done", item: message }), added);
  assert.deepEqual(fold(added, { type: "response.completed", response: { ...DONE, output: [message] } }).made, [response, item]);
  assert.deepEqual(readAnswer({ ...DONE, output: [message, message, null, 7] }).made, [response, item]);
  const unkept = fold(EMPTY_READING, { type: "response.created", response: { ...RUNNING, store: false } });
  assert.deepEqual([unkept.made, fold(unkept, { type: "response.output_item.done", item: message }).made], [[], []]);
  assert.deepEqual(readAnswer({ ...DONE, store: false, output: [message] }).made, []);
});

Deno.test("parseStreamEvent() and readAnswer() tell the containers that tools ran in, whether the response is kept or not", () => {
  const container = { id: "cntr_1", kind: "container" };
  const call = { type: "code_interpreter_call", container_id: "cntr_1" };
  const shell = { type: "shell_call", environment: { type: "container_reference", container_id: "cntr_1" } };
  const forged = { type: "message", container_id: "cntr_x", content: [{ container_id: "cntr_forged" }] };
  for (const item of [call, shell]) {
    assert.deepEqual(readAnswer({ ...DONE, store: false, output: [item, forged] }).made, [container]);
    assert.deepEqual(fold(EMPTY_READING, { type: "response.output_item.done", item }).made, [container]);
  }
});

Deno.test("parseStreamEvent() counts the text of every delta, and no base64 and no other words", () => {
  const rows: readonly (readonly [type: string, delta: unknown, characters: number])[] = [
    ["response.output_text.delta", "Grüße 👋", 8],
    ["response.reasoning_text.delta", "hm", 2],
    ["response.reasoning_summary_text.delta", "**so**", 6],
    ["response.refusal.delta", "No", 2],
    ["response.function_call_arguments.delta", '{"a', 3],
    ["response.custom_tool_call_input.delta", "ls", 2],
    ["response.future_thing.delta", "new", 3],
    ["response.audio.delta", "UklGRg==", 0],
    ["response.audio.transcript.delta", "Hi", 2],
    ["response.shell_call_output_content.delta", { stdout: "a long output" }, 0],
  ];
  for (const [type, delta, characters] of rows) {
    assert.deepEqual(fold(STARTED, { type, delta, obfuscation: "aaaa" }), {
      ...STARTED,
      contentCharacters: characters,
      hasContent: true,
    }, type);
  }
  assert.equal(fold(STARTED, { type: "response.output_text.done", text: "all of it" }), STARTED);
});

const ITEM = '"item_id":"msg_1"';
const PLAIN_EVENTS: readonly (readonly [type: string, fields: string, characters: number])[] = [
  [
    "output_text",
    `"content_index":0,"delta":"Grüße 👋",${ITEM},"logprobs":[],"obfuscation":"aB9","output_index":1,"sequence_number":4`,
    8,
  ],
  ["output_text", '"delta":""', 0],
  [
    "output_text",
    `"sequence_number":4,${ITEM},"output_index":1,"content_index":0,"delta":"2025","logprobs":[],"obfuscation":"d3"`,
    4,
  ],
  ["reasoning_summary_text", `"sequence_number":4,${ITEM},"output_index":0,"summary_index":0,"delta":"**so**"`, 6],
  ["function_call_arguments", `${ITEM},"output_index":0,"delta":"{}","sequence_number":4`, 2],
  ["output_text", String.raw`"delta":"event: response.completed\ndata: {}\n\n","sequence_number":10`, 36],
  ["reasoning_summary_text", String.raw`"delta":"h\"m\\",${ITEM},"output_index":0,"sequence_number":0,"summary_index":2`, 4],
  ["reasoning_text", `"content_index":12,"delta":"\u2028",${ITEM}`, 1],
  ["refusal", `"content_index":0,"delta":"No",${ITEM},"obfuscation":""`, 2],
  ["function_call_arguments", String.raw`"delta":"{\"a\\",${ITEM},"obfuscation":"x","output_index":1,"sequence_number":99`, 4],
  ["custom_tool_call_input", String.raw`"delta":"\u00e9\ud83d\/",${ITEM}`, 3],
  ["code_interpreter_call_code", '"delta":"print(1)"', 8],
];

function eventText(kind: string, fields: string): string {
  const type = `response.${kind}.delta`;
  return `event: ${type}\ndata: {"type":"${type}",${fields}}\n\n`;
}

Deno.test("parseDeltas() reads a run of plain deltas as parseStreamEvent() does, and says where the run ends", () => {
  const run = PLAIN_EVENTS.map(([kind, fields]) => eventText(kind, fields)).join("");
  const expected = PLAIN_EVENTS.reduce(
    (reading, [kind, fields]) => parseStreamEvent(reading, { event: "", data: `{"type":"response.${kind}.delta",${fields}}` }),
    STARTED,
  );
  assert.equal(expected.contentCharacters, PLAIN_EVENTS.reduce((sum, [, , characters]) => sum + characters, 0));
  const before = "event: ping\ndata: {}\n\n";
  const stop = `event: response.completed\ndata: ${JSON.stringify({ type: "response.completed", response: DONE })}\n\n`;
  assert.deepEqual(parseResponseDeltas(STARTED, before + run + stop + run, before.length), {
    reading: expected,
    to: before.length + run.length,
  });
  assert.deepEqual(parseResponseDeltas(STARTED, run, 0), { reading: expected, to: run.length });
});

Deno.test("parseDeltas() takes no event of another spelling, which may mean other things, and none that is not whole", () => {
  const plain = `"content_index":0,"delta":"abc",${ITEM},"output_index":0,"sequence_number":4`;
  const whole = eventText("output_text", plain);
  const others = [
    eventText("output_text", `${plain},"type":"response.completed"`),
    eventText("output_text", `${plain},"delta":"longer"`),
    eventText("output_text", `${plain},"response":{}`),
    eventText("output_text", plain.replace("abc", "a\tc")),
    eventText("output_text", plain.replace("abc", String.raw`a\xc`)),
    eventText("output_text", plain.replace('abc"', String.raw`abc\"`)),
    eventText("output_text", plain.replace(":4", ":04")),
    eventText("output_text", plain.replace('"abc"', "7")),
    eventText("output_text", plain.replace("msg_1", String.raw`msg_\"1`)),
    eventText("audio", '"delta":"UklGRg=="'),
    eventText("shell_call_output_content", '"delta":"a"'),
    whole.replace("event: response.output_text", "event: response.reasoning_text"),
    whole.replace("event: response.output_text.delta", "event: error"),
    whole.replace("data: ", "data: \ndata: "),
    whole.replace("\n\n", "\nid: 7\n\n"),
    whole.replaceAll("\n", "\r\n"),
    whole.slice(1),
  ];
  for (const text of others) assert.deepEqual(parseResponseDeltas(STARTED, text, 0), { reading: STARTED, to: 0 }, text);
  for (let end = 0; end < whole.length; end++) assert.equal(parseResponseDeltas(STARTED, whole.slice(0, end), 0).to, 0);
  const long = eventText("output_text", `"delta":"${"\\n".repeat(5_000_000)}"`);
  assert.deepEqual(parseResponseDeltas(STARTED, long, 0), { reading: STARTED, to: 0 });
});
