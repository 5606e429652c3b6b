import assert from "node:assert/strict";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { browserAt, dashboardAt } from "../dashboard_browser.ts";
import { eventStream, heldBefore, messageTo } from "../fake_answers.ts";
import { messageEvents } from "../fake_messages.ts";
import { callAndRead } from "../metered_calls.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { gate, waitFor } from "../wait.ts";

/** The message has started, and the first delta has passed. */
const STARTED_EVENTS = 4;
/** Some more deltas have passed. */
const LATER_EVENTS = 7;
const DELTAS = 20;
const HOSTILE = `"><img/src=x>'&`;
/** As `LiveHub` has it. */
const MOST_WATCHERS = 20;

async function signedIn(proxy: ProxyUnderTest) {
  const browser = browserAt(dashboardAt(proxy.adminUrl));
  await browser.signIn(proxy.adminToken);
  return browser;
}

/** The events of the page, as a browser's script gets them. */
async function eventsOf(proxy: ProxyUnderTest, cookie: string) {
  const leaving = new AbortController();
  const answer = await fetch(`${proxy.adminUrl}/dashboard/live/events`, {
    headers: { cookie, accept: "text/event-stream" },
    signal: leaving.signal,
    redirect: "manual",
  });
  const messages: EventSourceMessage[] = [];
  let isOver = false;
  const parser = createParser({ onEvent: (message) => void messages.push(message) });
  const reading = (async () => {
    for await (const text of answer.body!.pipeThrough(new TextDecoderStream())) parser.feed(text);
  })().catch(() => {}).finally(() => void (isOver = true));
  return {
    status: answer.status,
    /** The first message that has not been read and passes the test. */
    until: (what: string, test: (data: string, event: string | undefined) => boolean) =>
      waitFor(() => {
        for (let message = messages.shift(); message !== undefined; message = messages.shift()) {
          if (test(message.data, message.event)) return message.data;
        }
        return null;
      }, { what }),
    over: () => waitFor(() => isOver, { what: "the end of the stream" }),
    leave: async () => {
      leaving.abort();
      await reading;
    },
  };
}

/** Answers that pause twice. */
function holdAnswers({ upstream }: ProxyUnderTest) {
  const [first, second] = [gate(), gate()];
  upstream.answer((call) => {
    const events = [...messageEvents({ ...messageTo(call), deltas: DELTAS })];
    const [started, rest] = [events.slice(0, LATER_EVENTS), events.slice(LATER_EVENTS)];
    async function* held() {
      yield* heldBefore(started, { number: STARTED_EVENTS, until: first.passed });
      yield* heldBefore(rest, { number: 0, until: second.passed });
    }
    return eventStream(held());
  });
  return { goOn: first.open, end: second.open };
}

Deno.test("the live page's events tell of a call, of what it uses, and of its cut, and its row says who stopped it", async () => {
  await using proxy = await startProxy();
  const held = holdAnswers(proxy);
  const browser = await signedIn(proxy);
  const events = await eventsOf(proxy, browser.cookie());
  await events.until("an empty list", (data) => JSON.parse(data).isFirst === true);
  const answer = callAndRead(proxy.url, { token: await proxy.token("acme", HOSTILE), text: "hello", traceId: "run-1" });
  const added = JSON.parse(await events.until("the call", (data) => data.includes('"added"'))).added as [string, string][];
  const [id, row] = added[0]!;
  assert.match(
    row,
    /<a href="\/dashboard\/sandboxes\/acme\/%22%3E%3Cimg%2Fsrc%3Dx%3E&#39;%26" ?>&quot;&gt;&lt;img\/src=x&gt;&#39;&amp;<\/a>/,
  );
  held.goOn();
  await events.until("its output so far", (data) => /"changed":.*"output":"≈ \d+"/.test(data));

  const { status } = await browser.submit("/dashboard/live/cut", { id });
  assert.equal(status, 303);
  const gone = JSON.parse(await events.until("its end", (data) => data.includes('"gone"')));
  assert.deepEqual(gone.gone, [id]);
  assert.equal((await answer).isWhole, false);
  const [closed] = await proxy.closedRows(1);
  assert.deepEqual([closed!.outcome, closed!.error_type, closed!.sandbox_id], ["stopped", "call_cut", HOSTILE]);
  const { audit: [entry] } = await proxy.ask("/internal/audit?action=request.cut") as {
    audit: { who: string; target: string }[];
  };
  assert.deepEqual([entry!.who, entry!.target], ["admin", id]);
  held.end();
  await events.leave();
});

Deno.test("the live page's events tell of a refusal, which is on the page and in its file then", async () => {
  await using proxy = await startProxy();
  const browser = await signedIn(proxy);
  const events = await eventsOf(proxy, browser.cookie());
  await events.until("that there was none", (data) => data.includes("The proxy has refused no call here."));
  const token = await proxy.token("acme", "sb-1");
  await browser.submit("/dashboard/sandboxes/acme/sb-1/suspend", { reason: "a test" });
  for (let n = 0; n < 2; n++) {
    assert.equal((await callAndRead(proxy.url, { token, text: "hello" })).status, 403);
  }
  const { refused } = JSON.parse(await events.until("both", (data) => /"refused".*number\W+2</.test(data)));
  assert.match(refused, /<a class="id" href="\/dashboard\/sandboxes\/acme\/sb-1">sb-1<\/a>.*suspended/);
  const { text } = await browser.open("/dashboard/live?sandbox_id=sb-1");
  assert.ok(text.includes(refused));
  const others = await browser.open("/dashboard/live?sandbox_id=sb-2");
  assert.match(others.text, /The proxy has refused no call here/);
  const csv = await browser.open("/dashboard/live?format=csv&table=refused");
  assert.match(csv.text, /^minute,sandbox,workspace,fault,calls\r\n[^,]+:00\.000Z,sb-1,acme,suspended,2\r\n$/);
  await events.leave();
});

Deno.test("the live page's events end at a sign-out, and when the proxy stops", async () => {
  const proxy = await startProxy();
  try {
    const [out, stays] = [await signedIn(proxy), await signedIn(proxy)];
    const [ofOut, ofStays] = [await eventsOf(proxy, out.cookie()), await eventsOf(proxy, stays.cookie())];
    await ofOut.until("a message", () => true);
    await ofStays.until("a message", () => true);
    await out.submit("/dashboard/sign-out", {});
    assert.equal(await ofOut.until("the end", (_, event) => event === "end"), "signed-out");
    await ofOut.over();
    assert.equal((await eventsOf(proxy, "")).status, 303);
    const stopped = proxy.running.stop();
    assert.equal(await ofStays.until("the end", (_, event) => event === "end"), "draining");
    await ofStays.over();
    await stopped;
  } finally {
    await proxy[Symbol.asyncDispose]();
  }
});

Deno.test(`the live page has ${MOST_WATCHERS} viewers at most, and those who leave make room`, async () => {
  await using proxy = await startProxy();
  const browser = await signedIn(proxy);
  const open = () => eventsOf(proxy, browser.cookie());
  const streams = await Promise.all(Array.from({ length: MOST_WATCHERS }, open));
  for (const stream of streams) await stream.until("a message", () => true);
  assert.equal((await open()).status, 503);
  await Promise.all(streams.map((stream) => stream.leave()));
  const again = await waitFor(async () => {
    const stream = await open();
    return stream.status === 200 && stream;
  }, { what: "room" });
  await again.leave();
});
