#!/usr/bin/env bash
# Seen on 2026-11-28 with nginx 1.22.1 (Debian 12) and Node 20.
#
# Behaviour: nginx speaks HTTP/1.0 to its upstreams unless `proxy_http_version 1.1` is set. In
# HTTP/1.0 the end of the connection is the end of the body. So if the upstream dies in the middle
# of a stream, nginx ends the client's chunked body cleanly. With 1.1 it breaks the client's
# connection.
# Output seen: "default: HTTP/1.0 upstream, the client sees a clean end", "proxy_http_version 1.1:
# HTTP/1.1 upstream, the client sees ECONNRESET".
# Expected: a proxy does not turn a cut body into a whole one; or 1.1, as most servers speak.
# Hurts: clients of server-sent events and large downloads: they take a part for the whole.
# Exits 1 if the behaviour changes.
set -euo pipefail
command -v nginx >/dev/null || { echo "needs nginx: apt-get install -y nginx" >&2; exit 2; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/cut.mjs" <<'JS'
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";

const folder = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
let version;
const upstream = http.createServer((request, response) => {
  version = request.httpVersion;
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("data: one\n\n");
  // What the kernel does with the connections of a process that dies: it ends them.
  setTimeout(() => response.socket.destroy(), 200);
});
await new Promise((done) => upstream.listen(0, "127.0.0.1", done));
const target = `proxy_pass http://127.0.0.1:${upstream.address().port}; proxy_buffering off;`;
writeFileSync(`${folder}/nginx.conf`, `
  daemon off; master_process off; pid ${folder}/pid; events {}
  http {
    access_log off;
    ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")}
    server { listen unix:${folder}/default; location / { ${target} } }
    server { listen unix:${folder}/set; location / { ${target} proxy_http_version 1.1; } }
  }`);
const nginx = spawn("nginx", ["-p", folder, "-c", `${folder}/nginx.conf`, "-e", `${folder}/log`], { stdio: "inherit" });
process.on("exit", () => nginx.kill());
process.on("SIGTERM", () => process.exit(1));

async function isListening(path) {
  return await new Promise((done) => {
    const socket = net.connect({ path }, () => done(socket.destroy() !== null)).on("error", () => done(false));
  });
}
async function endOf(name) {
  const socketPath = `${folder}/${name}`;
  while (!await isListening(socketPath)) await new Promise((next) => setTimeout(next, 50));
  return await new Promise((done) => {
    http.get({ socketPath, path: "/", headers: { host: "x" }, agent: false }, (response) => {
      response.resume().on("end", () => done("a clean end")).on("error", (error) => done(error.code));
    }).on("error", (error) => done(error.code));
  });
}
const byDefault = { end: await endOf("default"), version };
const set = { end: await endOf("set"), version };
console.log(`default: HTTP/${byDefault.version} upstream, the client sees ${byDefault.end}`);
console.log(`proxy_http_version 1.1: HTTP/${set.version} upstream, the client sees ${set.end}`);
process.exit(byDefault.end === "a clean end" && byDefault.version === "1.0" && set.end === "ECONNRESET" ? 0 : 1);
JS
timeout 60 node "$folder/cut.mjs"
