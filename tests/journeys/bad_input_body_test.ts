import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { assertRefusal, type BadInput, type Expected, SQL, Stand } from "../bad_input.ts";
import { paced } from "../fake_answers.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { metricOf } from "../process_metrics.ts";
import { startProxyProcess } from "../proxy_process.ts";
import { startProxy } from "../proxy_under_test.ts";
import { chunked, type Pieces, rawCall, rawRequest } from "../raw_http.ts";

const MB = 1 << 20;
const CHUNKED = "transfer-encoding: chunked";
const JSON_TYPE = "content-type: application/json";
const GOOD = { model: "claude-haiku-4-5", max_tokens: 64, messages: [{ role: "user", content: "hello" }] };
const encoder = new TextEncoder();

Deno.test("the proxy passes bodies that it cannot make sense of, byte for byte, and keeps one honest row of each", async (t) => {
  await using stand = await opened();
  for (const bad of oddBodies(stand)) {
    await t.step(`the proxy is not harmed by ${bad.name}`, async () => void await stand.show(bad));
  }
  await stand.lostNothing();
});

Deno.test("the proxy refuses bodies if it cannot see what they name", async (t) => {
  await using stand = await opened();
  const good = encoder.encode(JSON.stringify(GOOD));
  const bodies: readonly (readonly [name: string, body: Uint8Array, lines: readonly string[]])[] = [
    ["null bytes", new Uint8Array(1000), []],
    ["no gzip, called gzip", good, ["content-encoding: gzip"]],
    ["an unknown encoding", good, ["content-encoding: x-rot13"]],
    ["a gzip bomb", gzipSync(`{"model":"m","x":"${"0".repeat(40 * MB)}"}`), ["content-encoding: gzip"]],
  ];
  for (const [name, body, lines] of bodies) {
    const send = stand.request({ lines: [...lines, `content-length: ${body.length}`], body });
    const expects: Expected = { kind: "refused", status: 415, type: "invalid_request_error" };
    await t.step(`the proxy is not harmed by ${name}`, async () => void await stand.show({ name, send, expects }));
  }
  await stand.lostNothing();
  assert.equal(await gauge(stand, "buffered_bytes"), 0);
});

Deno.test("the proxy refuses bodies that are too large or cut short, and holds nothing of them", async (t) => {
  await using stand = await opened();
  for (const bad of wrongSizes(stand)) {
    await t.step(`the proxy is not harmed by ${bad.name}`, async () => void await stand.show(bad));
  }
  await stand.lostNothing();
  assert.equal(await gauge(stand, "buffered_bytes"), 0);
  assert.equal(await gauge(stand, "open_rows"), 0);
});

Deno.test("the proxy holds a body that comes in 20,000 pieces in little more than its bytes", async () => {
  await using upstream = await startFakeUpstream();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir });
    const token = await proxy.token();
    const memory = () => metricOf(proxy, "llmproxy_resident_memory_bytes");
    const before = await memory();
    const lines = [`host: ${new URL(proxy.url).host}`, `x-api-key: ${token}`, CHUNKED, JSON_TYPE];
    const good = JSON.stringify(GOOD);
    const body = `${"1\r\n \r\n".repeat(20_000)}${good.length.toString(16)}\r\n${good}\r\n0\r\n\r\n`;
    const [answer] = await rawCall(proxy.url, rawRequest("POST /v1/messages HTTP/1.1", { lines, body }));
    assert.equal(answer?.status, 200);
    const grown = await memory() - before;
    assert.ok(grown < 400 * MB, `${grown / MB} MB more`);
  }
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("the proxy answers 408 only to bodies that dawdle or never come", async () => {
  await using stand = await opened({ LLMPROXY_BODY_SECONDS: "1" });
  const body = JSON.stringify(GOOD);
  const length = `content-length: ${body.length}`;
  const bytewise = (text: string) => paced(text, { paceMs: 250, gone: new AbortController().signal });
  const slow = [
    behind(stand.request({ lines: [length] }), bytewise(body)),
    behind(stand.request({ lines: [CHUNKED] }), bytewise([...body].map((byte) => `1\r\n${byte}\r\n`).join("") + "0\r\n\r\n")),
    stand.request({ lines: [length], body: body.slice(0, -1) }),
    stand.request({ lines: [CHUNKED], body: "3\r\nabc\r\n" }),
    stand.request({ lines: [length] }),
    stand.request({ line: "POST /v1/messages/count_tokens HTTP/1.1", lines: [length], body: "{" }),
  ];
  const answers = slow.map((send) => rawCall(stand.proxy.url, send));
  await stand.serves();
  for (const answer of await Promise.all(answers)) assertRefusal(answer[0] ?? null, { status: 408, type: "timeout_error" });
  await stand.serves();
  await stand.lostNothing();
  assert.deepEqual(
    stand.proxy.upstream.calls.filter((call) => call.isWhole).map((call) => call.target),
    Array(2).fill("/v1/messages"),
  );
});

async function opened(env: Readonly<Record<string, string>> = {}): Promise<Stand & AsyncDisposable> {
  const proxy = await startProxy({ env });
  const stand = new Stand(proxy, await proxy.token());
  return Object.assign(stand, { [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() });
}

/** What the upstream refuses: the row says so, with the model where JSON.parse finds one. */
const NONSENSE = {
  outcome: "upstream_error",
  accuracy: "exact",
  status: 400,
  requested_model: "",
  streaming: 0,
  input_tokens: 0,
};

function oddBodies(stand: Stand): readonly BadInput[] {
  const good = encoder.encode(JSON.stringify(GOOD));
  const bodies: Readonly<
    Record<string, readonly [body: string | Uint8Array, row: Readonly<Record<string, unknown>>, lines?: string[]]>
  > = {
    "a body that is not JSON": ["not json", NONSENSE],
    "an empty body": ["", NONSENSE],
    "a body of spaces": [" \n\t ", NONSENSE],
    "JSON that ends early": ['{"model":"m","stream":true,"max_tokens":5', NONSENSE],
    "JSON with something behind it": ['{"model":"m"} x', NONSENSE],
    "JSON with a trailing comma": ['{"model":"m",}', NONSENSE],
    "single quotes": ["{'model':'m'}", NONSENSE],
    "null": ["null", NONSENSE],
    "random bytes": [crypto.getRandomValues(new Uint8Array(65_536)).fill(0xff, 0, 4), NONSENSE],
    "UTF-16": [Uint8Array.from(`\ufeff${JSON.stringify(GOOD)}`, (letter) => letter.charCodeAt(0)), NONSENSE],
    "an array": ['[{"model":"m","stream":true}]', taken({ requested_model: "" })],
    "a string": ['"model"', taken({ requested_model: "" })],
    "a number": ["1e999", taken({ requested_model: "" })],
    "arrays, a million deep": ["[".repeat(1e6) + "]".repeat(1e6), taken({ requested_model: "" })],
    "objects, a million deep": ['{"model":'.repeat(1e6) + "1" + "}".repeat(1e6), taken({ requested_model: "" })],
    "a million levels that are never closed": ["[".repeat(1e6), NONSENSE],
    "a model before a million levels": [
      `{"model":"m","x":${"[".repeat(1e6)}${"]".repeat(1e6)}}`,
      taken({ requested_model: "m" }),
    ],
    "a million keys": [`{"model":"m"${',"k":1'.repeat(1e6)},"max_tokens":7}`, taken({ requested_model: "m", max_tokens: 7 })],
    "a wrong content type": [good, taken({}), ["content-type: text/plain"]],
    "a form's content type": [good, taken({}), ["content-type: multipart/form-data; boundary=x"]],
    "no content type": [good, taken({}), []],
    "invalid UTF-8": [withModel([0xff, 0xfe, 0xc3, 0x28]), taken({ requested_model: "\ufffd\ufffd\ufffd(" })],
    "overlong UTF-8": [withModel([0xc0, 0xaf]), taken({ requested_model: "\ufffd\ufffd" })],
    "a null byte in the model": [JSON.stringify({ ...GOOD, model: "a\0b" }), taken({ requested_model: "a\ufffdb" })],
    "half a surrogate pair": [JSON.stringify({ ...GOOD, model: "\ud83d" }), taken({ requested_model: "\ufffd" })],
    "stream as a string": [JSON.stringify({ ...GOOD, stream: "true" }), taken({ streaming: 0 })],
    "stream as a number": [JSON.stringify({ ...GOOD, stream: 1 }), taken({ streaming: 0 })],
    "stream as an array": [JSON.stringify({ ...GOOD, stream: [true] }), taken({ streaming: 0 })],
    "two streams": ['{"stream":true,"stream":false,"model":"m"}', taken({ streaming: 0, requested_model: "m" })],
    "two models": ['{"model":"first","messages":[],"model":"last"}', taken({ requested_model: "last" })],
    "an escaped second model": ['{"model":"first","\\u006dodel":"last"}', taken({ requested_model: "last" })],
    "a model that is an object": ['{"model":{"model":"m"}}', taken({ requested_model: "" })],
    "a second model that is null": ['{"model":"m","model":null}', taken({ requested_model: "" })],
    "__proto__ as a key": ['{"__proto__":{"model":"evil","stream":true},"constructor":1}', taken({ requested_model: "" })],
    "a model of 10 kB": [JSON.stringify({ ...GOOD, model: "m".repeat(10_000) }), taken({ requested_model: "m".repeat(256) })],
    "SQL in the model": [JSON.stringify({ ...GOOD, model: SQL }), taken({ requested_model: SQL })],
    "SQL in the text": [JSON.stringify({ ...GOOD, messages: [{ role: "user", content: SQL }] }), taken({})],
    "SQL in user_id": [JSON.stringify({ ...GOOD, metadata: { user_id: SQL } }), taken({})],
    "a user_id that is JSON in JSON": [JSON.stringify({ ...GOOD, metadata: { user_id: "{".repeat(5_000) } }), taken({})],
    "max_tokens as a string": [JSON.stringify({ ...GOOD, max_tokens: "64" }), taken({ max_tokens: null })],
    "max_tokens beyond all integers": ['{"model":"m","max_tokens":1e999}', taken({ max_tokens: null, requested_model: "m" })],
    "max_tokens that is a fraction": ['{"model":"m","max_tokens":1.5}', taken({ max_tokens: null, requested_model: "m" })],
  };
  return Object.entries(bodies).map(([name, [body, row, lines = [JSON_TYPE]]]) => {
    const bytes = typeof body === "string" ? encoder.encode(body) : body;
    const send = stand.request({ lines: [...lines, `content-length: ${bytes.length}`], body: bytes });
    return { name, send, expects: passed(bytes, row) };
  });
}

/** What the upstream takes, odd as it is. */
function taken(row: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { outcome: "completed", accuracy: "exact", status: 200, ...row };
}

function passed(bytes: Uint8Array, row: Readonly<Record<string, unknown>>): Expected {
  return {
    kind: "passed",
    status: Number(row.status),
    row: { ...row, request_bytes: bytes.length },
    seen: (call) => {
      assert.ok(call.isWhole);
      assert.ok(Buffer.from(bytes).equals(call.body));
    },
  };
}

function withModel(bytes: readonly number[]): Uint8Array {
  return Uint8Array.from([...encoder.encode('{"model":"'), ...bytes, ...encoder.encode('","messages":[]}')]);
}

function wrongSizes(stand: Stand): readonly BadInput[] {
  const tooLarge: Expected = { kind: "refused", status: 413, type: "request_too_large" };
  const isCut: Expected = { kind: "refused", status: 400, type: "invalid_request_error" };
  const countTokens = "POST /v1/messages/count_tokens HTTP/1.1";
  const spaces = new Uint8Array(33 * MB).fill(0x20);
  const whole = spaces.subarray(0, 32 * MB);
  const cut = JSON.stringify(GOOD).slice(0, 40);
  encoder.encodeInto('{"model":"m","messages":[]}', whole);
  const declared = (bytes: number | string) => ({ lines: [JSON_TYPE, `content-length: ${bytes}`] });
  const inChunks = (line: string, body: Uint8Array) => behind(stand.request({ line, lines: [CHUNKED] }), chunked(body, MB));
  const messages = "POST /v1/messages HTTP/1.1";
  return [
    { name: "33 MB, announced", send: stand.request(declared(33 * MB)), expects: tooLarge },
    { name: "33 MB, announced and sent", send: stand.request({ ...declared(33 * MB), body: spaces }), expects: tooLarge },
    { name: "33 MB in chunks", send: inChunks(messages, spaces), expects: tooLarge },
    { name: "one byte over 32 MB", send: stand.request(declared(32 * MB + 1)), expects: tooLarge },
    { name: "2^53 + 1 bytes, announced", send: stand.request(declared("9007199254740993")), expects: tooLarge },
    { name: "33 MB to count, announced", send: stand.request({ line: countTokens, ...declared(33 * MB) }), expects: tooLarge },
    { name: "33 MB to count, in chunks", send: inChunks(countTokens, spaces), expects: tooLarge, mayBegin: true },
    {
      name: "32 MB to the byte",
      send: stand.request({ ...declared(whole.length), body: whole }),
      expects: passed(whole, taken({ requested_model: "m" })),
    },
    { name: "a body cut short", send: stand.request({ ...declared(500), body: cut }), isHalfClosed: true, expects: isCut },
    {
      name: "a chunk cut short",
      send: stand.request({ lines: [CHUNKED], body: `ff\r\n${cut}` }),
      isHalfClosed: true,
      expects: isCut,
    },
    {
      name: "chunks without an end",
      send: stand.request({ lines: [CHUNKED], body: `${cut.length.toString(16)}\r\n${cut}\r\n` }),
      isHalfClosed: true,
      expects: isCut,
    },
  ];
}

async function* behind(first: Pieces, then: Pieces): AsyncGenerator<string | Uint8Array> {
  yield* first;
  yield* then;
}

async function gauge(stand: Stand, name: string): Promise<number> {
  const { adminUrl, adminToken } = stand.proxy;
  const answer = await fetch(`${adminUrl}/metrics`, { headers: { authorization: `Bearer ${adminToken}` } });
  return Number(new RegExp(`^llmproxy_${name} (\\S+)$`, "m").exec(await answer.text())?.[1] ?? NaN);
}
