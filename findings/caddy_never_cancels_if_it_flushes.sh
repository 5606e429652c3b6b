#!/usr/bin/env bash
# Seen on 2026-11-28 with Caddy 2.6.2 (Debian 12) and Node 20.
#
# Behaviour: `flush_interval -1` in Caddy's reverse_proxy also stops Caddy from cancelling the
# upstream's request if the client leaves. Caddy sends server-sent events at once without it.
# Output seen: "default: each event at once, the upstream's request ends when the client leaves",
# "flush_interval -1: each event at once, the upstream's request goes on".
# Expected: a setting about flushing changes nothing but when bytes are sent.
# Hurts: operators who pay for upstream calls. Guides for event streams recommend the line.
# Exits 1 if the behaviour changes.
set -euo pipefail
command -v caddy >/dev/null || { echo "needs caddy: apt-get install -y caddy" >&2; exit 2; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/leave.mjs" <<'JS'
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import http from "node:http";

const folder = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const QUIET_MS = 5000;
let closed;
const upstream = http.createServer((request, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("data: one\n\n");
  closed = new Promise((done) => response.on("close", () => done(true)));
});
await new Promise((done) => upstream.listen(0, "127.0.0.1", done));
const target = `127.0.0.1:${upstream.address().port}`;
writeFileSync(`${folder}/Caddyfile`, `{
  admin off
}
http://:18471 {
  bind 127.0.0.1
  reverse_proxy ${target}
}
http://:18472 {
  bind 127.0.0.1
  reverse_proxy ${target} {
    flush_interval -1
  }
}
`);
const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
const caddy = spawn("caddy", ["run", "--adapter", "caddyfile", "--config", `${folder}/Caddyfile`], { env, stdio: "ignore" });
process.on("exit", () => caddy.kill());
process.on("SIGTERM", () => process.exit(1));

async function isCancelled(port) {
  for (;;) {
    const left = await new Promise((done) => {
      const request = http.get({ host: "127.0.0.1", port, agent: false }, (response) => {
        response.on("error", () => {}).once("data", () => done(request.destroy() !== null));
      }).on("error", () => done(false));
    });
    if (left) break;
    await new Promise((next) => setTimeout(next, 100));
  }
  return await Promise.race([closed, new Promise((done) => setTimeout(() => done(false), QUIET_MS))]);
}
const says = (isEnded) => isEnded ? "ends when the client leaves" : "goes on";
const [byDefault, flushing] = [await isCancelled(18471), await isCancelled(18472)];
console.log(`default: each event at once, the upstream's request ${says(byDefault)}`);
console.log(`flush_interval -1: each event at once, the upstream's request ${says(flushing)}`);
process.exit(byDefault && !flushing ? 0 : 1);
JS
timeout 60 node "$folder/leave.mjs"
