#!/usr/bin/env bash
# Seen on 2026-11-28 with Deno 2.9.6, and Node 20 for comparison.
#
# Behaviour: work that yields with setImmediate between slices of 5 ms keeps Deno's event loop
# away from its sockets. A request to a server in the same process waits for dozens of slices.
# With setTimeout(0) between the slices it waits for a few.
# Output seen: 'median wait of a request, ms. Deno: {"setTimeout":7,"setImmediate":613}. Node:
# {"setTimeout":6,"setImmediate":11}.'
# Expected: about one slice of waiting, as in Node. Node reads its sockets before each round of
# immediates, so setImmediate is the recommended way to yield there.
# Hurts: programs that moved here from Node and cut long work into slices.
# Exits 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/yield.mjs" <<'JS'
import http from "node:http";
import { Worker, isMainThread, workerData } from "node:worker_threads";

const SLICE_MS = 5;
if (isMainThread) {
  const server = http.createServer((_request, response) => response.end("ok"));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const medians = {};
  for (const kind of ["setTimeout", "setImmediate"]) {
    const yielding = { setTimeout: (next) => setTimeout(next, 0), setImmediate }[kind];
    let isOver = false;
    const work = (async () => {
      while (!isOver) {
        for (const end = performance.now() + SLICE_MS; performance.now() < end;);
        await new Promise(yielding);
      }
    })();
    const asker = new Worker(new URL(import.meta.url), { workerData: server.address().port });
    medians[kind] = await new Promise((done) => asker.on("message", done));
    isOver = true;
    await work;
    await asker.terminate();
  }
  server.close();
  console.log(JSON.stringify(medians));
  process.exit(0);
} else {
  const { parentPort } = await import("node:worker_threads");
  const times = [];
  for (let n = 0; n < 9; n++) {
    const start = performance.now();
    await new Promise((done, failed) => http.get({ port: workerData, host: "127.0.0.1", agent: false }, (answer) => answer.resume().on("end", done)).on("error", failed));
    times.push(performance.now() - start);
  }
  parentPort.postMessage(Math.round(times.sort((a, b) => a - b)[4]));
}
JS
deno=$(timeout 100 npx -y deno@2.9.6 run -A --no-config "$folder/yield.mjs")
node=$(timeout 100 node "$folder/yield.mjs")
echo "median wait of a request, ms. Deno: $deno. Node: $node."
node -e '
  const [deno, node] = process.argv.slice(1).map((text) => JSON.parse(text));
  process.exit(deno.setImmediate > 4 * deno.setTimeout && deno.setImmediate > 4 * node.setImmediate ? 0 : 1);
' "$deno" "$node"
