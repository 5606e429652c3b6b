import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createDeflate,
  createGzip,
  createZstdCompress,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import { assertAtMost, assertFrees } from "../../tests/best_attempt.ts";
import { deadline } from "../async/deadline.ts";
import { decoderOf } from "./decode.ts";

/** A busy machine may take its time. */
const SETTLE_MS = 15_000;

const TEXT = Array.from({ length: 60 }, (_, i) => `event: e${i}\ndata: {"text":"${Math.imul(i, 40503) % 9973}"}\n\n`).join("");

const BODIES: readonly (readonly [encoding: string, body: Uint8Array])[] = [
  ["", Buffer.from(TEXT)],
  ["identity", Buffer.from(TEXT)],
  ["gzip", gzipSync(TEXT)],
  ["x-gzip", gzipSync(TEXT)],
  ["GZip", Buffer.concat([gzipSync(TEXT.slice(0, 700)), gzipSync(TEXT.slice(700))])],
  ["deflate", deflateSync(TEXT)],
  ["deflate", deflateRawSync(TEXT)],
  ["br", brotliCompressSync(TEXT)],
  ["zstd", zstdCompressSync(TEXT)],
  ["gzip, br", brotliCompressSync(gzipSync(TEXT))],
  ["br,identity ,\tzstd", zstdCompressSync(brotliCompressSync(TEXT))],
  ["deflate, gzip, gzip", gzipSync(gzipSync(deflateSync(TEXT)))],
];

async function decode(
  encoding: string,
  pieces: readonly Uint8Array[],
  maxBytes = 1e6,
): Promise<{ text: string; isBlind: boolean }> {
  const out: Uint8Array[] = [];
  const decoder = decoderOf(encoding, { maxBytes, onChunk: (chunk) => out.push(new Uint8Array(chunk)) });
  assert.ok(decoder !== null);
  for (const piece of pieces) void decoder.push(piece);
  await decoder.end();
  const { length } = out;
  await decoder.end();
  assert.equal(out.length, length);
  return { text: Buffer.concat(out).toString(), isBlind: decoder.isBlind };
}

Deno.test("decoderOf() decodes each coding and stacks of them, cut in two at every byte", async () => {
  for (const [encoding, body] of BODIES) {
    for (let at = 0; at <= body.length; at++) {
      const { text, isBlind } = await decode(encoding, [body.subarray(0, at), body.subarray(at)]);
      if (text !== TEXT || isBlind) assert.fail(`${encoding} cut at ${at}`);
    }
  }
});

Deno.test("decoderOf() decodes each coding byte by byte", async () => {
  for (const [encoding, body] of BODIES) {
    assert.deepEqual(
      await decode(encoding, Array.from(body, (byte) => Uint8Array.of(byte))),
      { text: TEXT, isBlind: false },
      encoding,
    );
  }
});

Deno.test("decoderOf() is null for codings that are unknown, and for stacks that are too high", () => {
  for (const encoding of ["compress", "aws-chunked", "gzip, foo", "gzip;q=1", "gzip br", "gzip, gzip, gzip, gzip", "*"]) {
    assert.equal(decoderOf(encoding, { maxBytes: 9, onChunk: () => {} }), null, encoding);
  }
});

Deno.test("CopyDecoder.push() copies: the chunk may be overwritten at once", async () => {
  for (const [encoding, body] of BODIES) {
    if (encoding === "" || encoding === "identity") continue;
    const out: Uint8Array[] = [];
    const decoder = decoderOf(encoding, { maxBytes: 1e6, onChunk: (chunk) => out.push(new Uint8Array(chunk)) })!;
    for (let from = 0; from < body.length; from += 50) {
      const piece = new Uint8Array(body.subarray(from, from + 50));
      void decoder.push(piece);
      structuredClone(piece, { transfer: [piece.buffer] });
    }
    await decoder.end();
    assert.equal(Buffer.concat(out).toString(), TEXT, encoding);
  }
});

Deno.test("CopyDecoder.push() resolves when what a flushed chunk holds has been handed over", async () => {
  const flushing = [
    ["gzip", createGzip(), constants.Z_SYNC_FLUSH],
    ["deflate", createDeflate(), constants.Z_SYNC_FLUSH],
    ["br", createBrotliCompress(), constants.BROTLI_OPERATION_FLUSH],
    ["zstd", createZstdCompress(), constants.ZSTD_e_flush],
  ] as const;
  for (const [encoding, compressor, kind] of flushing) {
    let compressed: Uint8Array[] = [];
    compressor.on("data", (chunk: Uint8Array) => compressed.push(chunk));
    let out = "";
    const decoder = decoderOf(encoding, { maxBytes: 1e6, onChunk: (chunk) => out += Buffer.from(chunk).toString() })!;
    for (const event of ["event: message_start\n\n", "event: ping\n\n", "event: message_stop\n\n"]) {
      await new Promise<void>((resolve) => compressor.write(event, () => compressor.flush(kind, () => resolve())));
      const before = out;
      await decoder.push(Buffer.concat(compressed));
      compressed = [];
      assert.equal(out, before + event, encoding);
    }
    compressor.destroy();
    await decoder.end();
    assert.ok(!decoder.isBlind, encoding);
  }
});

Deno.test("CopyDecoder goes blind at corrupt bytes, and neither throws nor rejects", async () => {
  for (const [encoding, body] of BODIES) {
    if (encoding === "" || encoding === "identity") continue;
    for (
      const junk of [
        "not compressed at all, but a longer text",
        "\0\0\0\0\0\0",
        "\x78\x9cjunk and more of it",
        '{"type":"error"}',
      ]
    ) {
      const { isBlind, text } = await decode(encoding, [Buffer.from(junk), body]);
      assert.ok(isBlind || text !== TEXT, `${encoding}: ${junk}`);
    }
    for (let at = 0; at < body.length; at += 7) {
      const corrupt = new Uint8Array(body);
      corrupt[at]! ^= 0x55;
      await decode(encoding, [corrupt.subarray(0, 40), corrupt.subarray(40)]);
    }
  }
  assert.deepEqual(await decode("gzip", [Buffer.from("not gzip")]), { text: "", isBlind: true });
});

Deno.test("CopyDecoder decodes what a cut body holds, and is not blind", async () => {
  for (const encoding of ["gzip", "deflate", "br", "zstd"]) {
    const body = new Map(BODIES).get(encoding)!;
    const { text, isBlind } = await decode(encoding, [body.subarray(0, body.length - 1)]);
    assert.ok(!isBlind && TEXT.startsWith(text), encoding);
  }
  const gzip = new Map(BODIES).get("gzip")!;
  assert.deepEqual(await decode("gzip", [gzip.subarray(0, -8)]), { text: TEXT, isBlind: false });
});

Deno.test("CopyDecoder.push() need not be awaited: nearly all comes out of a cut body, and every push settles", async () => {
  const text = Array.from({ length: 20_000 }, (_, i) => `${Math.imul(i, 40503) % 9973} `).join("");
  const kinds: readonly (readonly [string, Uint8Array])[] = [
    ["deflate", deflateSync(text)],
    ["gzip", gzipSync(text)],
    ["gzip, gzip", gzipSync(gzipSync(text))],
  ];
  for (const [encoding, body] of kinds) {
    const corrupt = new Uint8Array(body);
    corrupt[Math.floor(body.length / 2)]! ^= 0x55;
    const cut = body.subarray(0, Math.floor(body.length * 0.6));
    for (const bytes of [body, cut, corrupt, Buffer.concat([body, Buffer.from("trailing")])]) {
      for (const maxBytes of [1e9, 1_000]) {
        const waited = await inPieces(bytes, { encoding, maxBytes, waits: true });
        const hurried = await inPieces(bytes, { encoding, maxBytes, waits: false });
        if (bytes === corrupt) continue;
        assert.equal(hurried.isBlind, waited.isBlind, encoding);
        // zlib drops what it has not flushed if the body's end comes before that.
        assert.ok(hurried.length >= 0.95 * waited.length, `${encoding}: ${hurried.length} of ${waited.length}`);
      }
    }
  }
});

async function inPieces(
  bytes: Uint8Array,
  { encoding, maxBytes, waits }: { readonly encoding: string; readonly maxBytes: number; readonly waits: boolean },
): Promise<{ length: number; isBlind: boolean }> {
  let length = 0;
  const decoder = decoderOf(encoding, { maxBytes, onChunk: (chunk) => void (length += chunk.length) })!;
  const pushes: Promise<void>[] = [];
  for (let at = 0; at < bytes.length; at += 64) {
    const push = decoder.push(bytes.subarray(at, at + 64));
    pushes.push(push);
    if (waits) await push;
  }
  await decoder.end();
  await deadline(Promise.all(pushes), SETTLE_MS, () => new Error(`${encoding}: a push did not settle`));
  return { length, isBlind: decoder.isBlind };
}

Deno.test("CopyDecoder resolves its end if bytes trail a whole body, and without a body", async () => {
  for (const [encoding, body] of BODIES) {
    const { text } = await decode(encoding, [body, Buffer.from("trailing"), Buffer.from("more")]);
    assert.ok(text.startsWith(TEXT), encoding);
    assert.deepEqual(await decode(encoding, []), { text: "", isBlind: false }, encoding);
  }
});

Deno.test("CopyDecoder hands over exactly maxBytes, and goes blind at one more", async () => {
  for (const [encoding, body] of BODIES) {
    assert.deepEqual(await decode(encoding, [body], TEXT.length), { text: TEXT, isBlind: false }, encoding);
    const { text, isBlind } = await decode(encoding, [body], TEXT.length - 1);
    assert.ok(isBlind && text.length < TEXT.length, encoding);
  }
});

Deno.test("CopyDecoder stops at maxBytes of a bomb of 1 GB, in bounded memory and without keeping the event loop", async () => {
  for (
    const [encoding, compressor] of [["gzip", createGzip()], ["br", createBrotliCompress(fast())], [
      "zstd",
      createZstdCompress(),
    ]] as const
  ) {
    const bomb = await gigabyte(compressor);
    await assertAtMost(2_000, () => setOff(bomb, encoding));
  }
});

/** Milliseconds until the decoder has given up. */
async function setOff(bomb: Uint8Array, encoding: string): Promise<number> {
  let bytes = 0;
  let largest = 0;
  let most = 0;
  const buffers = Deno.memoryUsage().external;
  const decoder = decoderOf(encoding, {
    maxBytes: 32e6,
    onChunk: (chunk) => {
      bytes += chunk.length;
      largest = Math.max(largest, chunk.length);
      most = Math.max(most, Deno.memoryUsage().external - buffers);
    },
  })!;
  let turns = 0;
  const ticking = setInterval(() => turns++, 0);
  const startedAt = performance.now();
  for (let from = 0; from < bomb.length; from += 65_536) void decoder.push(bomb.subarray(from, from + 65_536));
  await decoder.end();
  clearInterval(ticking);
  assert.ok(decoder.isBlind, encoding);
  assert.ok(bytes > 31e6 && bytes <= 32e6, `${encoding}: ${bytes} bytes came out`);
  assert.ok(largest <= 65_536, encoding);
  assert.ok(most < 100e6, `${encoding}: buffers of ${most} bytes at once`);
  assert.ok(turns >= 5, `${encoding}: other events had ${turns} turns`);
  return performance.now() - startedAt;
}

Deno.test("CopyDecoder refuses a zstd window over 8 MiB, which would take that much memory", async () => {
  for (const [windowLog, isBlind] of [[23, false], [24, true]] as const) {
    const compressor = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: windowLog } });
    const out: Uint8Array[] = [];
    compressor.on("data", (chunk: Uint8Array) => out.push(chunk));
    const ended = new Promise((resolve) => compressor.once("end", resolve));
    await new Promise((resolve) => compressor.write("short", resolve));
    compressor.end();
    await ended;
    assert.deepEqual(await decode("zstd", out), { text: isBlind ? "" : "short", isBlind });
  }
});

Deno.test("CopyDecoder.close() frees: decoders that were given up take no memory", async () => {
  const body = gzipSync(TEXT);
  await assertFrees(10e6, async () => {
    for (let i = 0; i < 1_500; i++) {
      const decoder = decoderOf("gzip", { maxBytes: 1e6, onChunk: () => {} })!;
      await decoder.push(body.subarray(0, -9));
      decoder.close();
      assert.ok(!decoder.isBlind);
    }
  });
});

function fast() {
  return { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };
}

async function gigabyte(compressor: ReturnType<typeof createGzip>): Promise<Uint8Array> {
  const out: Uint8Array[] = [];
  compressor.on("data", (chunk: Uint8Array) => out.push(chunk));
  const ended = new Promise((resolve) => compressor.once("end", resolve));
  const zeros = new Uint8Array(1 << 24);
  for (let i = 0; i < 64; i++) await new Promise((resolve) => compressor.write(zeros, resolve));
  compressor.end();
  await ended;
  return Buffer.concat(out);
}
