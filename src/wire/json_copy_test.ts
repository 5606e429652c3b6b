import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { JsonCopy } from "./json_copy.ts";

const encoder = new TextEncoder();
const TEXT = '{"type":"file","id":"file_011","name":"ü"}';

async function copied(
  bytes: Uint8Array,
  { chunkBytes = 1, headers = {}, maxDecodedBytes = 1_000 }: {
    readonly chunkBytes?: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly maxDecodedBytes?: number;
  } = {},
) {
  const copy = new JsonCopy(new Headers(headers), { keys: ["id", "type"], maxValueBytes: 100, maxDecodedBytes });
  for (let at = 0; at < bytes.length; at += chunkBytes) copy.push(bytes.subarray(at, at + chunkBytes));
  const { values, isCut } = await copy.end();
  return { values: Object.fromEntries(values), isCut };
}

Deno.test("JsonCopy reads the values of a passing answer, in every chunking and compression", async () => {
  const whole = { values: { id: "file_011", type: "file" }, isCut: false };
  for (const text of [TEXT, `\ufeff\n ${TEXT}`]) {
    for (const chunkBytes of [1, 3, 1_000]) {
      assert.deepEqual(await copied(encoder.encode(text), { chunkBytes }), whole);
      const zipped = new Uint8Array(gzipSync(text));
      assert.deepEqual(await copied(zipped, { chunkBytes, headers: { "content-encoding": "gzip" } }), whole);
    }
  }
});

Deno.test("JsonCopy calls an answer cut if it begins as JSON and is not whole, at every cut", async () => {
  const bytes = encoder.encode(TEXT);
  for (let length = 1; length < bytes.length; length++) {
    assert.deepEqual(await copied(bytes.subarray(0, length)), { values: {}, isCut: true }, String(length));
  }
});

Deno.test("JsonCopy calls nothing cut that is no JSON, is empty or cannot be decoded", async () => {
  for (const text of ["", " \n", "<html>{", "data: {", "[1", "OK"]) {
    assert.deepEqual(await copied(encoder.encode(text), { headers: { "content-type": "application/json" } }), {
      values: {},
      isCut: false,
    }, text);
  }
  const cut = encoder.encode(TEXT.slice(0, -1));
  assert.equal((await copied(cut, { headers: { "content-encoding": "rot13" } })).isCut, false);
  assert.equal((await copied(cut, { headers: { "content-encoding": "gzip" } })).isCut, false);
  assert.equal((await copied(cut, { maxDecodedBytes: 10 })).isCut, false);
});
