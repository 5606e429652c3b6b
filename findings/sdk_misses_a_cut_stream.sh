#!/usr/bin/env bash
# Seen on 2026-11-28 with @anthropic-ai/sdk 0.137.0 and 1.12.0 on Node 20.
#
# Behaviour: a program that iterates over `messages.create({ stream: true })` gets no error if the
# stream ends without `message_stop`. It takes half a message for a whole one. With
# `messages.stream().finalMessage()` the same SDK throws.
# Output seen, for both versions: 'for await: no error after "Delete the file only if"',
# "finalMessage: stream ended without producing a Message with role=assistant".
# Expected: both ways notice that the message has no end.
# Hurts: programs behind a proxy that ends a cut stream cleanly: they act on half a sentence. Look
# for `message_stop` yourself. Servers must break the connection of a cut stream.
# Exits 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund sdk0@npm:@anthropic-ai/sdk@0.137.0 sdk1@npm:@anthropic-ai/sdk@1.12.0 >/dev/null
cat > cut.mjs <<'JS'
import http from "node:http";

const TEXT = "Delete the file only if";
const usage = { input_tokens: 5, output_tokens: 1 };
const message = { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, stop_sequence: null, usage };
const events = [
  { type: "message_start", message },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: TEXT } },
];
const server = http.createServer((request, response) => {
  request.resume();
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.end(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const asked = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "x" }] };

async function iterated(client) {
  let text = "";
  try {
    for await (const event of await client.messages.create({ ...asked, stream: true })) text += event.delta?.text ?? "";
    return `no error after ${JSON.stringify(text)}`;
  } catch (error) {
    return error.message;
  }
}
let isAsSeen = true;
for (const name of ["sdk0", "sdk1"]) {
  const { default: Anthropic } = await import(name);
  const client = new Anthropic({ apiKey: "none", baseURL: `http://127.0.0.1:${server.address().port}`, maxRetries: 0 });
  const forAwait = await iterated(client);
  const final = await client.messages.stream(asked).finalMessage().then(() => "no error", (error) => error.message);
  console.log(`${name}: for await: ${forAwait}; finalMessage: ${final}`);
  isAsSeen &&= forAwait.startsWith("no error") && final !== "no error";
}
process.exit(isAsSeen ? 0 : 1);
JS
timeout 60 node cut.mjs
