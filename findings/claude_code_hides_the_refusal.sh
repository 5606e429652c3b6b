#!/usr/bin/env bash
# Seen on 2026-11-28 with @anthropic-ai/claude-code 2.1.332 (linux-x64), `claude -p`.
#
# Behaviour: the status of a gateway's refusal decides what the user reads. The body is
# Anthropic's error JSON with `x-should-retry: false` each time. Claude Code replaces a 404's
# message by words about the model. It sends a 400 six times in spite of the header. It sends a
# 421 once and shows its message.
# Output seen: "400: 6 attempts; the user reads: API Error: 400 Take the second /v1 off your base
# URL.", "404: 2 attempts; the user reads: There's an issue with the selected model", "421: 1
# attempts; the user reads: API Error: 421 Take the second /v1 off your base URL."
# Expected: the user reads the message at every status, and `x-should-retry: false` is obeyed.
# Hurts: gateways that tell users what to change (a wrong base URL, a closed path).
# Exits 1 if the behaviour changes. Downloads 186 MB; Linux on x64 only.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm pack --silent @anthropic-ai/claude-code-linux-x64@2.1.332 >/dev/null
tar -xzf ./*.tgz
cat > ask.mjs <<'JS'
import http from "node:http";
import { spawn } from "node:child_process";

const TEXT = "Take the second /v1 off your base URL.";
async function shown(status) {
  let attempts = 0;
  const server = http.createServer((request, response) => {
    request.resume();
    if (request.method !== "POST") return response.end();
    attempts++;
    response.writeHead(status, { "content-type": "application/json", "x-should-retry": "false" });
    response.end(JSON.stringify({ type: "error", error: { type: "invalid_request_error", message: TEXT } }));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const env = {
    PATH: process.env.PATH, HOME: process.cwd(), ANTHROPIC_API_KEY: "none", DISABLE_AUTOUPDATER: "1", DISABLE_TELEMETRY: "1",
    ANTHROPIC_BASE_URL: `http://127.0.0.1:${server.address().port}`, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  };
  const child = spawn("./package/claude", ["-p", "hi"], { env, stdio: ["ignore", "pipe", "pipe"] });
  const late = setTimeout(() => child.kill("SIGKILL"), 25_000);
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => out += data);
  await new Promise((done) => child.on("close", done));
  clearTimeout(late);
  server.close();
  server.closeAllConnections();
  console.log(`${status}: ${attempts} attempts; the user reads: ${out.trim().slice(0, 110)}`);
  return { attempts, isShown: out.includes(TEXT) };
}
const [bad, missing, misdirected] = [await shown(400), await shown(404), await shown(421)];
const isAsSeen = bad.attempts > 1 && !missing.isShown && misdirected.isShown && misdirected.attempts === 1;
process.exit(isAsSeen ? 0 : 1);
JS
timeout 100 node ask.mjs
