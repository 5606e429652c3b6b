#!/usr/bin/env bash
# Seen on 2026-11-28 with Deno 2.9.6 on Linux.
#
# Behaviour: Deno.serve delivers each piece of a chunked request body in a buffer of 64 KB,
# however small the piece is. A program that keeps the pieces, to join them later, keeps all of
# that.
# Output seen: "a body of 4000 bytes keeps 250.0 MB".
# Expected: a chunk's buffer is about as large as the chunk, as with node:http.
# Hurts: servers that gather a body in a list and bound it by its length. Copy small pieces.
# Exits 1 if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/pieces.ts" <<'TS'
import net from "node:net";

const PIECES = 4_000;
const done = Promise.withResolvers<{ length: number; kept: number }>();
const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
  const pieces: Uint8Array[] = [];
  for await (const piece of request.body!) pieces.push(piece);
  const length = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const kept = new Set(pieces.map((piece) => piece.buffer));
  done.resolve({ length, kept: [...kept].reduce((sum, buffer) => sum + buffer.byteLength, 0) });
  return new Response();
});
const socket = net.connect((server.addr as Deno.NetAddr).port, "127.0.0.1");
socket.setNoDelay(true);
socket.write("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
for (let n = 0; n < PIECES; n++) {
  socket.write("1\r\nx\r\n");
  // A turn of the event loop, so that each piece travels alone, as a slow client's does.
  await new Promise((next) => setTimeout(next, 0));
}
socket.write("0\r\n\r\n");
const { length, kept } = await done.promise;
console.log(`a body of ${length} bytes keeps ${(kept / 2 ** 20).toFixed(1)} MB`);
Deno.exit(kept > 1_000 * length ? 0 : 1);
TS
timeout 100 npx -y deno@2.9.6 run -A --no-config "$folder/pieces.ts"
