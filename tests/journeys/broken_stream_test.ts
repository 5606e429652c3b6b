import assert from "node:assert/strict";
import { type Answer, eventStream, json, messageTo, type SeenCall } from "../fake_answers.ts";
import { messageBody, messageEvents } from "../fake_messages.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { connected } from "../raw_client.ts";
import { clientOf, saying, SDKS } from "../sdk_clients.ts";

const MODES = ["event", "reset"] as const;
const PASSED = 4;

/** The events up to that number, and then part of the next one; then a reset. */
function resetAfter(count: number, part: number): (call: SeenCall) => Answer {
  return (call) => {
    const events = messageEvents(messageTo(call));
    const pieces = [...events.slice(0, count), ...(part === 0 ? [] : [events[count]!.slice(0, part)])];
    return { ...eventStream(pieces), ending: "reset" };
  };
}

for (const mode of MODES) {
  for (
    const [where, part, version] of [["between events", 0, "1.1"], ["between events", 0, "1.0"], [
      "within an event",
      10,
      "1.1",
    ]] as const
  ) {
    const tells = mode === "event" && part === 0;
    Deno.test(`LLMPROXY_BROKEN_STREAM=${mode}: a reset ${where} reaches an HTTP/${version} client as ${tells ? "our error event and " : ""}a break`, async () => {
      await using proxy = await startProxy({ env: { LLMPROXY_BROKEN_STREAM: mode } });
      proxy.upstream.answer(resetAfter(PASSED, part));
      using client = await connected(proxy.url);
      const { headers, body } = messageCall(await proxy.token(), { stream: true });
      const lines = Object.entries(headers as Record<string, string>).map(([name, value]) => `${name}: ${value}\r\n`).join("");
      client.send(
        `POST /v1/messages HTTP/${version}\r\nhost: x\r\ncontent-length: ${String(body).length}\r\n${lines}\r\n${body}`,
      );
      assert.equal(await client.ended, version === "1.1" ? "ended" : "reset");
      const text = client.text();
      const events = messageEvents(messageTo(proxy.upstream.calls[0]!));
      for (const event of events.slice(0, PASSED)) assert.ok(text.includes(event), "what had arrived was not delivered");
      assert.doesNotMatch(text, /\r\n0\r\n/);
      const [row] = await proxy.closedRows(1);
      assert.deepEqual([row!.outcome, row!.accuracy], ["upstream_broke", "estimated"]);
      const told = /event: error\ndata: (.*)\n\n(\r\n)?$/.exec(text);
      assert.equal(told !== null, tells, text);
      if (told === null) assert.doesNotMatch(text, /event: error/);
      else {
        const { error, ...rest } = JSON.parse(told[1]!);
        assert.deepEqual([rest, error.type], [{ type: "error", request_id: row!.id }, "api_error"]);
      }
    });
  }

  Deno.test(`LLMPROXY_BROKEN_STREAM=${mode}: JSON that breaks off has no event in it, and breaks`, async () => {
    await using proxy = await startProxy({ env: { LLMPROXY_BROKEN_STREAM: mode } });
    const token = await proxy.token();
    for (const framing of ["chunked", "length"] as const) {
      proxy.upstream.answer((call) => {
        const text = JSON.stringify(messageBody(messageTo(call)), null, 1);
        return { ...json(null), body: `${text.slice(0, 60)}\n\n`, contentLength: text.length, framing, ending: "reset" };
      });
      const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(token));
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      await assert.rejects(async () => {
        for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
      }, `${framing}: ${text}`);
      assert.match(text, /^\{[^]*\n$/);
      assert.doesNotMatch(text, /event: error/);
    }
    const rows = await proxy.closedRows(2);
    assert.deepEqual(rows.map(({ outcome }) => outcome), ["upstream_broke", "upstream_broke"]);
  });

  for (const { name, Sdk } of SDKS) {
    Deno.test(`LLMPROXY_BROKEN_STREAM=${mode}: ${name} raises an error for a stream that breaks off, between events and within one`, async () => {
      await using proxy = await startProxy({ env: { LLMPROXY_BROKEN_STREAM: mode } });
      const { client, attempts } = clientOf(Sdk, { url: proxy.url, token: await proxy.token() });
      for (const part of [0, 10]) {
        proxy.upstream.answer(resetAfter(PASSED, part));
        const error = await client.messages.stream(saying("hello")).done().then(() => null, (error: unknown) => error);
        assert.ok(error instanceof Error, "the SDK took a broken stream for a whole one");
        const isTold = mode === "event" && part === 0;
        assert.equal(/"type":"api_error"/.test(JSON.stringify((error as { error?: unknown }).error ?? null)), isTold, `${error}`);
        if (isTold) assert.ok(error instanceof Sdk.APIError);
      }
      assert.equal(attempts(), 2);
      await assertBroken(proxy, 2);
    });
  }
}

async function assertBroken(proxy: ProxyUnderTest, count: number): Promise<void> {
  const rows = await proxy.closedRows(count);
  assert.deepEqual(rows.map(({ outcome, accuracy }) => [outcome, accuracy]), Array(count).fill(["upstream_broke", "estimated"]));
}
