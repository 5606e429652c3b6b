import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { IdleTimeout } from "./idle_timeout.ts";
import { pump, type PumpSink } from "./pump.ts";
import { giveBuffer, takeBuffer } from "./read_buffers.ts";

Deno.test("takeBuffer() returns a buffer that was given, once, and new ones after it", () => {
  for (const size of ["small", "large"] as const) {
    const buffer = takeBuffer(size);
    giveBuffer(buffer);
    giveBuffer(buffer);
    assert.equal(takeBuffer(size), buffer);
    assert.notEqual(takeBuffer(size), buffer);
  }
});

Deno.test("giveBuffer() keeps none of another size, and none that a read has taken over", () => {
  const buffer = takeBuffer("small");
  const { byteLength } = buffer;
  const transferred = buffer.transfer();
  giveBuffer(buffer);
  giveBuffer(new ArrayBuffer(byteLength + 1));
  assert.equal(takeBuffer("small").byteLength, byteLength);
  assert.equal(transferred.byteLength, byteLength);
});

Deno.test("giveBuffer() keeps 2 MB of each size at most", () => {
  const buffers = Array.from({ length: 300 }, () => takeBuffer("small"));
  for (const buffer of buffers) giveBuffer(buffer);
  const again = Array.from({ length: 300 }, () => takeBuffer("small")).filter((buffer) => buffers.includes(buffer));
  assert.equal(again.length, 2 * 1024 * 1024 / buffers[0]!.byteLength);
});

Deno.test("pump() uses a buffer again once it is written and not before, in 20 calls at once of chunks of any size", async () => {
  let state = 3;
  const below = (n: number) => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return Math.floor((state >>> 0) / 2 ** 32 * n);
  };
  const SPOILED = 0xdb;
  const counts = { writes: 0, again: 0 };
  const one = async () => {
    const sent = Array.from({ length: 40 }, () => {
      const size = 1 + below([20, 2_000, 17_000, 150_000][below(4)]!);
      return Uint8Array.from({ length: size }, () => below(256));
    });
    const copies: Uint8Array[] = [];
    const pending: (() => void)[] = [];
    const flush = (count: number) => pending.splice(0, count).forEach((write) => write());
    const write: PumpSink["write"] = (chunk, written) => {
      counts.writes++;
      // Behind the chunk it still has what it had after its last write.
      if (new Uint8Array(chunk.buffer).at(-1) === SPOILED) counts.again++;
      const copy = new Uint8Array(chunk.length);
      copies.push(copy);
      pending.push(() => {
        copy.set(chunk);
        new Uint8Array(chunk.buffer).fill(SPOILED);
        written?.();
      });
      flush(below(3));
      return below(2) === 0 ? Promise.resolve() : undefined;
    };
    const end = (last: Uint8Array | null) => {
      flush(Infinity);
      if (last !== null) copies.push(new Uint8Array(last));
      return Promise.resolve();
    };
    const chunks = [...sent];
    const stream = new ReadableStream({
      type: "bytes",
      pull(controller) {
        const next = chunks.shift();
        if (next !== undefined) return controller.enqueue(new Uint8Array(next));
        controller.close();
        controller.byobRequest?.respond(0);
      },
    });
    const isHeld = below(2) === 0;
    await pump(stream, { write, end }, {
      watch: { look: () => {}, ended: () => Promise.resolve("whole") },
      holdsLast: () => isHeld,
      isSized: false,
      idle: new IdleTimeout({ ms: 60_000, elapsed: () => 0, onIdle: () => {} }),
      signal: new AbortController().signal,
    });
    assert.ok(Buffer.concat(copies).equals(Buffer.concat(sent)), "bytes changed");
  };
  await Promise.all(Array.from({ length: 20 }, one));
  assert.ok(counts.again > counts.writes / 10, JSON.stringify(counts));
});
