#!/usr/bin/env bash
# Seen on 2026-11-28 with Deno 2.9.6 on Linux.
#
# Behaviour: if the server closes a reused connection before it answers, fetch sends a POST with a
# buffered body again, by itself. The server has read the first copy whole. The caller sees one
# call and one answer. fetch does not send a streamed body again; it throws a TypeError.
# Output seen: "buffered: the server read 2 copies, one answer", "streamed: the server read 1
# copy, TypeError".
# Expected: no client repeats a POST after its bytes have left, because a POST is not idempotent
# (RFC 9110, 9.2.2).
# Hurts: everyone who pays per call. Send the body as a stream.
# Exits 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/twice.ts" <<'TS'
import net from "node:net";

async function copiesOf(bodyOf: () => BodyInit): Promise<{ copies: number; error: string | null }> {
  let copies = 0;
  const server = net.createServer((socket) => {
    let isFirst = true;
    let text = "";
    socket.on("error", () => {});
    socket.on("data", (data) => {
      text += data;
      if (!text.includes("the end")) return;
      const isWarmUp = text.includes("warm up");
      text = "";
      if (!isWarmUp) copies++;
      // The connection is reused: the first answer keeps it open, the next request finds it closing.
      if (!isWarmUp && !isFirst && copies === 1) return socket.destroy();
      isFirst = false;
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as { port: number };
  const client = Deno.createHttpClient({ http2: false });
  const post = (body: BodyInit) => fetch(`http://127.0.0.1:${port}/`, { method: "POST", body, client });
  await (await post("warm up, the end")).text();
  const error = await post(bodyOf()).then((answer) => answer.text()).then(() => null, (cause) => cause.name as string);
  client.close();
  server.close();
  return { copies, error };
}

const bytes = new TextEncoder().encode("a call that is paid for, the end");
const buffered = await copiesOf(() => bytes);
const streamed = await copiesOf(() => ReadableStream.from([bytes]));
console.log(`buffered: the server read ${buffered.copies} copies, ${buffered.error ?? "one answer"}`);
console.log(`streamed: the server read ${streamed.copies} copy, ${streamed.error ?? "one answer"}`);
const isAsSeen = buffered.copies === 2 && buffered.error === null && streamed.copies === 1 && streamed.error === "TypeError";
Deno.exit(isAsSeen ? 0 : 1);
TS
timeout 100 npx -y deno@2.9.6 run -A --no-config "$folder/twice.ts"
