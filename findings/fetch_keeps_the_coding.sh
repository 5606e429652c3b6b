#!/usr/bin/env bash
# Seen on 2026-11-28 with Deno 2.9.6 on Linux.
#
# Behaviour: fetch decodes a gzip body but leaves `content-encoding` and `content-length` on the
# response. A relay that builds `new Response(answer.body, { headers: answer.headers })` therefore
# labels plain text as gzip and cuts it at the compressed length. Its status is 200.
# Output seen: "the upstream sent 600 characters in 35 bytes of gzip; the relay passed on 35
# bytes: hello hello hello hello hello hello"; "curl --compressed: exit code 61".
# Expected: a decoded body has the headers of a decoded body, or decoding can be turned off.
# Hurts: everyone who writes a relay or a cache in Deno. Send `accept-encoding: identity`
# upstream.
# Exits 1 if the behaviour changes. Needs curl.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/relay.ts" <<'TS'
import http from "node:http";
import { gzipSync } from "node:zlib";

const text = "hello ".repeat(100);
const packed = gzipSync(text);
const upstream = http.createServer((_request, response) => {
  response.writeHead(200, { "content-encoding": "gzip", "content-length": packed.length });
  response.end(packed);
});
await new Promise<void>((done) => upstream.listen(0, "127.0.0.1", done));
const { port } = upstream.address() as { port: number };
const relay = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async () => {
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  return new Response(answer.body, { status: answer.status, headers: answer.headers });
});

async function curl(...args: string[]): Promise<{ code: number; body: string }> {
  const url = `http://127.0.0.1:${(relay.addr as Deno.NetAddr).port}/`;
  const { code, stdout } = await new Deno.Command("curl", { args: ["-s", ...args, url] }).output();
  return { code, body: new TextDecoder().decode(stdout) };
}
const plain = await curl();
const compressed = await curl("--compressed");
console.log(`the upstream sent ${text.length} characters in ${packed.length} bytes of gzip; ` +
  `the relay passed on ${plain.body.length} bytes: ${plain.body}`);
console.log(`curl --compressed: exit code ${compressed.code}`);
Deno.exit(plain.body === text.slice(0, packed.length) && compressed.code === 61 ? 0 : 1);
TS
timeout 100 npx -y deno@2.9.6 run -A --no-config "$folder/relay.ts"
