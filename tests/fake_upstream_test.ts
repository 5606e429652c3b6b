import assert from "node:assert/strict";
import { deadline } from "../src/async/deadline.ts";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import AnthropicOld, { toFile as toFileOld } from "anthropic_sdk_0";
import Anthropic, { toFile } from "anthropic_sdk_1";
import { cut, eventStream, failing, gzipped, heldBefore, messageTo, streamed } from "./fake_answers.ts";
import { messageEvents, sse, usageOf } from "./fake_messages.ts";
import { startFakeUpstream } from "./fake_upstream.ts";
import { gate, waitFor } from "./wait.ts";

const ASK = { model: "claude-opus-4-8", max_tokens: 64, messages: [{ role: "user" as const, content: "how long is this?" }] };

interface Raw extends Disposable {
  send(text: string): Promise<void>;
  /** What comes until the connection ends, and how it ends. */
  rest(): Promise<{ readonly text: string; readonly end: "tidy" | "reset" }>;
  until(text: string): Promise<string>;
}

/** How long one read waits on a busy machine. */
const READ_MS = 15_000;

async function rawClient(url: string): Promise<Raw> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(url).port) });
  const buffer = new Uint8Array(65_536);
  let seen = "";
  async function read(): Promise<boolean> {
    const count = await deadline(connection.read(buffer), READ_MS, () => new Error(`no byte came within ${READ_MS} ms: ${seen}`));
    if (count !== null) seen += new TextDecoder("latin1").decode(buffer.subarray(0, count));
    return count !== null;
  }
  return {
    send: async (text) => {
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    },
    rest: async () => {
      try {
        while (await read());
        return { text: seen, end: "tidy" };
      } catch (error) {
        assert.ok(error instanceof Deno.errors.ConnectionReset, String(error));
        return { text: seen, end: "reset" };
      }
    },
    until: async (text) => {
      while (!seen.includes(text)) assert.ok(await read(), `the connection ended before ${text}: ${seen}`);
      return seen;
    },
    [Symbol.dispose]: () => connection.close(),
  };
}

function postText(body: string, headers = ""): string {
  return `POST /v1/messages HTTP/1.1\r\nHost: fake\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
}

function post(url: string, body: unknown): Promise<Response> {
  return fetch(`${url}/v1/messages`, { method: "POST", body: JSON.stringify(body) });
}

Deno.test("startFakeUpstream() shows the raw target, and headers in their order and case", async () => {
  await using upstream = await startFakeUpstream();
  using client = await rawClient(upstream.url);
  await client.send(
    "GET /v1/./models?a=%2f HTTP/1.1\r\nHOST: h\r\nX-b:  two words \r\nx-A: 1\r\nX-B: 3\r\nConnection: close\r\n\r\n",
  );
  await client.rest();
  const [call] = upstream.calls;
  assert.equal(call?.target, "/v1/./models?a=%2f");
  assert.deepEqual(call.rawHeaders, [["HOST", "h"], ["X-b", "two words"], ["x-A", "1"], ["X-B", "3"], ["Connection", "close"]]);
  assert.equal(call.header("x-b"), "two words, 3");
  assert.equal(call.header("x-c"), null);
});

Deno.test("startFakeUpstream() takes chunked bodies apart, however they are cut", async () => {
  await using upstream = await startFakeUpstream();
  const text =
    "POST /v1/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nc;x=y\r\n, big\r\nworld\r\n0\r\nTrailer: t\r\n\r\n";
  for (const size of [1, 2, 7, 1000]) {
    using client = await rawClient(upstream.url);
    for (const piece of cut(new TextEncoder().encode(text), size)) await client.send(new TextDecoder().decode(piece));
    await client.until("\r\n\r\n");
    const call = upstream.calls.at(-1);
    assert.equal(new TextDecoder().decode(call?.body), "hello, big\r\nworld");
    assert.equal(call?.bodyBytes, 17);
    assert.equal(call.bodySha256, createHash("sha256").update("hello, big\r\nworld").digest("hex"));
  }
  assert.equal(upstream.calls.length, 4);
});

Deno.test("startFakeUpstream() answers pipelined requests of one connection in their order", async () => {
  await using upstream = await startFakeUpstream();
  using client = await rawClient(upstream.url);
  await client.send(postText("{}") + postText("{}") + postText("{}", "Connection: close\r\n"));
  const { text, end } = await client.rest();
  assert.deepEqual(text.match(/"msg_fake_\d+/g), [`"msg_fake_000001`, `"msg_fake_000002`, `"msg_fake_000003`]);
  assert.equal(end, "tidy");
  assert.deepEqual(upstream.calls.map((call) => call.connectionId), [1, 1, 1]);
});

for (
  const request of ["nonsense\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
) {
  Deno.test(`startFakeUpstream() takes ${JSON.stringify(request.slice(0, 40))} for no request`, async () => {
    await using upstream = await startFakeUpstream();
    using client = await rawClient(upstream.url);
    await client.send(request);
    assert.match((await client.rest()).text, /^HTTP\/1.1 400 /);
    assert.equal(upstream.malformed.length, 1);
    assert.equal(upstream.calls.length, 0);
  });
}

Deno.test("startFakeUpstream() answers SDK 0.137 by default on every route", async () => {
  await using upstream = await startFakeUpstream();
  const client = new AnthropicOld({ baseURL: upstream.url, apiKey: "k", maxRetries: 0 });
  const message = await client.messages.create(ASK);
  assert.equal(message.usage.input_tokens, ASK.messages[0]!.content.length);
  assert.equal(message.id, upstream.calls[0]?.messageId);
  assert.equal(message._request_id, upstream.calls[0]?.requestId);
  const final = await client.messages.stream(ASK).finalMessage();
  assert.deepEqual(final.usage, usageOf("how long is this?"));
  assert.notEqual(final.id, message.id);
  assert.equal((await client.messages.countTokens(ASK)).input_tokens, 17);
  assert.ok((await client.models.list()).data.length > 0);
  const batch = await client.messages.batches.create({ requests: [{ custom_id: "c", params: ASK }] });
  assert.equal((await client.messages.batches.retrieve(batch.id)).id, batch.id);
  assert.equal((await client.beta.files.upload({ file: await toFileOld(new Uint8Array(10), "f.bin") })).type, "file");
});

Deno.test("startFakeUpstream() answers SDK 1.12 by default on every route", async () => {
  await using upstream = await startFakeUpstream();
  const client = new Anthropic({ baseURL: upstream.url, apiKey: "k", maxRetries: 0 });
  assert.deepEqual((await client.messages.create(ASK)).usage, usageOf("how long is this?"));
  assert.deepEqual((await client.messages.stream(ASK).finalMessage()).usage, usageOf("how long is this?"));
  assert.equal((await client.messages.countTokens(ASK)).input_tokens, 17);
  assert.ok((await client.models.list()).data.length > 0);
  const batch = await client.messages.batches.create({ requests: [{ custom_id: "c", params: ASK }] });
  assert.equal((await client.messages.batches.retrieve(batch.id)).id, batch.id);
  assert.equal((await client.beta.files.upload({ file: await toFile(new Uint8Array(10), "f.bin") })).type, "file");
});

Deno.test("startFakeUpstream() counts and hashes an upload that is too long to keep", async () => {
  await using upstream = await startFakeUpstream({ keepBodyBytes: 1 << 20 });
  const mib = new Uint8Array(1 << 20).fill(7);
  const hash = createHash("sha256");
  let left = 60;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (left-- === 0) return controller.close();
      hash.update(mib);
      controller.enqueue(mib);
    },
  });
  const answer = await fetch(`${upstream.url}/v1/files`, { method: "POST", body });
  assert.equal((await answer.json()).size_bytes, 60 << 20);
  const [call] = upstream.calls;
  assert.equal(call?.body.length, 0);
  assert.equal(call.bodySha256, hash.digest("hex"));
});

for (const [status, type] of [[400, "invalid_request_error"], [429, "rate_limit_error"], [529, "overloaded_error"]] as const) {
  Deno.test(`failing() answers ${status} as Anthropic does`, async () => {
    await using upstream = await startFakeUpstream();
    upstream.answer(failing(status, { headers: { "retry-after": "3" } }));
    const answer = await post(upstream.url, ASK);
    assert.equal(answer.status, status);
    assert.equal(answer.headers.get("retry-after"), "3");
    const body = await answer.json();
    assert.equal(body.error.type, type);
    assert.equal(body.request_id, answer.headers.get("request-id"));
  });
}

Deno.test("startFakeUpstream() resets a stream after the events that it was given, which all arrive", async () => {
  await using upstream = await startFakeUpstream();
  upstream.answer((call) => ({ ...eventStream(messageEvents(messageTo(call)).slice(0, 4)), ending: "reset" }));
  using client = await rawClient(upstream.url);
  await client.send(postText(JSON.stringify(ASK)));
  const { text, end } = await client.rest();
  assert.equal(end, "reset");
  assert.ok(text.includes("word-0"));
});

Deno.test("startFakeUpstream() cuts a stream without its terminator, and ends one tidily without message_stop", async () => {
  await using upstream = await startFakeUpstream();
  for (const ending of ["cut", "tidy"] as const) {
    upstream.answer((call) => ({ ...eventStream(messageEvents(messageTo(call)).slice(0, 5)), ending }));
    using client = await rawClient(upstream.url);
    await client.send(postText(JSON.stringify(ASK), "Connection: close\r\n"));
    const { text, end } = await client.rest();
    assert.equal(end, "tidy");
    assert.equal(text.endsWith("\r\n0\r\n\r\n"), ending === "tidy");
    assert.ok(text.includes("word-1") && !text.includes("message_stop"));
  }
});

Deno.test("startFakeUpstream() cuts an answer short of its declared length, and delimits one by the connection's end", async () => {
  await using upstream = await startFakeUpstream();
  upstream.answer({ body: "short", contentLength: 100, ending: "cut" });
  await assert.rejects(async () => await (await post(upstream.url, ASK)).text());
  upstream.answer({ body: "whole", framing: "close" });
  assert.equal(await (await post(upstream.url, ASK)).text(), "whole");
});

for (const script of ["close", "reset"] as const) {
  Deno.test(`startFakeUpstream() can ${script} instead of an answer`, async () => {
    await using upstream = await startFakeUpstream();
    upstream.answer(script);
    using client = await rawClient(upstream.url);
    await client.send(postText("{}"));
    assert.deepEqual(await client.rest(), { text: "", end: script === "close" ? "tidy" : "reset" });
  });
}

Deno.test("startFakeUpstream() stalls before the headers until the client goes, and sees it go", async () => {
  await using upstream = await startFakeUpstream();
  upstream.answer("stall");
  const leaving = new AbortController();
  const asked = fetch(`${upstream.url}/v1/messages`, { method: "POST", body: "{}", signal: leaving.signal }).catch((error) =>
    error.name
  );
  const call = await upstream.waitForCalls(1);
  assert.equal(call.closedAt, null);
  const left = performance.now();
  leaving.abort();
  assert.equal(await asked, "AbortError");
  const closedAt = await waitFor(() => call.closedAt, { what: "the client's leaving" });
  assert.ok(closedAt - left < 1_000);
  assert.equal(call.answeredAt, null);
});

Deno.test("startFakeUpstream() stalls in mid-stream until the test lets it go on", async () => {
  await using upstream = await startFakeUpstream();
  const door = gate();
  upstream.answer((call) => eventStream(heldBefore(messageEvents(messageTo(call)), { number: 4, until: door.passed })));
  using client = await rawClient(upstream.url);
  await client.send(postText(JSON.stringify(ASK), "Connection: close\r\n"));
  const seen = await client.until("word-0");
  assert.ok(!seen.includes("word-1"));
  assert.equal(upstream.calls[0]?.answeredAt, null);
  door.open();
  assert.ok((await client.rest()).text.includes("message_stop"));
  assert.notEqual(upstream.calls[0]?.answeredAt, null);
});

Deno.test("startFakeUpstream() sees a client leave in mid-stream, and stops its script", async () => {
  await using upstream = await startFakeUpstream();
  upstream.answer(streamed({ deltas: 10_000, paceMs: 5 }));
  {
    using client = await rawClient(upstream.url);
    await client.send(postText(JSON.stringify(ASK)));
    await client.until("word-1");
  }
  const call = upstream.calls[0]!;
  await waitFor(() => call.closedAt, { what: "the client's leaving" });
  assert.equal(call.gone.aborted, true);
  await waitFor(() => upstream.connections === 0, { what: "the end of the connection" });
});

Deno.test("gzipped() compresses an answer in pieces of a size", async () => {
  await using upstream = await startFakeUpstream();
  upstream.answer((call) => gzipped(eventStream(messageEvents(messageTo(call))), { chunkBytes: 7 }));
  const answer = await fetch(upstream.url, {
    method: "POST",
    body: JSON.stringify(ASK),
    headers: { "accept-encoding": "identity" },
  });
  assert.equal(answer.headers.get("content-encoding"), "gzip");
  const bytes = new Uint8Array(await answer.arrayBuffer());
  assert.equal(gunzipSync(bytes).toString(), messageEvents(messageTo(upstream.calls[0]!)).join(""));
});

Deno.test("startFakeUpstream() passes what comes behind message_stop, redirects, and knows HEAD", async () => {
  await using upstream = await startFakeUpstream();
  upstream.answer((call) => eventStream([...messageEvents(messageTo(call)), ": trailing\n\n", sse("late", {})]));
  assert.ok((await (await post(upstream.url, ASK)).text()).endsWith("event: late\ndata: {}\n\n"));
  upstream.answer({ status: 302, headers: { location: "/elsewhere" }, body: "" });
  const redirected = await fetch(upstream.url, { redirect: "manual" });
  await redirected.body?.cancel();
  assert.equal(redirected.headers.get("location"), "/elsewhere");
  upstream.answer("default");
  const head = await fetch(`${upstream.url}/v1/models`, { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), "");
});

Deno.test("startFakeUpstream() answers early, before the request's body has come", async () => {
  await using upstream = await startFakeUpstream();
  upstream.answer({ status: 413, body: "too large", isEarly: true });
  using client = await rawClient(upstream.url);
  await client.send("POST /v1/messages HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n{");
  assert.match(await client.until("too large"), /^HTTP\/1.1 413 /);
  assert.equal(upstream.calls[0]?.isWhole, false);
});

Deno.test("startFakeUpstream() serves 500 paced streams at once", async () => {
  await using upstream = await startFakeUpstream();
  const begun = gate();
  upstream.answer((call) => eventStream(heldBefore(messageEvents(messageTo(call)), { number: 1, until: begun.passed })));
  const streams = Array.from({ length: 500 }, () => post(upstream.url, { ...ASK, stream: true }).then((answer) => answer.text()));
  await upstream.waitForCalls(500, 20_000);
  assert.equal(upstream.mostInFlight, 500);
  begun.open();
  const ids = (await Promise.all(streams)).map((text) => {
    assert.ok(text.includes("message_stop"));
    return /msg_fake_\d+/.exec(text)?.[0];
  });
  assert.equal(new Set(ids).size, 500);
});
