import assert from "node:assert/strict";
import { startTlsUpstream } from "./tls_upstream.ts";

const CALLS = 200;

/** How many of 200 calls at once got a whole stream. */
async function wholeStreams(url: string, client: Deno.HttpClient): Promise<number> {
  const texts = await Promise.all(Array.from({ length: CALLS }, async () => {
    const answer = await fetch(`${url}/v1/messages`, { method: "POST", body: "{}", client });
    return await answer.text();
  }));
  return texts.filter((text) => text.startsWith("event: message_start") && text.includes("message_stop")).length;
}

Deno.test("startTlsUpstream() serves 200 streams at once over HTTP/1.1, far more than one HTTP/2 connection takes", async () => {
  await using upstream = await startTlsUpstream({ deltas: 4, durationMs: 1_000 });
  using client = Deno.createHttpClient({ caCerts: [upstream.caPem], http2: false });
  assert.equal(await wholeStreams(upstream.url, client), CALLS);
  assert.deepEqual(upstream.calls, { "1.1": CALLS, "2.0": 0 });
  assert.ok(upstream.mostInFlight > 100, `${upstream.mostInFlight} at once`);
});

Deno.test("startTlsUpstream() lets only 50 streams through one HTTP/2 connection at once", async () => {
  await using upstream = await startTlsUpstream({ deltas: 4, durationMs: 100 });
  using client = Deno.createHttpClient({ caCerts: [upstream.caPem], http1: false, http2: true });
  await wholeStreams(upstream.url, client).catch(() => 0);
  assert.equal(upstream.calls["1.1"], 0);
  assert.ok(upstream.calls["2.0"] > 0);
  assert.ok(upstream.mostInFlight <= 50, `${upstream.mostInFlight} at once`);
});

Deno.test("startTlsUpstream() is trusted only by its own CA", async () => {
  await using upstream = await startTlsUpstream({ deltas: 1, durationMs: 10 });
  await assert.rejects(fetch(upstream.url), TypeError);
});
