import assert from "node:assert/strict";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { codingOf } from "./answer_coding.ts";

const TEXTS = ['{"type":"message"}', "event: message_start\ndata: {}\n\n", ": a comment\n", "data: x\n\n"];

Deno.test("codingOf() recognises plain JSON and events under any label", () => {
  for (const text of TEXTS) {
    for (
      const label of [null, "", "identity", "gzip", "GZIP", "x-gzip", "br", "deflate", "zstd", "utf-8", "none", "aws-chunked"]
    ) {
      assert.equal(codingOf(label, text.charCodeAt(0)), null, `${label}: ${text}`);
    }
  }
});

Deno.test("codingOf() knows gzip by its first byte, and the others by their labels", () => {
  for (const text of TEXTS) {
    const first = (compressed: Uint8Array) => compressed[0]!;
    for (const label of [null, "", "identity", "gzip", "utf-8"]) assert.equal(codingOf(label, first(gzipSync(text))), "gzip");
    assert.equal(codingOf("zstd", first(zstdCompressSync(text))), "zstd");
    assert.equal(codingOf("deflate", first(deflateSync(text))), "deflate");
    assert.equal(codingOf("br", first(brotliCompressSync(text))), "br");
    assert.equal(codingOf("gzip, br", first(brotliCompressSync(text))), "gzip, br");
  }
});
