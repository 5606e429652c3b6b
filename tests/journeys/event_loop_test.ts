import assert from "node:assert/strict";
import { assertAtMost } from "../best_attempt.ts";
import { json, messageTo } from "../fake_answers.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { fakeThings } from "../fake_things.ts";
import { startWatchedProxy } from "../watched_proxy.ts";

const TEXT = 'A longer text, "quoted" here and there,\n\twith escapes and cafés; '.repeat(40);

const LINES = 10_000;
const ACCOUNTING_MS = 20;

const BODIES = [
  {
    what: "a conversation of 10 MB",
    message: { role: "user", content: [{ type: "text", text: TEXT }] },
    bytes: 10e6,
    limitMs: 15,
  },
  { what: "32 MB of tiny objects", message: { a: 1 }, bytes: 32e6, limitMs: 20 },
  { what: "32 MB of names of files", message: { file_id: "f" }, bytes: 32e6, limitMs: 30 },
];
for (const { what, message, bytes, limitMs } of BODIES) {
  Deno.test(`a call of ${what} blocks the proxy's event loop for at most ${limitMs} ms at a time`, async () => {
    await using upstream = await startFakeUpstream();
    upstream.answer((call) => json(messageTo(call)));
    await using proxy = await startWatchedProxy(upstream.url);
    const one = `${JSON.stringify(message)},`;
    const body = `{"model":"claude-haiku-4-5","max_tokens":9,"messages":[${one.repeat(bytes / one.length)}{}]}`;
    await assertAtMost(limitMs, async () => {
      await proxy.longestTurn();
      const answer = await fetch(`${proxy.url}/v1/messages`, { method: "POST", headers: { "x-api-key": proxy.token }, body });
      assert.equal(answer.status, 200, await answer.text());
      return await proxy.longestTurn();
    });
    assert.equal(upstream.calls[0]!.bodyBytes, new TextEncoder().encode(body).length);
  });
}

Deno.test("a hundred calls of 240 KB at once block the proxy's event loop for at most 40 ms at a time", async () => {
  await using upstream = await startFakeUpstream();
  upstream.answer((call) => json(messageTo(call)));
  await using proxy = await startWatchedProxy(upstream.url);
  const body = `{"model":"claude-haiku-4-5","max_tokens":9,"messages":[${'{"a":1},'.repeat(30_000)}{}]}`;
  const call = async () => {
    const answer = await fetch(`${proxy.url}/v1/messages`, { method: "POST", headers: { "x-api-key": proxy.token }, body });
    assert.equal(answer.status, 200, await answer.text());
  };
  await assertAtMost(40, async () => {
    await proxy.longestTurn();
    await Promise.all(Array.from({ length: 100 }, call));
    return await proxy.longestTurn();
  });
});

Deno.test("accounting for a batch of 10,000 lines blocks the proxy's event loop for at most 20 ms at a time", async () => {
  await using upstream = await startFakeUpstream();
  const things = fakeThings();
  upstream.answer(things.answer);
  await using proxy = await startWatchedProxy(upstream.url);
  const headers = { "x-api-key": proxy.token };
  await assertAtMost(ACCOUNTING_MS, async () => {
    const made = await fetch(`${proxy.url}/v1/messages/batches`, { method: "POST", headers, body: "{}" });
    const { id } = await made.json();
    await proxy.longestTurn();
    things.finish(id, LINES);
    // A deletion waits until all is recorded.
    const deleted = await fetch(`${proxy.url}/v1/messages/batches/${id}`, { method: "DELETE", headers });
    assert.equal(deleted.status, 200, await deleted.text());
    return await proxy.longestTurn();
  });
});
