import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type Answer, bytesOf, defaultAnswer, eventStream, gzipped, messageTo, type SeenCall } from "../fake_answers.ts";
import { firstUserText, messageEvents } from "../fake_messages.ts";
import { assertExactRows, callAndRead, isWholeMessage, type SeenAnswer, textOf } from "../metered_calls.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { gate, waitFor } from "../wait.ts";

interface Way {
  readonly stream: boolean;
  readonly answer: (call: SeenCall) => Answer;
}

/**
 * The ways in which an answer's last bytes can wait. Each says its number's text, by which the
 * upstream knows it.
 */
const WAYS: readonly Way[] = [
  { stream: true, answer: defaultAnswer },
  { stream: true, answer: (call) => gzipped(eventStream(messageEvents(messageTo(call))), { chunkBytes: 50 }) },
  { stream: true, answer: gzippedToItsTrailer },
  { stream: false, answer: defaultAnswer },
  { stream: false, answer: (call) => ({ ...defaultAnswer(call), framing: "chunked" }) },
];

/**
 * The trailer comes by itself, and in two chunks: what is before them unpacks to the whole stream.
 */
function gzippedToItsTrailer(call: SeenCall): Answer {
  const gzip = gzipped(eventStream(messageEvents(messageTo(call))), { chunkBytes: 1 });
  const whole = bytesOf([...gzip.body as Uint8Array[]]);
  return { ...gzip, body: [whole.subarray(0, -8), whole.subarray(-8, -4), whole.subarray(-4)] };
}

/** A probe comes every second. */
const PROBED_WITHIN_MS = 15_000;

Deno.test("a commit that is delayed delays the client's last bytes, in each way of answering", async () => {
  await using proxy = await startProxy();
  using calls = await answeredUnderLock(proxy);
  await severalTurns(proxy);
  assert.deepEqual(calls.whole(), [], "an answer was whole before its row was committed");
  assert.ok(proxy.rows().every((row) => row.outcome === null));
  calls.lock.release();
  assertExactRows(await proxy.closedRows(WAYS.length), await calls.answers);
});

Deno.test("a commit of an owner that is delayed delays the last bytes of the answer that names what was made", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  using lock = new LedgerLock(proxy);
  const seen = { isWhole: false };
  const making = fetch(`${proxy.url}/v1/files`, { method: "POST", headers: { "x-api-key": token }, body: "a file" });
  const id = making.then((answer) => answer.json()).then(({ id }) => {
    seen.isWhole = true;
    return String(id);
  });
  await proxy.upstream.waitForCalls(1);
  await severalTurns(proxy);
  assert.equal(seen.isWhole, false, "an answer was whole before its owner was committed");
  lock.release();
  const read = await fetch(`${proxy.url}/v1/files/${await id}`, { headers: { "x-api-key": token } });
  assert.equal(read.status, 200, await read.text());
});

Deno.test("a commit that is delayed delays the call's way upstream", async () => {
  await using proxy = await startProxy();
  const token = await proxy.token();
  using lock = new LedgerLock(proxy);
  const asked = callAndRead(proxy.url, { token, text: textOf(0) });
  await severalTurns(proxy);
  assert.deepEqual(proxy.upstream.calls, []);
  lock.release();
  assertExactRows(await proxy.closedRows(1), [await asked]);
});

Deno.test("a commit that fails gives no tidy end and refuses new calls, until a probe succeeds and what was kept is written", async () => {
  await using proxy = await startProxy();
  using calls = await answeredUnderLock(proxy);
  const broken = await calls.answers;
  assert.deepEqual(calls.whole(), []);
  for (const answer of broken) {
    assert.equal(answer.status, 200);
    assert.ok(answer.error instanceof Error, "an answer whose commit failed ended tidily");
  }
  assert.ok(proxy.rows().every((row) => row.outcome === null));

  const token = calls.token;
  for (const url of [proxy.url, proxy.adminUrl]) assert.equal((await readiness(url)).status, 503);
  for (const stream of [false, true]) {
    const refusal = await fetch(`${proxy.url}/v1/messages`, messageCall(token, { stream }));
    const body = await refusal.json();
    assert.deepEqual([refusal.status, body.type, body.error.type], [503, "error", "api_error"]);
    assert.match(refusal.headers.get("retry-after") ?? "", /^[1-9]\d*$/);
  }
  const making = await fetch(`${proxy.url}/v1/files`, { method: "POST", headers: { "x-api-key": token }, body: "a file" });
  assert.deepEqual([making.status, (await making.json()).error.type], [503, "api_error"]);
  assert.equal(proxy.upstream.calls.length, WAYS.length, "a call that cannot be recorded went upstream");
  const counting = await fetch(`${proxy.url}/v1/messages/count_tokens`, messageCall(token));
  assert.deepEqual([counting.status, await counting.json()], [200, { input_tokens: "hello".length }]);

  calls.lock.release();
  await waitFor(async () => (await readiness(proxy.url)).status === 200, {
    what: "a probe to succeed",
    deadlineMs: PROBED_WITHIN_MS,
  });
  const after = await callAndRead(proxy.url, { token, text: textOf(WAYS.length) });
  const answered = proxy.upstream.calls.filter((call) => call.target === "/v1/messages");
  // The rows still hold what the clients missed.
  const kept = broken.map((answer): SeenAnswer => {
    const call = answered.find((call) => firstUserText(call.json()) === answer.text)!;
    return { ...answer, messageId: call.messageId, isWhole: true, error: null };
  });
  assertExactRows(await proxy.closedRows(WAYS.length + 1), [...kept, after]);
});

/**
 * One call in each of the `WAYS`, answered to its end by the upstream while another connection
 * holds the ledger's lock.
 */
async function answeredUnderLock(proxy: ProxyUnderTest) {
  const token = await proxy.token();
  const held = gate();
  proxy.upstream.answer((call) => {
    const way = WAYS[firstUserText(call.json()).length - 1];
    return way === undefined ? "default" : held.passed.then(() => way.answer(call));
  });
  const texts = WAYS.map(() => "");
  const answers = Promise.all(
    WAYS.map(({ stream }, n) =>
      callAndRead(proxy.url, { token, text: textOf(n), stream, onText: (text) => void (texts[n] = text) })
    ),
  );
  await proxy.upstream.waitForCalls(WAYS.length);
  const lock = new LedgerLock(proxy);
  held.open();
  await waitFor(() => proxy.upstream.calls.every((call) => call.answeredAt !== null), { what: "the upstream's answers" });
  return {
    token,
    answers,
    lock,
    /** What has come of the answers that are whole. */
    whole: () => texts.filter((text, n) => isWholeMessage(text, WAYS[n]!.stream)),
    [Symbol.dispose]: () => lock.release(),
  };
}

/** Keeps the ledger from committing, and its proxy from ending, until it is released. */
class LedgerLock implements Disposable {
  readonly #other: DatabaseSync;

  constructor(proxy: ProxyUnderTest) {
    this.#other = new DatabaseSync(`${proxy.dataDir}/spool-0.db`, { timeout: 5_000 });
    this.#other.exec("BEGIN IMMEDIATE");
  }

  release(): void {
    if (this.#other.isOpen) this.#other.close();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** The proxy has had several turns to do what it must not do: nothing tells of that. */
async function severalTurns(proxy: ProxyUnderTest): Promise<void> {
  for (let n = 0; n < 20; n++) await (await fetch(`${proxy.url}/healthz`)).body?.cancel();
}

async function readiness(url: string): Promise<Response> {
  const answer = await fetch(`${url}/readyz`);
  await answer.body?.cancel();
  return answer;
}
