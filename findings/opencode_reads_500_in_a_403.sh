#!/usr/bin/env bash
# Seen on 2026-11-29 with opencode 1.18.33 (opencode-linux-x64-baseline), `opencode run`.
#
# Behaviour: opencode searches the body of every error for 429, 500, 502, 503, 504 and 524, and
# takes a match anywhere for an error that passes. So an amount or an id decides whether a 403 is
# final.
# It then waits, silently, as long as `retry-after` says, also if `x-should-retry` is false.
# Output seen: "of 400 dollars, request id req_01M8: 1 attempts, ended", "of 500 dollars, request id
# req_01M8: 2 attempts, still asking", "of 400 dollars, request id req_01M8429: 2 attempts, still
# asking".
# Expected: a 403 is final, whatever amounts its message names.
# Hurts: gateways that name a limit and when it resets. With `retry-after` until midnight, the
# agent hangs until midnight and shows nothing.
# Exits 1 if the behaviour changes. Linux on x64 only.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm pack --silent opencode-linux-x64-baseline@1.18.33 >/dev/null
tar -xzf ./*.tgz
chmod +x package/bin/opencode
cat > ask.mjs <<'JS'
import http from "node:http";
import { mkdirSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";

const MODEL = "claude-haiku-4-5";
const limit = { context: 200_000, output: 64_000 };
const model = { id: MODEL, name: MODEL, release_date: "2025-10-15", attachment: true, reasoning: true, temperature: true, tool_call: true, limit };
const anthropic = { id: "anthropic", name: "Anthropic", env: ["ANTHROPIC_API_KEY"], npm: "@ai-sdk/anthropic", models: { [MODEL]: model } };
mkdirSync(".config/opencode", { recursive: true });
writeFileSync("models.json", JSON.stringify({ anthropic }));

async function shown(dollars, requestId) {
  let attempts = 0;
  const server = http.createServer((request, response) => {
    let asked = "";
    request.on("data", (data) => asked += data);
    request.on("end", () => {
      // The call without tools makes a title.
      if (asked.includes('"tools"') && ++attempts === 2) child.kill("SIGKILL");
      response.writeHead(403, { "content-type": "application/json", "retry-after": "2", "x-should-retry": "false" });
      const error = { type: "permission_error", message: `The limit of ${dollars} dollars a day is used up.` };
      response.end(JSON.stringify({ type: "error", error, request_id: requestId }));
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const options = { baseURL: `http://127.0.0.1:${server.address().port}/v1` };
  writeFileSync(".config/opencode/opencode.json", JSON.stringify({ provider: { anthropic: { options } }, autoupdate: false }));
  const env = {
    PATH: process.env.PATH, HOME: process.cwd(), ANTHROPIC_API_KEY: "none", OPENCODE_MODELS_PATH: "./models.json",
    OPENCODE_DISABLE_MODELS_FETCH: "1", OPENCODE_DISABLE_DEFAULT_PLUGINS: "1", npm_config_offline: "true",
  };
  const args = ["run", "--pure", "--model", `anthropic/${MODEL}`, "hi"];
  const child = spawn("./package/bin/opencode", args, { env, stdio: "ignore" });
  const late = setTimeout(() => child.kill("SIGKILL"), 35_000);
  const [, signal] = await new Promise((done) => child.on("close", (...end) => done(end)));
  clearTimeout(late);
  server.close();
  server.closeAllConnections();
  console.log(`of ${dollars} dollars, request id ${requestId}: ${attempts} attempts, ${signal === null ? "ended" : "still asking"}`);
  return attempts;
}
const seen = [await shown(400, "req_01M8"), await shown(500, "req_01M8"), await shown(400, "req_01M8429")];
process.exit(seen.join() === "1,2,2" ? 0 : 1);
JS
timeout 115 node ask.mjs
