#!/usr/bin/env bash
# Seen on 2026-11-29 with @google/gemini-cli 0.61.0 on Node 20 and 24, `gemini --prompt`.
#
# Behaviour: the process that `gemini` starts runs itself again as a child and only waits for it.
# It takes SIGINT, SIGTERM and SIGHUP, does nothing, and passes none on to its child. A supervisor
# that signals the one process which it started stops nothing: the model's answer is read on, and
# the agent asks on. With GEMINI_CLI_NO_RELAUNCH=true there is one process, and it ends at once.
# Output seen: "SIGINT: still running after 4 s, its call is open", the same for SIGTERM and SIGHUP,
# and "SIGTERM with GEMINI_CLI_NO_RELAUNCH: ended, its call is closed".
# Expected: SIGTERM ends the program and its call, or reaches the child.
# Hurts: platforms that stop an agent by its process id, such as `kill` or a supervisor without
# process groups. They pay for it until the SIGKILL.
# Exits 1 if the behaviour changes. Downloads 21 MB.
set -euo pipefail
command -v npm >/dev/null || { echo "install Node with npm (Debian: apt-get install npm)"; exit 2; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm pack --silent @google/gemini-cli@0.61.0 >/dev/null
tar -xzf ./*.tgz
mkdir .gemini project
echo '{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false},"general":{"enableAutoUpdate":false}}' > .gemini/settings.json
cat > stop.mjs <<'JS'
import http from "node:http";
import { spawn } from "node:child_process";

/** Sends the signal in the middle of an answer; resolves to whether program and call go on. */
async function goesOn(signal, env = {}) {
  let isOpen = false;
  let begun;
  const hasBegun = new Promise((resolve) => begun = resolve);
  const server = http.createServer((request, response) => {
    request.resume();
    response.on("close", () => isOpen = false);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`data: ${JSON.stringify({ candidates: [{ content: { role: "model", parts: [{ text: "Half an " }] }, index: 0 }] })}\r\n\r\n`);
    isOpen = true;
    begun();
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const home = process.cwd();
  const child = spawn(process.execPath, [`${home}/package/bundle/gemini.js`, "--prompt", "hi", "--model", "gemini-3.8-flash"], {
    cwd: `${home}/project`,
    env: {
      PATH: process.env.PATH, HOME: home, GEMINI_API_KEY: "none", GEMINI_CLI_TRUST_WORKSPACE: "true",
      GOOGLE_GEMINI_BASE_URL: `http://127.0.0.1:${server.address().port}`, ...env,
    },
    stdio: "ignore",
  });
  const ended = new Promise((done) => child.on("exit", () => done("ended")));
  await hasBegun;
  // The child of the program has its own handlers by now.
  await new Promise((done) => setTimeout(done, 500));
  child.kill(signal);
  const late = new Promise((done) => setTimeout(done, 4_000, "still running after 4 s"));
  const what = await Promise.race([ended, late]);
  const seen = { what, isOpen };
  child.kill("SIGKILL");
  await ended;
  server.closeAllConnections();
  server.close();
  console.log(`${signal}${env.GEMINI_CLI_NO_RELAUNCH ? " with GEMINI_CLI_NO_RELAUNCH" : ""}: ${what}, its call is ${isOpen ? "open" : "closed"}`);
  return seen;
}
const ignored = [await goesOn("SIGINT"), await goesOn("SIGTERM"), await goesOn("SIGHUP")];
const obeyed = await goesOn("SIGTERM", { GEMINI_CLI_NO_RELAUNCH: "true" });
const isAsSeen = ignored.every(({ what, isOpen }) => what !== "ended" && isOpen) && obeyed.what === "ended" && !obeyed.isOpen;
process.exit(isAsSeen ? 0 : 1);
JS
timeout 100 node stop.mjs
