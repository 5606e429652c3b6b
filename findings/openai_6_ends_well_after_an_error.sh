#!/usr/bin/env bash
# Seen on 2026-11-29 with openai (npm) 6.49.0 and 7.59.0 on Node 20 and 24.
#
# Behaviour: a stream of `responses.create` meets OpenAI's own `error` event after half an answer.
# openai 6 yields it as one more event, and the loop ends as if all had come. openai 7 throws an
# APIError. On a stream of Chat Completions both throw.
# Output seen: "openai 6, responses: got 'Half an ', ended well", "openai 7, responses: got 'Half an
# ', threw APIError", and "threw APIError" twice for chat.
# Expected: an error in the stream throws in both versions and both APIs.
# Hurts: programs that gather the text of a Responses stream with openai 6. They act on half a
# sentence unless they look for `event.type === "error"` themselves.
# Exits 1 if the behaviour changes.
set -euo pipefail
command -v npm >/dev/null || { echo "install Node with npm (Debian: apt-get install npm)"; exit 2; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund openai6@npm:openai@6.49.0 openai7@npm:openai@7.59.0 >/dev/null
cat > read.mjs <<'JS'
import http from "node:http";

const ERROR = { code: "server_error", message: "try later", param: null };
const STREAMS = {
  "/responses": [
    `event: response.output_text.delta\ndata: ${JSON.stringify({ type: "response.output_text.delta", sequence_number: 0, delta: "Half an " })}\n\n`,
    `event: error\ndata: ${JSON.stringify({ type: "error", sequence_number: 1, ...ERROR })}\n\n`,
  ],
  "/chat/completions": [
    `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content: "Half an " }, finish_reason: null }] })}\n\n`,
    `data: ${JSON.stringify({ error: { ...ERROR, type: "server_error" } })}\n\n`,
  ],
};
const server = http.createServer((request, response) => {
  request.resume();
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.end(STREAMS[request.url].join(""));
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const seen = {};
for (const major of [6, 7]) {
  const { default: OpenAI } = await import(`openai${major}`);
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${server.address().port}`, apiKey: "none", maxRetries: 0 });
  for (const api of ["responses", "chat"]) {
    let text = "";
    let end = "ended well";
    try {
      const asked = { model: "m", stream: true };
      const stream = api === "responses"
        ? await client.responses.create({ ...asked, input: "x" })
        : await client.chat.completions.create({ ...asked, messages: [{ role: "user", content: "x" }] });
      for await (const event of stream) text += (api === "responses" ? event.delta : event.choices[0].delta.content) ?? "";
    } catch (error) {
      end = `threw ${error.constructor.name}`;
    }
    console.log(`openai ${major}, ${api}: got '${text}', ${end}`);
    seen[`${api} ${major}`] = end;
  }
}
const threw = "threw APIError";
const isAsSeen = seen["responses 6"] === "ended well" && seen["responses 7"] === threw && seen["chat 6"] === threw && seen["chat 7"] === threw;
process.exit(isAsSeen ? 0 : 1);
JS
timeout 60 node read.mjs
