#!/usr/bin/env bash
# Seen on 2026-11-28 with @anthropic-ai/sdk 0.137.0 and 1.12.0 on Node 20.
#
# Behaviour: a client with `timeout: 1000` waits as long as a server's `retry-after` says, up to
# 2^31 - 1 ms (24 days). The timeout is for one attempt; no option bounds the whole call.
# Output seen, with `maxRetries: 1` and `retry-after: 4`: "sdk0: InternalServerError after 4.1 s",
# "sdk1: ServiceUnavailableError after 4.0 s".
# Expected: a bound on the wait, as older releases had (60 s), or a `timeout` for the whole call.
# Hurts: agents behind a server with a long `retry-after`, such as a gateway over its budget until
# midnight. They hang silently for hours instead of failing. Servers must keep it short.
# Exits 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund sdk0@npm:@anthropic-ai/sdk@0.137.0 sdk1@npm:@anthropic-ai/sdk@1.12.0 >/dev/null
cat > wait.mjs <<'JS'
import http from "node:http";

const server = http.createServer((request, response) => {
  request.resume();
  response.writeHead(503, { "retry-after": "4", "content-type": "application/json" });
  response.end('{"type":"error","error":{"type":"api_error","message":"later"}}');
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const waits = [];
for (const name of ["sdk0", "sdk1"]) {
  const { default: Anthropic } = await import(name);
  const baseURL = `http://127.0.0.1:${server.address().port}`;
  const client = new Anthropic({ apiKey: "none", baseURL, maxRetries: 1, timeout: 1000 });
  const start = performance.now();
  const asked = { model: "m", max_tokens: 1, messages: [{ role: "user", content: "x" }] };
  const error = await client.messages.create(asked).catch((cause) => cause);
  waits.push(performance.now() - start);
  console.log(`${name}: ${error.constructor.name} after ${(waits.at(-1) / 1000).toFixed(1)} s`);
}
process.exit(waits.every((ms) => ms >= 3_900) ? 0 : 1);
JS
timeout 60 node wait.mjs
