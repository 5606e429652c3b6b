import assert from "node:assert/strict";
import { assertRefusal } from "../bad_input.ts";
import { usageOf } from "../fake_messages.ts";
import { messageCall, startProxy } from "../proxy_under_test.ts";
import { connected, type RawClient } from "../raw_client.ts";
import { isPending } from "../wait.ts";

const MEGABYTE = 1 << 20;
const LARGE = 20 * MEGABYTE;

interface Refused {
  readonly target: string;
  readonly token: "good" | "bad";
  readonly length: number;
  readonly status: number;
  readonly type: string;
}

const UNKNOWN_TOKEN = { token: "bad", length: LARGE, status: 401, type: "authentication_error" } as const;
const REFUSED: Readonly<Record<string, Refused>> = {
  "a message with an unknown token": { ...UNKNOWN_TOKEN, target: "/v1/messages" },
  "a file with an unknown token": { ...UNKNOWN_TOKEN, target: "/v1/files" },
  "a message that is too large": {
    ...{ target: "/v1/messages", token: "good", length: 33 * MEGABYTE, status: 413, type: "request_too_large" },
  },
  "a path that there is not": { target: "/nothing", token: "good", length: LARGE, status: 404, type: "not_found_error" },
  "a route that does not pass": { target: "/v1/sessions", token: "good", length: LARGE, status: 403, type: "permission_error" },
};

for (const [what, { target, token, length, ...answered }] of Object.entries(REFUSED)) {
  Deno.test(`the proxy refuses ${what} without 100 Continue, reads nothing of its body, and ends the connection`, async () => {
    await using proxy = await startProxy();
    using client = await connected(proxy.url);
    client.send(head(target, { length, token: token === "good" ? await proxy.token() : "unknown", expects: true }));
    assert.equal(await client.ended, "ended");
    assert.match(client.text(), /^HTTP\/1\.1 4\d\d [^]*\r\nconnection: close\r\n/i);
    assertRefusal(answerOf(client), answered);
    assert.deepEqual(proxy.upstream.calls, []);
  });

  Deno.test(`the proxy refuses ${what} to a client that sends ${length / MEGABYTE} MB anyway, and it reads the whole refusal`, async () => {
    await using proxy = await startProxy();
    using client = await connected(proxy.url);
    client.send(head(target, { length, token: token === "good" ? await proxy.token() : "unknown", expects: false }));
    client.send(new Uint8Array(length));
    assert.equal(await client.ended, "ended");
    assertRefusal(answerOf(client), answered);
    assert.deepEqual(proxy.upstream.calls, []);
  });
}

for (const target of ["/v1/messages", "/v1/messages/count_tokens"]) {
  Deno.test(`the proxy sends 100 Continue once for an accepted call to ${target}, before any of its body has come`, async () => {
    await using proxy = await startProxy();
    const { body } = messageCall("", { text: "hello" });
    const text = String(body);
    using client = await connected(proxy.url);
    const token = await proxy.token();
    for (let n = 1; n <= 2; n++) {
      const from = client.text().length;
      client.send(head(target, { length: text.length, token, expects: true }));
      await client.has(new RegExp(`^[^]{${from}}HTTP/1\\.1 100 Continue\r\n\r\n$`));
      for (const piece of [text.slice(0, 20), text.slice(20, 40), text.slice(40)]) client.send(piece);
      const answered = (await client.has(new RegExp(`^[^]{${from}}[^]*HTTP/1\\.1 200 [^]*\\}$`))).slice(from);
      assert.equal(answered.match(/100 Continue/g)?.length, 1);
      if (target === "/v1/messages") assert.match(answered, new RegExp(`"input_tokens":${usageOf("hello").input_tokens}\\b`));
      const { length } = proxy.upstream.calls;
      assert.equal(length, n);
      const sent = proxy.upstream.calls.at(-1)!;
      assert.equal(new TextDecoder().decode(sent.body), text);
      assert.equal(sent.header("expect"), null);
    }
  });
}

Deno.test("the proxy waits for the body of a client that sends it before it has read 100 Continue", async () => {
  await using proxy = await startProxy();
  const text = String(messageCall("").body);
  using client = await connected(proxy.url);
  client.send(head("/v1/messages", { length: text.length, token: await proxy.token(), expects: true }) + text.slice(0, 30));
  assert.ok(await isPending(client.has(/ 200 /), 30));
  client.send(text.slice(30));
  assert.match(await client.has(/ 200 OK[^]*\}$/), /^(HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 200 OK/);
});

function head(
  target: string,
  { length, token, expects }: { readonly length: number; readonly token: string; readonly expects: boolean },
): string {
  const lines = [`x-api-key: ${token}`, "content-type: application/json", `content-length: ${length}`];
  return `POST ${target} HTTP/1.1\r\nHost: proxy\r\n${lines.join("\r\n")}\r\n${expects ? "Expect: 100-continue\r\n" : ""}\r\n`;
}

/** All that came, as one answer. */
function answerOf(client: RawClient) {
  const [top = "", body = ""] = client.text().split("\r\n\r\n");
  const [first = "", ...lines] = top.split("\r\n");
  const headers = new Headers(lines.map((line) => line.split(": ") as [string, string]));
  assert.equal(body.length, Number(headers.get("content-length")));
  return { status: Number(first.split(" ")[1]), headers, body };
}
