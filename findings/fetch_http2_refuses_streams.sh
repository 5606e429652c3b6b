#!/usr/bin/env bash
# Seen on 2026-11-28 with Deno 2.9.6 on Linux.
#
# Behaviour: fetch speaks HTTP/2 over TLS by default and keeps one connection per host. It sends
# calls beyond the server's limit of streams over no second connection. Many of them fail. With
# `http2: false` all pass, over pooled connections.
# Output seen: "one of the failures: stream error received: refused stream before processing any
# application logic", "30 calls at once, 10 streams a connection: 10 answered over HTTP/2, 30 with
# http2: false".
# Expected: the client waits for a free stream or opens another connection, as browsers and Go's
# client do.
# Hurts: gateways; real servers allow 100 to 250 streams per connection.
# Exits 1 if the behaviour changes. Needs openssl.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca-key.pem -out ca.pem 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem 2>/dev/null
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -out cert.pem \
  -extfile <(echo "subjectAltName=DNS:localhost") 2>/dev/null
cat > server.mjs <<'JS'
import http2 from "node:http2";
import { readFileSync } from "node:fs";
const server = http2.createSecureServer({
  key: readFileSync("key.pem"), cert: readFileSync("cert.pem"), allowHTTP1: true, settings: { maxConcurrentStreams: 10 },
}, (request, response) => request.resume().on("end", () => setTimeout(() => response.end("ok"), 300)));
server.listen(0, "localhost", () => console.log(server.address().port));
JS
cat > ask.ts <<'TS'
const [port] = Deno.args;
async function answered(http2: boolean): Promise<number> {
  const client = Deno.createHttpClient({ http2, http1: true, caCerts: [Deno.readTextFileSync("ca.pem")] });
  const body = () => ReadableStream.from([new Uint8Array(1000)]);
  const calls = Array.from({ length: 30 }, () =>
    fetch(`https://localhost:${port}/`, { method: "POST", body: body(), client }).then((answer) => answer.text()));
  const results = await Promise.allSettled(calls);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) console.log(`  one of the failures: ${failed.reason.cause?.message ?? failed.reason.message}`);
  client.close();
  return results.filter((result) => result.status === "fulfilled").length;
}
const two = await answered(true);
const one = await answered(false);
console.log(`30 calls at once, 10 streams a connection: ${two} answered over HTTP/2, ${one} with http2: false`);
Deno.exit(two < 30 && one === 30 ? 0 : 1);
TS
touch port; node server.mjs > port & server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
until read -r port < port; do sleep 0.1; done
timeout 60 npx -y deno@2.9.6 run -A --no-config ask.ts "$port"
