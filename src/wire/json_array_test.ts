import assert from "node:assert/strict";
import { JsonArrayReader } from "./json_array.ts";

const encoder = new TextEncoder();

/** The elements of each push. */
function read(pieces: readonly (string | Uint8Array)[], maxElementBytes = 1e6) {
  let elements: string[] = [];
  const reader = new JsonArrayReader({ maxElementBytes, onElement: (text) => elements.push(text) });
  const pushes = pieces.map((piece) => {
    elements = [];
    reader.push(typeof piece === "string" ? encoder.encode(piece) : piece);
    return elements;
  });
  elements = [];
  reader.end();
  assert.deepEqual(elements, [], "end() reported an element");
  return { pushes, isBlind: reader.isBlind, isWhole: reader.isWhole };
}

function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces = [];
  for (let from = 0; from < bytes.length; from += size) pieces.push(bytes.subarray(from, from + size));
  return pieces;
}

const ARRAYS: readonly string[] = [
  "[]",
  " [ ] \n",
  "\ufeff[1]",
  '[{"a":1}\n,\r\n{"b":[{"c":"]}"},[]]}\n]\n',
  '[1, -2.5e3 ,true,null , "a", false]',
  '["", "\\"", "\\\\", "\\\\\\"]", "[,{"]',
  '[{"text":"schön 🎉 漢字"},{"\\u005d":"\\ud83c\\udf89"}]',
  "[[[[]]],[{},{}]]",
  '[{\n  "candidates": [\n    {"content": {"parts": [{"text": "a \\"b\\" [c] {d}"}]}}\n  ]\n}\n]',
];

Deno.test("JsonArrayReader reads what JSON.parse finds in an array, whole and cut anywhere", () => {
  for (const array of ARRAYS) {
    const bytes = encoder.encode(array);
    const expected = JSON.parse(array.replace("\ufeff", ""));
    for (let size = 1; size <= bytes.length; size++) {
      const { pushes, isWhole, isBlind } = read(cut(bytes, size));
      assert.deepEqual(pushes.flat().map((text) => JSON.parse(text)), expected, `${array} cut at ${size}`);
      assert.equal(isWhole, true, `${array} cut at ${size}`);
      assert.equal(isBlind, false);
    }
  }
});

Deno.test("JsonArrayReader reads random arrays with strings full of quotes and backslashes as JSON.parse does", () => {
  let seed = 42;
  const random = (below: number) => (seed = seed * 1103515245 + 12345 & 0x7fffffff) % below;
  const text = () => Array.from({ length: random(6) }, () => ['"', "\\", "]", "}", ",", "é", "x"][random(7)]).join("");
  const value = (depth: number): unknown =>
    depth > 3 || random(3) === 0
      ? [text(), random(99), null, true][random(4)]
      : random(2) === 0
      ? Array.from({ length: random(4) }, () => value(depth + 1))
      : Object.fromEntries(Array.from({ length: random(4) }, () => [text(), value(depth + 1)]));
  for (let round = 0; round < 300; round++) {
    const array = Array.from({ length: random(5) }, () => value(0));
    const bytes = encoder.encode(JSON.stringify(array, null, random(3)));
    const { pushes, isWhole } = read(cut(bytes, 1 + random(5)));
    assert.deepEqual(pushes.flat().map((element) => JSON.parse(element)), array);
    assert.equal(isWhole, true);
  }
});

Deno.test("JsonArrayReader reports an element within the push that completes it", () => {
  assert.deepEqual(read(['[{"a"', ":1}", ',{"b":2', "}]"]).pushes, [[], ['{"a":1}'], [], ['{"b":2}']]);
  assert.deepEqual(read(['["a', '"', ",1", "2", "]"]).pushes, [[], ['"a"'], [], [], ["12"]]);
});

Deno.test("JsonArrayReader keeps no view of a chunk: its caller may use the buffer again", () => {
  const elements: string[] = [];
  const reader = new JsonArrayReader({ maxElementBytes: 100, onElement: (text) => elements.push(text) });
  const chunk = encoder.encode('[{"a":');
  reader.push(chunk);
  chunk.fill(0x58);
  reader.push(encoder.encode("1}]"));
  assert.deepEqual(elements, ['{"a":1}']);
});

Deno.test("JsonArrayReader goes blind at an element of more than maxElementBytes, and takes one of just as many", () => {
  const just = '{"a":"345678"}';
  for (const size of [1, 3, 100]) {
    assert.deepEqual(read(cut(encoder.encode(`[${just}]`), size), just.length).pushes.flat(), [just]);
    const { pushes, isBlind, isWhole } = read(cut(encoder.encode(`[1,${just},2]`), size), just.length - 1);
    assert.deepEqual(pushes.flat(), ["1"]);
    assert.deepEqual([isBlind, isWhole], [true, false]);
  }
});

Deno.test("JsonArrayReader is not whole if the array is cut, no array, or followed by more", () => {
  for (
    const text of [
      "",
      "[",
      "[1",
      '[{"a":1}',
      '[{"a":1},',
      '["a',
      "{}",
      "1",
      "[1]]",
      "[1] x",
      "[1],",
      "[,]",
      "[1,]",
      "[1 2]",
      "[}",
    ]
  ) {
    for (const size of [1, 100]) assert.equal(read(cut(encoder.encode(text), size)).isWhole, false, text);
  }
});

Deno.test("JsonArrayReader reports nothing more once the array is not well formed", () => {
  assert.deepEqual(read(["[1 2,3,4]"]).pushes, [["1"]]);
  assert.deepEqual(read(["[1]", "[2]"]).pushes, [["1"], []]);
});

Deno.test("JsonArrayReader takes any bytes without an error", () => {
  let seed = 7;
  const random = (below: number) => (seed = seed * 1103515245 + 12345 & 0x7fffffff) % below;
  const bytes = encoder.encode('[]{}",\\1 \xffa:');
  for (let round = 0; round < 2000; round++) {
    read([Uint8Array.from({ length: 1 + random(20) }, () => bytes[random(bytes.length)]!)], 8);
  }
});
