#!/usr/bin/env bash
# Seen on 2026-11-28 with Deno 2.9.6 on Linux, and curl 7.88 for comparison.
#
# Behaviour: Deno's fetch ignores `NO_PROXY=*` and entries with a port, such as `127.0.0.1:*` or
# `127.0.0.1:8080`. The request goes to the forward proxy. An entry with the bare host works.
# Output seen: "NO_PROXY=*: by the proxy", "NO_PROXY=HOST:PORT: by the proxy", "NO_PROXY=HOST:
# directly"; curl goes directly for `*`.
# Expected: `*` means "no proxy at all", as in curl, Go and Python.
# Hurts: operators who switch a forward proxy off by `NO_PROXY=*`. Their requests, with the
# headers in them, still go to it.
# Exits 1 if the behaviour changes. Needs curl.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/ask.ts" <<'TS'
console.log(await (await fetch(Deno.args[0]!)).text());
TS
cat > "$folder/ways.ts" <<'TS'
import http from "node:http";

async function listen(text: string): Promise<string> {
  const server = http.createServer((_request, response) => response.end(text));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}
const [target, proxy] = [await listen("directly"), await listen("by the proxy")];

async function way(noProxy: string, command: string, ...args: string[]): Promise<string> {
  const env = { http_proxy: `http://${proxy}`, no_proxy: noProxy, HTTP_PROXY: `http://${proxy}`, NO_PROXY: noProxy };
  const { stdout } = await new Deno.Command(command, { args: [...args, `http://${target}/`], env }).output();
  return new TextDecoder().decode(stdout).trim();
}
const deno = (noProxy: string) => way(noProxy, Deno.execPath(), "run", "-A", "--no-config", import.meta.dirname + "/ask.ts");
const seen = { star: await deno("*"), port: await deno(target), host: await deno("127.0.0.1"), curl: await way("*", "curl", "-s") };
console.log(`Deno: NO_PROXY=*: ${seen.star}; NO_PROXY=HOST:PORT: ${seen.port}; NO_PROXY=HOST: ${seen.host}`);
console.log(`curl: NO_PROXY=*: ${seen.curl}`);
const isAsSeen = [seen.star, seen.port].every((text) => text === "by the proxy") &&
  [seen.host, seen.curl].every((text) => text === "directly");
Deno.exit(isAsSeen ? 0 : 1);
TS
timeout 100 npx -y deno@2.9.6 run -A --no-config "$folder/ways.ts"
