#!/usr/bin/env bash
# Seen on 2026-11-28 with Deno 2.9.6 and OTEL_DENO=true.
#
# Behaviour: if the program sets a `traceparent` header, fetch appends the runtime's own. The
# server gets two lines, or one line with both values. A receiver drops a `traceparent` that it
# cannot parse (W3C Trace Context, 3.2), so the trace ends at the next hop.
# Output seen: 'traceparent at the server:
# ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
# "00-a352081a9889ff630c9adbe82c4993e6-f50e7834014e7a55-01"]'.
# Expected: the runtime's header replaces the program's, or stays away if there is one.
# Hurts: proxies and gateways that pass on the headers of their clients.
# Exits 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/ask.ts" <<'TS'
import http from "node:http";

const server = http.createServer((request, response) => {
  response.end(JSON.stringify(request.rawHeaders.filter((_, n, all) => n % 2 === 1 && all[n - 1]!.toLowerCase() === "traceparent")));
});
await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
const { port } = server.address() as { port: number };
const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const seen = await (await fetch(`http://127.0.0.1:${port}/`, { headers: { traceparent } })).json() as string[];
const values = seen.flatMap((line) => line.split(",")).map((value) => value.trim());
console.log(`traceparent at the server: ${JSON.stringify(seen)}`);
Deno.exit(values.length === 2 && values.includes(traceparent) ? 0 : 1);
TS
OTEL_DENO=true OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 \
  timeout 60 npx -y deno@2.9.6 run -A --no-config "$folder/ask.ts"
