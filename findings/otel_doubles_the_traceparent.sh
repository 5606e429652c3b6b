#!/usr/bin/env bash
# 2026-11-28, Deno 2.9.6 with OTEL_DENO=true.
#
# Behaviour: fetch appends the runtime's own `traceparent` to a header of that name which the program
# set. The server gets two lines, or one with both values. W3C Trace Context (3.2) has a receiver drop
# a `traceparent` that it cannot parse, so the trace is lost at the next hop.
# One would expect: the runtime's header replaces the program's, or stays away if there is one.
# Hurts: proxies and gateways that pass their clients' headers on. Exits 1 if that changes.
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
