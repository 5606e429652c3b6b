import assert from "node:assert/strict";
import { type BadInput, type Expected, HEAD_TOO_LARGE, MALFORMED, NOT_FOUND, SQL, Stand } from "../bad_input.ts";
import { startProxy } from "../proxy_under_test.ts";

/**
 * Spellings of paths that must reach the upstream by no road. All of DESIGN section 6, each in
 * several ways.
 */
const ODD_SPELLINGS = [
  ...["/v1/./messages", "/v1/../v1/messages", "/v1/x/../messages", "/v1/messages/.", "/./v1/messages", "/../v1/messages"],
  ...["/v1/%2e/messages", "/v1/%2E%2e/v1/messages", "/v1/.%2e/messages", "/v1/x/%2e%2e/messages", "/%2e%2e/v1/messages"],
  ...["//v1/messages", "/v1//messages", "/v1/messages//", "///", "//evil.example/v1/messages"],
  ...["/v1\\messages", "/v1/..\\messages", "/v1/messages\\..\\files", "/\\evil.example/v1/messages"],
  ...["/v1%2fmessages", "/v1/messages%2Fbatches", "/v1/x%2f..%2fmessages", "/v1/%2e%2e%2fmessages", "/v1/messages%5cx"],
  ...["/v1/%6dessages", "/v1/%4Dessages", "/%761/messages", "/v1/messages%5f", "/v1/m%65ssages", "/v1/messages%2dx"],
  ...["/v1/messages#x", "/v1/messages?beta=true#x", "/#/v1/messages"],
  ...["/v1/messages?x='y'", '/v1/messages?x="y"', "/v1/messages?x=<y>"],
  ...["/v1/messages/", "/v1/messages/?beta=true", "/v1/models/", "/v1/messages/count_tokens/", "/v1/files/", "/v1/"],
  ...["/v1/Messages", "/V1/messages", "/v1/MESSAGES?beta=true", "/v1/messages/Batches", "/v1/Files/x"],
  ...["/v1/messages%00", "/v1/messages%0a", "/v1/messages%0d%0aX-Evil:1", "/v1/messages%3fbeta=true", "/v1/messages%23"],
  ...["/v1/messages%253f", "/v1/%252e%252e/messages", "/v1/messages%", "/v1/messages%zz", "/v1/messages;x=1", "/v1;/messages"],
  ...['/v1/"messages"', "/v1/{messages}", "/v1/messages|x", "/v1/[messages]"],
  ...["http://evil.example/v1/messages", "https://evil.example/v1/messages", "http://user@evil.example/v1/messages", "file:///x"],
];
/** What is no request target by RFC 9112, section 3.2. */
const NO_TARGETS = [
  ...["#", "v1/messages", "\\v1\\messages", "/v1/mess ages", "/v1/messages\t", "/v1/messages\0", "/v1/messages\x7f"],
  ...["/v1/m\u00e9ssages", "/v1/mess\u0430ges"],
];

Deno.test("the proxy lets no other spelling of a path reach the upstream, and sends what it lets through as it is spelled", async (t) => {
  await using stand = await opened();
  for (const target of [...ODD_SPELLINGS, ...NO_TARGETS]) {
    await t.step(`the proxy refuses ${JSON.stringify(target)}`, async () => {
      const send = stand.request({ line: `POST ${target} HTTP/1.1`, ...GOOD });
      await stand.show({ name: target, send, expects: NO_TARGETS.includes(target) ? MALFORMED : NOT_FOUND });
    });
  }
  await t.step("the proxy refuses the https form of its own address", async () => {
    const line = `POST https://${new URL(stand.proxy.url).host}/v1/messages HTTP/1.1`;
    await stand.show({ name: "https", send: stand.request({ line, ...GOOD }), expects: NOT_FOUND });
  });
  await t.step("the proxy takes the absolute form of its own address for the plain path", async () => {
    const line = `POST ${stand.proxy.url}/v1/messages?beta=true HTTP/1.1`;
    await stand.show({ name: "own", send: stand.request({ line, ...GOOD }), expects: passedAs("/v1/messages?beta=true") });
  });
  for (
    const target of [
      "/v1/messages",
      "/v1/messages?",
      "/v1/messages?beta=true&x=%2F..%2e/../;a=b",
      "/v1/messages?x=|^`{y}\\%zz?",
      `/v1/messages?${"q".repeat(4000)}`,
    ]
  ) {
    await t.step(`the proxy sends ${target.slice(0, 60)} as it is`, async () => {
      const send = stand.request({ line: `POST ${target} HTTP/1.1`, ...GOOD });
      await stand.show({ name: target, send, expects: passedAs(target) });
    });
  }
  await stand.lostNothing();
});

Deno.test("the proxy is not led by a request that two servers would read differently", async (t) => {
  await using stand = await opened();
  for (const bad of smuggled(stand)) {
    await t.step(`the proxy is not harmed by ${bad.name}`, async () => void await stand.show(bad));
  }
  await stand.lostNothing();
});

Deno.test("the proxy refuses HTTP/2, which is for the server in front of it, in HTTP/1.1", async () => {
  await using stand = await opened();
  await stand.show({ name: "HTTP/2", send: ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], expects: MALFORMED });
});

Deno.test("the proxy ignores invalid trace ids, and stores odd headers as data", async (t) => {
  await using stand = await opened();
  for (const bad of oddHeaders(stand)) {
    await t.step(`the proxy is not harmed by ${bad.name}`, async () => void await stand.show(bad));
  }
  await stand.lostNothing();
  const { traces } = await stand.proxy.ask("/internal/traces?limit=1000") as { traces: { id: string; source: string }[] };
  for (const { id } of traces) assert.match(id, /^[\x21-\x7e]{1,128}$/);
  assert.deepEqual(traces.filter(({ source }) => source === "header").map(({ id }) => id), [SQL.replaceAll(" ", "/**/")]);
});

const BODY = JSON.stringify({ model: "claude-haiku-4-5", max_tokens: 64, messages: [{ role: "user", content: "hello" }] });
const LENGTH = `content-length: ${BODY.length}`;
const CHUNKED = "transfer-encoding: chunked";
const GOOD = { lines: [LENGTH, "content-type: application/json"], body: BODY };
const HIDDEN = "POST /v1/files HTTP/1.1\r\nHost: x\r\nx-api-key: y\r\ncontent-length: 0\r\n\r\n";

/** Every path under /v1/ is open here, so that what is refused is refused for its spelling. */
async function opened(): Promise<Stand & AsyncDisposable> {
  const proxy = await startProxy({ env: { LLMPROXY_ALLOW_PATHS: "*", LLMPROXY_BODY_SECONDS: "2" } });
  const stand = new Stand(proxy, await proxy.token());
  return Object.assign(stand, { [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() });
}

function passedAs(target: string, row: Readonly<Record<string, unknown>> = {}): Expected {
  return {
    kind: "passed",
    status: 200,
    row: { outcome: "completed", accuracy: "exact", ...row },
    seen: (call) => assert.deepEqual([call.method, call.target, new TextDecoder().decode(call.body)], ["POST", target, BODY]),
  };
}

function smuggled(stand: Stand): readonly BadInput[] {
  const { host } = new URL(stand.proxy.url);
  const plain = passedAs("/v1/messages");
  const rows: readonly (readonly [name: string, lines: readonly string[], body: string, expects: Expected])[] = [
    ["a length and chunks", [LENGTH, CHUNKED], `0\r\n\r\n${HIDDEN}`, MALFORMED],
    ["chunks and a length", [CHUNKED, "content-length: 4"], `0\r\n\r\n${HIDDEN}`, MALFORMED],
    ["two lengths that differ", [LENGTH, "content-length: 3"], BODY, MALFORMED],
    ["two lengths that are the same", [LENGTH, LENGTH], BODY, MALFORMED],
    ["a list of lengths", [`${LENGTH}, ${BODY.length}`], BODY, MALFORMED],
    ["a negative length", ["content-length: -1"], BODY, MALFORMED],
    ["a length with a plus", [`content-length: +${BODY.length}`], BODY, MALFORMED],
    ["a hexadecimal length", ["content-length: 0x58"], BODY, MALFORMED],
    ["a length beyond 64 bits", ["content-length: 99999999999999999999999"], BODY, MALFORMED],
    ["a folded header", [LENGTH, "x-a: b", " folded: c"], BODY, MALFORMED],
    ["a folded length", ["content-length:", ` ${BODY.length}`], BODY, MALFORMED],
    ["an unknown transfer coding", ["transfer-encoding: xchunked"], `0\r\n\r\n${HIDDEN}`, MALFORMED],
    ["chunks that are not the last coding", ["transfer-encoding: chunked, identity"], `0\r\n\r\n${HIDDEN}`, MALFORMED],
    ["two chunked codings", [CHUNKED, CHUNKED], `0\r\n\r\n${HIDDEN}`, MALFORMED],
    ["a coding behind a vertical tab", ["transfer-encoding: \x0bchunked"], `0\r\n\r\n${HIDDEN}`, MALFORMED],
    ["a space before a colon", ["transfer-encoding : chunked"], `0\r\n\r\n${HIDDEN}`, MALFORMED],
    ["a chunk size that is no number", [CHUNKED], "zz\r\nabc\r\n0\r\n\r\n", MALFORMED],
    ["a negative chunk size", [CHUNKED], "-1\r\nabc\r\n0\r\n\r\n", MALFORMED],
    ["a chunk size beyond 64 bits", [CHUNKED], "fffffffffffffffff1\r\nabc\r\n0\r\n\r\n", MALFORMED],
    ["a chunk that is longer than its size", [CHUNKED], "3\r\nabcdef\r\n0\r\n\r\n", MALFORMED],
    ["chunk extensions", [CHUNKED], `${BODY.length.toString(16)};a="b"\r\n${BODY}\r\n0\r\n\r\n`, plain],
    ["credentials in trailers", [CHUNKED], `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\nx-api-key: evil\r\n\r\n`, plain],
    ["a second Host header", ["Host: evil.example", LENGTH], BODY, NOT_FOUND],
    ["a null byte in a header", [LENGTH, "x-a: a\0b"], BODY, MALFORMED],
    ["a bare CR in a header", [LENGTH, "x-a: a\rb"], BODY, MALFORMED],
    ["a bare LF in a header, which would make two of it", [LENGTH, "x-a: a\nx-injected: b"], BODY, MALFORMED],
    ["a space in a header's name", [LENGTH, "x a: b"], BODY, MALFORMED],
    ["a header without a colon", [LENGTH, "nocolon"], BODY, MALFORMED],
    ["an upgrade", [LENGTH, "connection: upgrade", "upgrade: h2c", "http2-settings: AAMAAABk"], BODY, plain],
    ["an upgrade to a WebSocket", [LENGTH, "connection: upgrade", "upgrade: websocket"], BODY, plain],
    ["a header of 70 kB", [LENGTH, `x-big: ${"a".repeat(70_000)}`], BODY, HEAD_TOO_LARGE],
    ["a header of 1 MB", [LENGTH, `x-big: ${"a".repeat(1_000_000)}`], BODY, HEAD_TOO_LARGE],
    ["300 headers", [LENGTH, ...Array.from({ length: 300 }, (_, n) => `x-${n}: a`)], BODY, plain],
    ["two tokens", [LENGTH, "authorization: Bearer another"], BODY, refusal(401)],
    ["two x-api-key headers", [LENGTH, `x-api-key: ${stand.token}`], BODY, refusal(401)],
    ["a Basic authorization", [LENGTH, "authorization: Basic dTpw"], BODY, refusal(401)],
  ];
  const heads: readonly (readonly [name: string, head: string, expects: Expected])[] = [
    ["a target of 70 kB", `POST /v1/messages?${"a".repeat(70_000)} HTTP/1.1\r\nHost: ${host}`, HEAD_TOO_LARGE],
    ["a Host with a path", `POST /messages HTTP/1.1\r\nHost: ${host}/v1`, NOT_FOUND],
    ["a Host with a path and a query", `POST /v1/messages HTTP/1.1\r\nHost: ${host}/v1/files?`, NOT_FOUND],
    ["a Host with a fragment", `POST /v1/messages HTTP/1.1\r\nHost: ${host}#`, NOT_FOUND],
    ["a Host with a user", `POST /v1/messages HTTP/1.1\r\nHost: user@${host}`, NOT_FOUND],
    ["an empty Host", "POST /v1/messages HTTP/1.1\r\nHost:", plain],
    ["a foreign Host, which names no upstream", "POST /v1/messages HTTP/1.1\r\nHost: evil.example", plain],
    ["HTTP/1.0 without a Host", "POST /v1/messages HTTP/1.0", plain],
    ["a version that there is not", `POST /v1/messages HTTP/3.7\r\nHost: ${host}`, MALFORMED],
    ["a method in small letters, which no route takes", `post /v1/messages HTTP/1.1\r\nHost: ${host}`, MALFORMED],
    ["a method in mixed letters", `Post /v1/messages HTTP/1.1\r\nHost: ${host}`, MALFORMED],
    ["CONNECT", "CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: api.anthropic.com:443", NOT_FOUND],
    ["TRACE", `TRACE /v1/messages HTTP/1.1\r\nHost: ${host}`, NOT_FOUND],
    ["TLS where none is spoken", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", MALFORMED],
  ];
  return [
    ...rows.map(([name, lines, body, expects]) => ({ name, send: stand.request({ lines, body }), expects })),
    ...heads.map(([name, head, expects]) => ({
      name,
      send: [`${head}\r\nx-api-key: ${stand.token}\r\n${LENGTH}\r\n\r\n${BODY}`],
      expects,
    })),
  ];
}

function refusal(status: 401): Expected {
  return { kind: "refused", status, type: "authentication_error" };
}

function oddHeaders(stand: Stand): readonly BadInput[] {
  const auto = (line: string, row = {}) => ({ line, expects: passedAs("/v1/messages", row) });
  const kept = { trace_id: SQL.replaceAll(" ", "/**/") };
  const cut = "u".repeat(256);
  const rows: Readonly<Record<string, { readonly line: string; readonly expects: Expected }>> = {
    "a trace id with a control character": { line: "x-trace-id: a\x01b", expects: MALFORMED },
    "a trace id with an escape": { line: "x-trace-id: \x1b[2J", expects: MALFORMED },
    "a trace id with DEL": { line: "x-trace-id: a\x7f", expects: MALFORMED },
    "a trace id with a tab": auto("x-trace-id: a\tb"),
    "a trace id with a space": auto("x-trace-id: a b"),
    "an empty trace id": auto("x-trace-id:"),
    "a trace id of 129 characters": auto(`x-trace-id: ${"t".repeat(129)}`),
    "a trace id of 10 kB": auto(`x-trace-id: ${"t".repeat(10_000)}`),
    "a trace id that is not ASCII": auto("x-trace-id: trac\u00e9"),
    "two trace ids": auto("x-trace-id: a\r\nx-trace-id: b"),
    "SQL in the trace id": auto(`x-trace-id: ${kept.trace_id}`, kept),
    "SQL in a session id": auto(`x-claude-code-session-id: ${SQL}`),
    "SQL in the agent's id": auto(`x-claude-code-agent-id: ${SQL}`, { agent_id: SQL }),
    "SQL in the parent agent's id": auto(`x-claude-code-parent-agent-id: ${SQL}`, { parent_agent_id: SQL }),
    "SQL in the agent's type": auto(`x-claude-code-agent-type: ${SQL}`, { agent_type: SQL }),
    "SQL in the request class": auto(`x-claude-code-request-class: ${SQL}`, { request_class: SQL }),
    "SQL in the prompt's id": auto(`x-claude-code-prompt-id: ${SQL}`, { prompt_id: SQL }),
    "SQL in the user agent": auto(`user-agent: ${SQL.replaceAll(" ", "+")}`, { client: SQL.replaceAll(" ", "+") }),
    "an agent's id of 8 kB": auto(`x-claude-code-agent-id: ${"u".repeat(8_000)}`, { agent_id: cut }),
    "a user agent of 8 kB": auto(`user-agent: ${"u".repeat(8_000)}`, { client: cut }),
  };
  return Object.entries(rows).map(([name, { line, expects }]) => {
    return { name, send: stand.request({ lines: [LENGTH, line], body: BODY }), expects };
  });
}
