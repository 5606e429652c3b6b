import assert from "node:assert/strict";
import { eventStream, heldBefore, json } from "./fake_answers.ts";
import { startFakeUpstream } from "./fake_upstream.ts";
import { gate, waitFor } from "./wait.ts";
import { startWireTap } from "./wire_tap.ts";

const PIECES = ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"];

Deno.test("startWireTap() shows what several requests of one connection sent and got, without framing", async () => {
  await using upstream = await startFakeUpstream({ keepsAnswers: true });
  await using tap = await startWireTap(upstream.url);
  upstream.answer("default");
  await (await fetch(`${tap.url}/v1/models`)).text();
  tap.forget();
  upstream.forget();
  for (const [n, answer] of [json({ n: 0 }), eventStream(PIECES), json({ n: 2 })].entries()) {
    upstream.answer(answer);
    await (await fetch(`${tap.url}/${n}?x=${n}`, { method: "POST", body: `body ${n}` })).text();
  }
  const exchanges = tap.exchanges();
  assert.deepEqual(exchanges.map(({ request }) => `${request.method} ${request.target}`), [
    "POST /0?x=0",
    "POST /1?x=1",
    "POST /2?x=2",
  ]);
  assert.deepEqual(exchanges.map(({ requestBody }) => text(requestBody)), ["body 0", "body 1", "body 2"]);
  assert.deepEqual(exchanges.map(({ body }) => text(body)), ['{"n":0}', PIECES.join(""), '{"n":2}']);
  assert.deepEqual(exchanges.map(({ body }) => body), upstream.calls.map(({ sent }) => sent));
  assert.ok(exchanges.every(({ status, isBroken, isLeft }) => status === 200 && !isBroken && !isLeft));
});

Deno.test("startWireTap() tells a server that breaks a body off from a client that leaves", async () => {
  await using upstream = await startFakeUpstream();
  await using tap = await startWireTap(upstream.url);
  upstream.answer({ ...eventStream(PIECES.slice(0, 2)), ending: "cut" });
  await assert.rejects(async () => await (await fetch(tap.url)).text());
  const { passed, open } = gate();
  upstream.answer(eventStream(heldBefore(PIECES, { number: 2, until: passed })));
  const leaving = new AbortController();
  const answer = await fetch(tap.url, { signal: leaving.signal });
  await waitFor(() => tap.exchanges().at(-1)!.body.length === 18, { what: "two events" });
  leaving.abort();
  await assert.rejects(() => answer.text());
  const [broken, left] = await waitFor(() => tap.exchanges().at(-1)!.isLeft && tap.exchanges(), { what: "the client's leave" });
  open();
  assert.deepEqual([broken, left].map((one) => [text(one!.body), one!.isBroken, one!.isLeft]), [
    [PIECES.slice(0, 2).join(""), true, false],
    [PIECES.slice(0, 2).join(""), false, true],
  ]);
});

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
