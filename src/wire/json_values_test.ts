import assert from "node:assert/strict";
import { jsonDocuments, seeded } from "../../tests/json_documents.ts";
import { JsonValues, MAX_WHOLE_BYTES } from "./json_values.ts";

const KEYS = ["model", "stream", "messages", "", "__proto__", "é"];
const encoder = new TextEncoder();

/** In pieces that are written over after each push. */
function valuesOf(bytes: Uint8Array, pieceBytes: number): Readonly<Record<string, unknown>> | null {
  const values = new JsonValues(KEYS, { maxValueBytes: 1e6 });
  for (let from = 0; from < bytes.length; from += pieceBytes) {
    const piece = bytes.slice(from, from + pieceBytes);
    values.push(piece);
    piece.fill(0x58);
  }
  return values.end();
}

Deno.test("JsonValues finds the same in a document that it parses whole as in one so long that it scans it", () => {
  const random = seeded(20261128);
  const make = jsonDocuments((n) => Math.floor(random() * n));
  const space = new Uint8Array(MAX_WHOLE_BYTES).fill(0x20);
  let valid = 0;
  for (let round = 0; round < 3_000; round++) {
    const bytes = make();
    const pieceBytes = 1 + Math.floor(random() * 100);
    const whole = valuesOf(bytes, pieceBytes);
    const long = new Uint8Array(bytes.length + space.length + 1);
    long.set(bytes);
    long.set(space, bytes.length);
    long[long.length - 1] = 0x20;
    assert.deepEqual(valuesOf(long, 60_000), whole, JSON.stringify(new TextDecoder().decode(bytes)));
    if (whole !== null) valid++;
  }
  assert.ok(valid > 500 && valid < 2_500, `${valid} are valid: the inputs do not try both sides`);
});

Deno.test("JsonValues tells a document that is cut, is no object or begins with a byte order mark", () => {
  assert.deepEqual(valuesOf(encoder.encode('\ufeff{"model":"ü","other":1}'), 3), { model: "ü" });
  for (const cut of ["", "{", '{"model":1', '{"model":1}}']) assert.equal(valuesOf(encoder.encode(cut), 100), null, cut);
  for (const other of ["[1]", "7", "null", '"model"']) assert.deepEqual(valuesOf(encoder.encode(other), 100), {}, other);
});

Deno.test("JsonValues finds the keys at the bound between the two ways", () => {
  for (const length of [MAX_WHOLE_BYTES - 1, MAX_WHOLE_BYTES, MAX_WHOLE_BYTES + 1]) {
    const start = '{"model":"m","text":"';
    const text = `${start}${"x".repeat(length - start.length - 2)}"}`;
    for (const pieceBytes of [1_000, length]) assert.deepEqual(valuesOf(encoder.encode(text), pieceBytes), { model: "m" });
  }
});
