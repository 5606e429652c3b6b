import assert from "node:assert/strict";
import { messageBody, messageEvents, usageOf } from "../fake_messages.ts";
import { messageCall, type ProxyUnderTest, type Row, startProxy } from "../proxy_under_test.ts";
import { RawConnection, type RawReply } from "../raw_connection.ts";
import { type RawScript, startRawUpstream } from "../raw_upstream.ts";

const USAGE = usageOf("hello");
const MESSAGE = { id: "msg_raw", model: "claude-haiku-4-5", usage: USAGE, deltas: 3 };
const JSON_TEXT = JSON.stringify(messageBody(MESSAGE));
const EVENTS_TEXT = messageEvents(MESSAGE).join("");
const BODIES = [[JSON_TEXT, false], [EVENTS_TEXT, true]] as const;

function answerOf(lines: readonly string[], body: string, first = "HTTP/1.1 200 OK"): string {
  return `${[first, ...lines].join("\r\n")}\r\n\r\n${body}`;
}

function chunked(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
}

const WHOLE: readonly (readonly [how: string, script: (body: string) => RawScript])[] = [
  ["a content-length that is too short before chunked", (body) => ({
    bytes: answerOf(["content-length: 40", "transfer-encoding: chunked"], chunked(body)),
    closes: false,
  })],
  ["a content-length that is too short behind chunked", (body) => ({
    bytes: answerOf(["Transfer-Encoding: Chunked", "Content-Length: 40"], chunked(body)),
    closes: false,
  })],
  ["a content-length of 0 beside chunked", (body) => ({
    bytes: answerOf(["content-length: 0", "transfer-encoding: chunked"], chunked(body)),
    closes: false,
  })],
  ["a content-length that is too long beside chunked", (body) => ({
    bytes: answerOf(["content-length: 90000", "transfer-encoding: chunked"], chunked(body)),
    closes: false,
  })],
  ["the same content-length twice", (body) => ({
    bytes: answerOf([`content-length: ${body.length}`, `content-length: ${body.length}`], body),
    closes: false,
  })],
  ["the same content-length in a list", (body) => ({
    bytes: answerOf([`content-length: ${body.length}, ${body.length}`], body),
    closes: false,
  })],
  ["no length in HTTP/1.0", (body) => ({ bytes: answerOf([], body, "HTTP/1.0 200 OK"), closes: true })],
  ["no length and a connection that closes", (body) => ({ bytes: answerOf(["connection: close"], body), closes: true })],
  ["the coding identity beside a content-length", (body) => ({
    bytes: answerOf(["transfer-encoding: identity", "content-length: 40"], body),
    closes: true,
  })],
];

const BROKEN: readonly (readonly [how: string, script: (body: string) => RawScript])[] = [
  ["a content-length that is too long", (body) => ({
    bytes: answerOf([`content-length: ${body.length + 1}`], body.slice(0, -3)),
    closes: true,
  })],
  ["a content-length that is too short", (body) => ({
    bytes: answerOf([`content-length: ${body.length - 3}`], body),
    closes: false,
  })],
  ["a content-length beside chunks that stop", (body) => ({
    bytes: answerOf(["content-length: 40", "transfer-encoding: chunked"], chunked(body).slice(0, -20)),
    closes: true,
  })],
  ["a content-length beside chunks that end in the middle", (body) => ({
    bytes: answerOf(["content-length: 40", "transfer-encoding: chunked"], chunked(body.slice(0, -3))),
    closes: false,
  })],
  ["no length in HTTP/1.0, cut in the middle", (body) => ({
    bytes: answerOf([], body.slice(0, -3), "HTTP/1.0 200 OK"),
    closes: true,
  })],
];

const REFUSED: readonly (readonly [how: string, script: (body: string) => RawScript])[] = [
  [
    "two content-lengths",
    (body) => ({ bytes: answerOf(["content-length: 40", `content-length: ${body.length}`], body), closes: true }),
  ],
  ["a content-length that is no number", (body) => ({ bytes: answerOf(["content-length: all"], body), closes: true })],
  ["a content-length below zero", (body) => ({ bytes: answerOf(["content-length: -1"], body), closes: true })],
  ["chunked in HTTP/1.0", (body) => ({
    bytes: answerOf(["transfer-encoding: chunked"], chunked(body), "HTTP/1.0 200 OK"),
    closes: true,
  })],
  [
    "the codings gzip, chunked",
    (body) => ({ bytes: answerOf(["transfer-encoding: gzip, chunked"], chunked(body)), closes: true }),
  ],
  ["the coding chunked twice", (body) => ({
    bytes: answerOf(["transfer-encoding: chunked", "transfer-encoding: chunked"], chunked(body)),
    closes: true,
  })],
];

Deno.test("the proxy passes an answer whole, with a true length or none, that is framed by something else than its content-length", async () => {
  await asked(WHOLE, ({ reply, row, body, where }) => {
    assert.equal(new TextDecoder().decode(reply.body), body, where);
    assert.equal(reply.isBroken, false, where);
    assert.ok([undefined, String(body.length)].includes(reply.headers.get("content-length")), where);
    assert.deepEqual(
      [row.outcome, row.status, row.accuracy, row.output_tokens],
      ["completed", 200, "exact", USAGE.output_tokens],
      where,
    );
  });
});

Deno.test("the proxy ends no answer tidily that was cut, and never calls it completed, however it is framed", async () => {
  await asked(BROKEN, ({ reply, row, body, where }) => {
    assert.equal(reply.isBroken, true, where);
    assert.ok(body.startsWith(new TextDecoder().decode(reply.body)), where);
    assert.deepEqual([row.outcome, row.status], ["upstream_broke", 200], where);
    // Of the stream all but its last event came: the counts are the upstream's last word.
    assert.equal(row.accuracy, body === JSON_TEXT ? "unknown" : "exact", where);
  });
});

Deno.test("the proxy answers 502 where an answer's framing cannot be read, and its row has no status", async () => {
  await asked(REFUSED, ({ reply, row, where }) => {
    assert.deepEqual([reply.isBroken, reply.status], [false, 502], where);
    assert.ok(reply.headers.has("retry-after"), where);
    assert.deepEqual([row.outcome, row.status, row.accuracy, row.error_type], [
      "upstream_broke",
      null,
      "unknown",
      "upstream_unreachable",
    ], where);
  });
});

Deno.test("the upstream gets a message with its content-length, whether the client declared one or sent it chunked", async () => {
  await using upstream = await startRawUpstream(() => ({
    bytes: answerOf([`content-length: ${JSON_TEXT.length}`], JSON_TEXT),
    closes: false,
  }));
  await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url } });
  const token = await proxy.token();
  const { body } = messageCall(token, { stream: false });
  for (const sent of [body!, ReadableStream.from([new TextEncoder().encode(String(body))])]) {
    const answer = await fetch(`${proxy.url}/v1/messages`, { method: "POST", headers: { "x-api-key": token }, body: sent });
    assert.equal(await answer.text(), JSON_TEXT);
  }
  assert.equal(upstream.heads.length, 2);
  for (const head of upstream.heads) {
    assert.match(head, new RegExp(`^content-length: ${String(body).length}\r?$`, "im"));
    assert.doesNotMatch(head, /^transfer-encoding:/im);
  }
});

Deno.test("the proxy takes nothing behind an answer for the next one", async () => {
  const forged = answerOf(["content-length: 2"], "{}");
  const befores = [
    answerOf(["content-length: 40"], JSON_TEXT),
    answerOf([`content-length: ${JSON_TEXT.length}`], JSON_TEXT + forged),
    answerOf(["content-length: 40", "transfer-encoding: chunked"], chunked(JSON_TEXT) + forged),
    answerOf(["content-length: 2"], forged, "HTTP/1.1 204 No Content"),
    answerOf(["content-length: 2"], forged, "HTTP/1.1 304 Not Modified"),
  ];
  await using upstream = await startRawUpstream((number) => ({
    bytes: number % 2 === 0 ? befores[number / 2]! : answerOf([`content-length: ${JSON_TEXT.length}`], JSON_TEXT),
    closes: false,
  }));
  await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url } });
  for (const before of befores) {
    await ask(proxy, { isStreamed: false });
    const { reply } = await ask(proxy, { isStreamed: false });
    assert.equal(new TextDecoder().decode(reply.body), JSON_TEXT, before);
  }
  assert.equal(upstream.heads.length, 2 * befores.length);
});

Deno.test("the proxy passes a 204 and a 304 without a body, and a 204 without a length", async () => {
  for (const [first, status] of [["HTTP/1.1 204 No Content", 204], ["HTTP/1.1 304 Not Modified", 304]] as const) {
    await using upstream = await startRawUpstream(() => ({ bytes: answerOf(["content-length: 2"], "{}", first), closes: true }));
    await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url } });
    const { reply, row } = await ask(proxy, { isStreamed: false });
    assert.deepEqual([reply.status, reply.isBroken, reply.body.length], [status, false, 0]);
    if (status === 204) assert.equal(reply.headers.has("content-length"), false);
    assert.deepEqual([row.outcome, row.status], ["upstream_error", status]);
  }
});

Deno.test("the proxy frames answers to calls without a row alike, and breaks one whose JSON the connection's end has cut", async () => {
  const text = JSON.stringify({ id: "file_011", type: "file", filename: "f".repeat(100) });
  const scripts: readonly (readonly [script: RawScript, isBroken: boolean])[] = [
    [{ bytes: answerOf(["content-length: 40", "transfer-encoding: chunked"], chunked(text)), closes: false }, false],
    [{ bytes: answerOf([], text, "HTTP/1.0 200 OK"), closes: true }, false],
    [{ bytes: answerOf(["content-type: text/html"], "<p>{", "HTTP/1.0 200 OK"), closes: true }, false],
    [{ bytes: answerOf([], "", "HTTP/1.0 200 OK"), closes: true }, false],
    [{ bytes: answerOf([], text.slice(0, -3), "HTTP/1.0 200 OK"), closes: true }, true],
    [{ bytes: answerOf([`content-length: ${text.length}`], text.slice(0, -3)), closes: true }, true],
  ];
  await using upstream = await startRawUpstream((number) => scripts[number % scripts.length]![0]);
  await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url } });
  for (const target of ["/v1/messages/count_tokens", "/v1/files", "/v1/messages/batches"]) {
    for (const [{ bytes }, isBroken] of scripts) {
      const reply = await post(proxy, { target, isStreamed: false });
      assert.equal(reply.isBroken, isBroken, `${target}: ${bytes}`);
      const whole = bytes.includes("chunked") ? text : bytes.slice(bytes.indexOf("\r\n\r\n") + 4);
      assert.equal(new TextDecoder().decode(reply.body), whole, target);
    }
  }
});

Deno.test("results of a batch and what a file holds pass whole, whatever they are, if the connection's end is theirs", async () => {
  const made = JSON.stringify({ id: "file_011", type: "file" });
  const batch = JSON.stringify({ id: "msgbatch_011", type: "message_batch", processing_status: "in_progress" });
  const bodies = [made, batch, "{% if x %} a template", '{"custom_id":"a"}\n{"custom_id":"b"}\n'];
  await using upstream = await startRawUpstream((number) => ({
    bytes: answerOf([], bodies[number]!, "HTTP/1.0 200 OK"),
    closes: true,
  }));
  await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url } });
  const token = await proxy.token();
  for (const target of ["/v1/files", "/v1/messages/batches"]) {
    assert.equal((await post(proxy, { target, isStreamed: false, token })).isBroken, false);
  }
  for (const [n, target] of ["/v1/files/file_011/content", "/v1/messages/batches/msgbatch_011/results"].entries()) {
    using connection = new RawConnection(proxy.url);
    const headers = [["host", new URL(proxy.url).host], ["x-api-key", token]] as const;
    const reply = await connection.send({ method: "GET", target, headers, body: new Uint8Array() });
    assert.deepEqual([reply.status, reply.isBroken], [200, false], target);
    assert.equal(new TextDecoder().decode(reply.body), bodies[2 + n]);
  }
});

Deno.test("an error with status 200 is not taken for a file without an owner, and an answer without an id is", async () => {
  const error = JSON.stringify({ type: "error", error: { type: "api_error", message: "no" } });
  await using upstream = await startRawUpstream((number) => ({
    bytes: answerOf([], [error, "{}"][number]!, "HTTP/1.0 200 OK"),
    closes: true,
  }));
  await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url } });
  for (const warnings of [0, 1]) {
    assert.equal((await post(proxy, { target: "/v1/files", isStreamed: false })).isBroken, false);
    assert.equal(proxy.logs.filter((line) => line.includes("it has no owner")).length, warnings);
  }
});

interface Seen {
  readonly reply: RawReply;
  readonly row: Row;
  readonly body: string;
  readonly where: string;
}

/** Asks for a message and for a stream that are sent in each of these ways. */
async function asked(
  scripts: readonly (readonly [how: string, script: (body: string) => RawScript])[],
  look: (seen: Seen) => void,
): Promise<void> {
  const cases = scripts.flatMap(([how, script]) => BODIES.map(([body, isStreamed]) => ({ how, script, body, isStreamed })));
  await using upstream = await startRawUpstream((number) => cases[number]!.script(cases[number]!.body));
  await using proxy = await startProxy({ env: { ANTHROPIC_BASE_URL: upstream.url } });
  for (const { how, body, isStreamed } of cases) {
    look({ ...await ask(proxy, { isStreamed }), body, where: `${how}: ${body.slice(0, 9)}` });
  }
  assert.equal(upstream.heads.length, cases.length);
}

async function ask(proxy: ProxyUnderTest, { isStreamed }: { readonly isStreamed: boolean }) {
  const before = proxy.rows().length;
  const reply = await post(proxy, { target: "/v1/messages", isStreamed });
  const rows = await proxy.closedRows(before + 1);
  return { reply, row: rows[before]! };
}

async function post(
  proxy: ProxyUnderTest,
  { target, isStreamed, token }: { readonly target: string; readonly isStreamed: boolean; readonly token?: string },
): Promise<RawReply> {
  using connection = new RawConnection(proxy.url);
  const shown = token ?? await proxy.token();
  const body = new TextEncoder().encode(String(messageCall(shown, { stream: isStreamed }).body));
  const headers = [["host", new URL(proxy.url).host], ["x-api-key", shown], ["content-length", String(body.length)]] as const;
  return await connection.send({ method: "POST", target, headers, body });
}
