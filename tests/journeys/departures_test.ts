import assert from "node:assert/strict";
import { connect } from "node:net";
import { assertAtMost } from "../best_attempt.ts";
import { eventStream, heldBefore, json, messageTo, streamed } from "../fake_answers.ts";
import { messageBody, messageEvents, usageOf } from "../fake_messages.ts";
import { messageCall, type ProxyUnderTest, type Row, startProxy } from "../proxy_under_test.ts";
import { gate, waitFor } from "../wait.ts";

const TEXT = "I shall not stay.";
const USAGE = usageOf(TEXT);
const SEEN_WITHIN_MS = 200;
const ROUNDS = 50;

Deno.test("the proxy closes the upstream within 200 ms when a streaming client leaves, and estimates the output alone", async () => {
  await assertAtMost(SEEN_WITHIN_MS, async () => {
    await using proxy = await startProxy();
    proxy.upstream.answer(streamed({ deltas: 2_000, paceMs: 5 }));
    const left = new AbortController();
    const answer = await ask(proxy, { stream: true, signal: left.signal });
    const seen = await readUntil(answer, /word-4/);
    const leftAt = performance.now();
    left.abort();
    const closedAt = await closingOf(proxy);
    const [row] = await proxy.closedRows(1);
    assert.deepEqual([row!.outcome, row!.accuracy, row!.status], ["client_left", "estimated", 200]);
    assertPromptCounts(row!);
    const passed = [...seen.matchAll(/word-\d+ /g)].join("").length;
    // What was under way when the client left may be counted too; tokens are fewer than characters.
    assert.ok(Number(row!.output_tokens) >= passed / 5, `${row!.output_tokens} tokens of ${passed} characters`);
    assert.ok(Number(row!.output_tokens) < 500, `${row!.output_tokens} tokens`);
    return closedAt - leftAt;
  });
});

Deno.test("the proxy closes the upstream within 200 ms when a streaming client leaves before the answer, and claims no counts", async () => {
  await assertAtMost(SEEN_WITHIN_MS, async () => {
    await using proxy = await startProxy();
    proxy.upstream.answer("stall");
    const left = new AbortController();
    const asked = ask(proxy, { stream: true, signal: left.signal }).catch((error) => error);
    await proxy.upstream.waitForCalls(1);
    const leftAt = performance.now();
    left.abort();
    const closedAt = await closingOf(proxy);
    await asked;
    const [row] = await proxy.closedRows(1);
    assert.deepEqual([row!.outcome, row!.accuracy, row!.status], ["client_left", "unknown", null]);
    assert.deepEqual([row!.input_tokens, row!.output_tokens, row!.cache_read_input_tokens], [0, 0, 0]);
    return closedAt - leftAt;
  });
});

Deno.test("the proxy reads an unstreamed answer on when its client leaves before it, and records it exactly", async () => {
  await using proxy = await startProxy();
  const held = gate();
  proxy.upstream.answer((call) => held.passed.then(() => json(messageBody(messageTo(call)))));
  const caller = callOnSocket(proxy.url, messageCall(await proxy.token(), { text: TEXT }));
  const call = await proxy.upstream.waitForCalls(1);
  caller.socket.destroy();
  await severalTurns(proxy);
  assert.equal(call.closedAt, null);
  held.open();
  assertExact(await theRow(proxy), "client_left");
  assert.equal(call.closedAt, null, "the upstream was hung up on");
});

Deno.test("the proxy reads an unstreamed answer on when its client leaves in its middle, and records it exactly", async () => {
  await using proxy = await startProxy();
  const held = gate();
  proxy.upstream.answer((call) => {
    const text = JSON.stringify(messageBody(messageTo(call)));
    const pieces = [text.slice(0, 40), text.slice(40, 80), text.slice(80)];
    return { ...json(null), body: heldBefore(pieces, { number: 2, until: held.passed }), framing: "chunked" };
  });
  const caller = callOnSocket(proxy.url, messageCall(await proxy.token(), { text: TEXT }));
  await waitFor(() => caller.text().includes('"id"'), { what: "the answer's beginning" });
  caller.socket.resetAndDestroy();
  await severalTurns(proxy);
  held.open();
  assertExact(await theRow(proxy), "client_left");
});

Deno.test("a client that closes its half of the connection gets the whole answer, before it begins and within it", async () => {
  for (const stream of [false, true]) {
    await using proxy = await startProxy();
    const held = gate();
    const call = messageCall(await proxy.token(), { text: TEXT, stream });
    proxy.upstream.answer((call) => {
      if (!stream) return held.passed.then(() => json(messageBody(messageTo(call))));
      return held.passed.then(() => eventStream(messageEvents(messageTo(call))));
    });
    const caller = callOnSocket(proxy.url, call);
    await proxy.upstream.waitForCalls(1);
    const closed = caller.halfClose();
    await waitFor(() => caller.text().split("HTTP/1.1 102 Processing").length > 2, {
      what: "the proxy to ask twice for the client",
    });
    held.open();
    await closed;
    assert.match(caller.text(), stream ? /event: message_stop\ndata: .*\n\n\r\n0\r\n\r\n$/ : /"usage":\{.*\}$/);
    assertExact(await theRow(proxy), "completed");
  }
});

Deno.test("the proxy keeps a stream completed whose client leaves right after message_stop, fifty times", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  for (let n = 0; n < ROUNDS; n++) {
    const left = new AbortController();
    const answer = await ask(proxy, { stream: true, signal: left.signal, token });
    await readUntil(answer, /"message_stop"/);
    left.abort();
  }
  const rows = await proxy.closedRows(ROUNDS);
  assert.equal(rows.length, ROUNDS);
  for (const row of rows) assertExact(row, "completed");
});

Deno.test("the proxy keeps a stream completed whose client leaves after message_stop while the upstream holds its end back", async () => {
  await using proxy = await startProxy();
  const held = gate();
  proxy.upstream.answer((call) => {
    const events = messageEvents(messageTo(call));
    return eventStream(heldBefore(events, { number: events.length, until: held.passed }));
  });
  const left = new AbortController();
  const answer = await ask(proxy, { stream: true, signal: left.signal });
  await readUntil(answer, /"message_stop"/);
  left.abort();
  await closingOf(proxy);
  assertExact(await theRow(proxy), "completed");
  held.open();
});

Deno.test("the proxy keeps a stream completed whose socket is destroyed right after message_stop, fifty times", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  await Promise.all(
    Array.from({ length: ROUNDS }, () => destroyAfterStop(proxy.url, messageCall(token, { text: TEXT, stream: true }))),
  );
  const rows = await proxy.closedRows(ROUNDS);
  assert.equal(rows.length, ROUNDS);
  for (const row of rows) assertExact(row, "completed");
});

/**
 * Sends the call over a socket of its own and resets that in the very turn in which `message_stop`
 * came.
 */
function destroyAfterStop(url: string, call: RequestInit): Promise<void> {
  const caller = callOnSocket(url, call);
  return new Promise((resolve, reject) => {
    caller.socket.on("close", () => caller.text().includes('"message_stop"') ? resolve() : reject(new Error(caller.text())));
    caller.socket.on("data", () => caller.text().includes('"message_stop"') && caller.socket.resetAndDestroy());
  });
}

/** A call over a socket of its own. `halfClose` resolves when the proxy has closed its side too. */
function callOnSocket(url: string, call: RequestInit) {
  const { hostname, port, host } = new URL(url);
  const headers = Object.entries(call.headers as Record<string, string>).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const body = String(call.body);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  let text = "";
  socket.on("data", (bytes: Uint8Array) => text += new TextDecoder().decode(bytes));
  socket.on("error", () => {});
  socket.write(`POST /v1/messages HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`);
  return {
    socket,
    text: () => text,
    halfClose: () => {
      socket.end();
      return closed;
    },
  };
}

async function ask(
  proxy: ProxyUnderTest,
  { stream, signal, token }: { readonly stream: boolean; readonly signal: AbortSignal; readonly token?: string },
): Promise<Response> {
  return await fetch(`${proxy.url}/v1/messages`, messageCall(token ?? await proxy.token(), { text: TEXT, stream, signal }));
}

/** Reads on until that has come, and no further; gives all that came. */
async function readUntil(answer: Response, sought: RegExp): Promise<string> {
  const decoder = new TextDecoder();
  const reader = answer.body!.getReader();
  let text = "";
  while (!sought.test(text)) {
    const { value, done } = await reader.read();
    assert.ok(!done, `the answer ended with: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  return text;
}

/** When the upstream saw its only call's connection close. */
function closingOf(proxy: ProxyUnderTest): Promise<number> {
  return waitFor(() => proxy.upstream.calls[0]?.closedAt ?? null, { what: "the close at the upstream" });
}

/**
 * The proxy has had the time in which it notices a departure. Nothing tells of one that has no
 * consequence.
 */
async function severalTurns(proxy: ProxyUnderTest): Promise<void> {
  const from = performance.now();
  await waitFor(async () => {
    await (await fetch(`${proxy.url}/healthz`)).body?.cancel();
    return performance.now() - from > SEEN_WITHIN_MS;
  }, { what: "the proxy to notice" });
}

async function theRow(proxy: ProxyUnderTest): Promise<Row> {
  const rows = await proxy.closedRows(1);
  assert.equal(rows.length, 1);
  return rows[0]!;
}

function assertPromptCounts(row: Row): void {
  assert.equal(row.input_tokens, USAGE.input_tokens);
  assert.equal(row.cache_creation_input_tokens, USAGE.cache_creation_input_tokens);
  assert.equal(row.cache_read_input_tokens, USAGE.cache_read_input_tokens);
}

function assertExact(row: Row, outcome: string): void {
  assert.deepEqual([row.outcome, row.accuracy, row.status], [outcome, "exact", 200]);
  assertPromptCounts(row);
  assert.equal(row.output_tokens, USAGE.output_tokens);
}
