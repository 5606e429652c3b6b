#!/usr/bin/env bash
# Seen on 2026-11-29 with Deno 2.9.6, `fetch` and `AbortController`.
#
# Behaviour: an abort after the head of an answer does nothing if the `Response` has been garbage
# collected, though a reader of its body is held and waits. The read waits on, and the connection
# stays open. Nothing but the `Response` helps: not its body, not the `Request`, not the signal.
# Output seen: "the reader alone is held: still waiting, the server's side is open" and "the
# response is held too: AbortError, the server's side is closed".
# Expected: the abort ends the read, as without a collection.
# Hurts: proxies and SDKs that pass the body on and drop the response. If the client leaves, the
# upstream goes on, and is paid. It shows only under load, when the collector runs and code has been
# optimized.
# Exits 1 if the behaviour changes.
set -euo pipefail
command -v npx >/dev/null || { echo "install Node with npm (Debian: apt-get install npm)"; exit 2; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/abort.ts" <<'TS'
const collect = (globalThis as unknown as { gc: () => void }).gc;
let closed = 0;
const server = Deno.serve({ port: 0, onListen() {} }, () => {
  const begun = new TextEncoder().encode("begun");
  return new Response(new ReadableStream({ start: (to) => to.enqueue(begun), cancel: () => void closed++ }));
});

async function begin(holdsResponse: boolean) {
  const aborting = new AbortController();
  const response = await fetch(`http://127.0.0.1:${server.addr.port}`, { signal: aborting.signal });
  const reader = response.body!.getReader();
  await reader.read();
  return { aborting, reader, held: holdsResponse ? response : null };
}

async function after(holdsResponse: boolean): Promise<string> {
  const before = closed;
  const call = await begin(holdsResponse);
  const read = call.reader.read().then(() => "read", (error) => error.name);
  for (let n = 0; n < 5; n++) {
    collect();
    await new Promise((done) => setTimeout(done, 20));
  }
  call.aborting.abort();
  const what = await Promise.race([read, new Promise((done) => setTimeout(done, 2_000, "still waiting"))]);
  // The server hears of it a little later.
  for (let n = 0; n < 20 && closed === before; n++) await new Promise((done) => setTimeout(done, 25));
  const who = call.held === null ? "the reader alone is held" : "the response is held too";
  const seen = `${what}, the server's side is ${closed > before ? "closed" : "open"}`;
  console.log(`${who}: ${seen}`);
  return seen;
}
const [alone, held] = [await after(false), await after(true)];
Deno.exit(alone.startsWith("still") && alone.endsWith("open") && held.startsWith("AbortError") && held.endsWith("closed") ? 0 : 1);
TS
timeout 100 npx -y deno@2.9.6 run --allow-net --v8-flags=--expose-gc "$folder/abort.ts"
