/** llmproxy behind real reverse proxies, configured as docs/reverse-proxies.md shows. */
import assert from "node:assert/strict";
import { assertAtMost } from "./best_attempt.ts";
import { readPage, tableOf } from "./documents.ts";
import { eventStream, heldBefore, messageTo, streamed } from "./fake_answers.ts";
import { messageEvents } from "./fake_messages.ts";
import type { FakeUpstream } from "./fake_upstream.ts";
import { messageCall, received, startProxy } from "./proxy_under_test.ts";
import { type FrontName, FRONTS, type ReverseProxy, startFront } from "./reverse_proxies.ts";
import { gate, waitFor } from "./wait.ts";

/** HAProxy 2.6 without `option http-no-delay` takes 205 ms, if it speaks plain HTTP. */
const MOST_EVENT_MS = 100;
const LARGE = "x".repeat(20 << 20);
const VERSIONS = ["HTTP/1.1", "HTTP/2"] as const;
const TABLE = tableOf(readPage("docs/reverse-proxies.md"), "program");

type Version = typeof VERSIONS[number];
type Fetch = (init: RequestInit) => Promise<Response>;

/** What the page's table says of a program. */
interface Promised {
  readonly needsEvent: boolean;
  /** If one of them ends cleanly, a newer version of the program may still break it. */
  readonly breaks: Readonly<Record<Version, boolean>>;
  /** Otherwise it notices with the next event. */
  readonly noticesDepartures: boolean;
  /** Otherwise a client that is still sending gets an error of the program's own. */
  readonly passesEarlyRefusals: boolean;
}

for (const name of Object.keys(FRONTS) as FrontName[]) {
  Deno.test(`${name} in front of the proxy passes calls, answers, breaks and departures as the page says`, async (t) => {
    const promised = promisedOf(name);
    await using proxy = await startProxy({ env: { LLMPROXY_CLIENT_IP_HEADER: "X-Real-IP" } });
    await using inBand = await startProxy({ env: { LLMPROXY_BROKEN_STREAM: "event" } });
    await using front = await startFront(name, proxy.url);
    await using inBandFront = await startFront(name, inBand.url);
    const [token, inBandToken] = [await proxy.token(), await inBand.token()];
    const { upstream } = proxy;

    for (const version of VERSIONS) {
      using client = clientOf(front, version);
      using inBandClient = clientOf(inBandFront, version);
      const call = calls(front, client);
      await t.step(`events arrive one by one, and the stream is whole, over ${version}`, async () => {
        await assertAtMost(MOST_EVENT_MS, () => slowestEventMs(upstream, () => call(messageCall(token, { stream: true }))));
      });
      await t.step(`a stream that the upstream cuts is no whole stream over ${version}`, async () => {
        const events = cutBefore(upstream, 10);
        const { text, error } = await received(await call(messageCall(token, { stream: true })));
        assert.equal(text, events());
        if (promised.breaks[version]) assert.notEqual(error, null);
      });
      await t.step(`a request body of 20 MB passes over ${version}`, async () => {
        upstream.answer("default");
        upstream.forget();
        const init = messageCall(token, { text: LARGE });
        const answer = await call(init);
        await answer.body!.cancel();
        assert.equal(answer.status, 200);
        assert.equal(upstream.calls[0]!.bodyBytes, (init.body as string).length);
      });
      await t.step(`a refused call gets its refusal over ${version}`, async () => {
        for (const text of promised.passesEarlyRefusals ? ["hello", LARGE] : ["hello"]) {
          const answer = await call(messageCall("llmp_unknown", { text }));
          assert.deepEqual([answer.status, (await answer.json()).error.type], [401, "authentication_error"]);
        }
      });
      await t.step(`a client that leaves ends the upstream's call over ${version}`, async () => {
        await assertDepartureSeen(call, { token, upstream, isQuiet: promised.noticesDepartures });
      });
      if (!promised.needsEvent) continue;
      await t.step(`with LLMPROXY_BROKEN_STREAM=event its client gets an error event over ${version}`, async () => {
        const events = cutBefore(inBand.upstream, 10);
        const answer = await calls(inBandFront, inBandClient)(messageCall(inBandToken, { stream: true }));
        const { text } = await received(answer);
        assert.ok(text.startsWith(events()));
        assert.match(text.slice(events().length), /^event: error\ndata: \{"type":"error",.*\}\n\n$/);
      });
    }
    assert.ok(proxy.logs.some((line) => JSON.parse(line).clientIp === "127.0.0.1"), "the log names the client's address");
  });
}

Deno.test("docs/reverse-proxies.md advises `event` for the programs that end a broken stream cleanly", () => {
  for (const name of Object.keys(FRONTS) as FrontName[]) {
    const [, , , advice] = rowOf(name);
    const { breaks } = promisedOf(name);
    assert.equal(advice!.includes("`event`"), !breaks["HTTP/1.1"] || !breaks["HTTP/2"], name);
    assert.equal(advice!.includes("`reset`"), breaks["HTTP/1.1"], name);
  }
});

function rowOf(name: FrontName): readonly string[] {
  const row = TABLE.find(([program]) => program!.startsWith(`${name} `));
  if (row === undefined) throw new Error(`docs/reverse-proxies.md has no row for ${name}`);
  return row;
}

function promisedOf(name: FrontName): Promised {
  const [, overOne, overTwo, advice, departure, refusal] = rowOf(name);
  return {
    needsEvent: advice!.includes("`event`"),
    breaks: { "HTTP/1.1": overOne === "break", "HTTP/2": overTwo === "break" },
    noticesDepartures: departure === "at once",
    passesEarlyRefusals: refusal === "ours",
  };
}

function clientOf({ caPem }: ReverseProxy, version: Version): Deno.HttpClient {
  return Deno.createHttpClient({ caCerts: [caPem], http1: version === "HTTP/1.1", http2: version === "HTTP/2" });
}

function calls({ url }: ReverseProxy, client: Deno.HttpClient): Fetch {
  return (init) => fetch(`${url}/v1/messages`, { ...init, client });
}

/** The upstream sends each event once the client has the one before it. */
async function slowestEventMs(upstream: FakeUpstream, call: () => Promise<Response>): Promise<number> {
  let [sent, sentAt, slowest] = ["", 0, 0];
  let arrived = gate();
  upstream.answer((seen) => {
    async function* inTurn() {
      for (const event of messageEvents({ ...messageTo(seen), deltas: 20 })) {
        arrived = gate();
        sent += event;
        sentAt = performance.now();
        yield event;
        await arrived.passed;
      }
    }
    return eventStream(inTurn());
  });
  const { text, error } = await received(await call(), (text) => {
    if (text !== sent) return;
    slowest = Math.max(slowest, performance.now() - sentAt);
    arrived.open();
  });
  assert.deepEqual([text, error], [sent, null]);
  assert.match(text, /event: message_stop\n.*\n\n$/);
  return slowest;
}

/** Returns what came before the cut, once it came. */
function cutBefore(upstream: FakeUpstream, number: number): () => string {
  let before = "";
  upstream.answer((seen) => {
    const events = messageEvents({ ...messageTo(seen), deltas: 20 }).slice(0, number);
    before = events.join("");
    return { ...eventStream(events), ending: "cut" };
  });
  return () => before;
}

/** Before the answer and within it; if it is quiet, no event comes after the departure. */
async function assertDepartureSeen(
  call: Fetch,
  { token, upstream, isQuiet }: { readonly token: string; readonly upstream: FakeUpstream; readonly isQuiet: boolean },
): Promise<void> {
  const never = new Promise<never>(() => {});
  for (const hasStarted of isQuiet ? [false, true] : [true]) {
    upstream.forget();
    if (!hasStarted) upstream.answer("stall");
    else if (!isQuiet) upstream.answer(streamed({ deltas: 1_000, paceMs: 20 }));
    else upstream.answer((seen) => eventStream(heldBefore(messageEvents(messageTo(seen)), { number: 3, until: never })));
    const leaving = new AbortController();
    const answer = call(messageCall(token, { stream: true, signal: leaving.signal }));
    const ended = answer.then(received).catch(() => {});
    const seen = await upstream.waitForCalls(1);
    if (hasStarted) await answer;
    leaving.abort();
    await ended;
    await waitFor(() => seen.closedAt !== null, { what: "the upstream's call to end" });
    assert.equal(seen.answeredAt, null);
  }
}
