import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { scan, scanInPieces, scanTopLevel, valueOf } from "../../tests/json_oracle.ts";
import { TopLevelScanner } from "./json_scan.ts";

const encoder = new TextEncoder();

Deno.test("scanTopLevel() compares keys as they read, not as they are written", () => {
  assert.equal(valueOf('{"\\u006dodel":1}', "model"), 1);
  assert.equal(valueOf('{"\\u006D\\u006F\\u0064\\u0065\\u006c":1}', "model"), 1);
  assert.equal(valueOf('{"\\u00e9":1,"é":2}', "é"), 2);
  assert.equal(valueOf('{"\\ud83d\\ude00":1}', "\u{1f600}"), 1);
  assert.equal(valueOf('{"abc\\"\\n":1}', 'abc"\n'), 1);
  const every = '\b\f\n\r\t/"\\';
  assert.deepEqual(
    scanTopLevel(encoder.encode('{"\\b\\f\\n\\r\\t\\/\\"\\\\":1}'), [every], { maxValueBytes: 9 }).found.get(every)?.value,
    1,
  );
  for (const key of ["é", "\ufffd", "\u{1f600}"]) {
    assert.equal(scanTopLevel(encoder.encode(`{"${key}":1}`), [key], { maxValueBytes: 9 }).found.get(key)?.value, 1);
  }
  assert.equal(scan('{"modelx":1,"mode":2,"\\u006eodel":3,"model\\u0000":4}').found.size, 0);
});

Deno.test("scanTopLevel() treats __proto__ as a key like others", () => {
  assert.deepEqual(valueOf('{"__proto__":{"model":1}}', "__proto__"), { model: 1 });
  assert.ok(!scan('{"__proto__":{"model":1}}').found.has("model"));
  assert.equal(Object.getPrototypeOf(valueOf('{"model":{"__proto__":[]}}', "model")), Object.prototype);
});

Deno.test("TopLevelScanner is not mistaken by keys and values that are very long", () => {
  const long = "x".repeat(300_000);
  const text = `{"${long}":1,"model":"${long}","model${long}":2,"${"\\u006d".repeat(50_000)}":3,"stream":false}`;
  for (const sizes of [7_777, 65_536, 1e9]) {
    const { isValid, found } = scanInPieces(encoder.encode(text), { sizes: () => sizes, maxValueBytes: 99 });
    assert.ok(isValid);
    assert.deepEqual([...found].map(([key, { value }]) => [key, value]), [["model", undefined], ["stream", false]]);
  }
});

Deno.test("scanTopLevel() takes the last of duplicate keys, even one longer than maxValueBytes", () => {
  assert.equal(valueOf('{"model":"a","model":"b"}', "model"), "b");
  const { found } = scanTopLevel(encoder.encode('{"model":"a","model":"0123456789"}'), ["model"], { maxValueBytes: 4 });
  assert.deepEqual(found.get("model"), { start: 21, end: 33, value: undefined });
});

Deno.test("scanTopLevel() keeps lone surrogates that are written as escapes", () => {
  assert.equal(valueOf('{"model":"\\ud800x\\udc00"}', "model"), "\ud800x\udc00");
});

Deno.test("TopLevelScanner copies even a Buffer, whose slice() shares its memory", () => {
  const scanner = new TopLevelScanner(["model"], { maxValueBytes: 99 });
  const chunk = Buffer.from('{"model":"m"}');
  scanner.push(chunk);
  chunk.fill(0);
  assert.equal(scanner.end().found.get("model")?.value, "m");
});

Deno.test("TopLevelScanner finds offsets without a value from the first byte over maxValueBytes", () => {
  const text = `{"model":"${"x".repeat(30)}"  }`;
  for (const sizes of [1, 7, 99]) {
    const at = (maxValueBytes: number) =>
      scanInPieces(encoder.encode(text), { sizes: () => sizes, maxValueBytes }).found.get("model");
    assert.deepEqual(at(32), { start: 9, end: 41, value: "x".repeat(30) });
    assert.deepEqual(at(31), { start: 9, end: 41, value: undefined });
  }
});

Deno.test("TopLevelScanner keeps no more than maxValueBytes of a long value, and nothing of a long key", () => {
  for (const start of ['{"model":"', '{"', '{"x":"']) {
    const scanner = new TopLevelScanner(["model"], { maxValueBytes: 99 });
    const chunk = new Uint8Array(65_536).fill(0x61);
    scanner.push(encoder.encode(start));
    const before = Deno.memoryUsage().external;
    for (let i = 0; i < 500; i++) scanner.push(chunk);
    assert.ok(Deno.memoryUsage().external - before < 1e6, start);
  }
});

const SPOTTED = "file_id";

function isSpotted(document: Uint8Array, cut = document.length): boolean {
  const scanner = new TopLevelScanner(["model"], { maxValueBytes: 99, spotted: ["conversation", SPOTTED] });
  scanner.push(document.slice(0, cut));
  scanner.push(document.slice(cut));
  assert.deepEqual([...scanner.end().found.keys()], ["model"]);
  return scanner.hasSpotted;
}

Deno.test("TopLevelScanner spots a key at every depth, in every spelling, cut anywhere, also beside broken UTF-8", () => {
  const escaped = [...SPOTTED].map((letter, at) => `${SPOTTED.slice(0, at)}\\u00${hex(letter)}${SPOTTED.slice(at + 1)}`);
  const all = [...SPOTTED].map((letter) => `\\u00${hex(letter).toUpperCase()}`).join("");
  for (const spelling of [SPOTTED, ...escaped, all]) {
    for (
      const place of [
        `"${spelling}":1`,
        `"a":{"${spelling}":1}`,
        `"a":[{"content":2,"${spelling}" :[]}]`,
        `"a":[[{"${spelling}":{}}]]`,
      ]
    ) {
      const document = encoder.encode(`{"xx":"xx","model":"m",${place}}`);
      for (let cut = 0; cut <= document.length; cut++) assert.ok(isSpotted(document, cut), `${place} cut at ${cut}`);
      document[2] = 0xc3;
      assert.ok(isSpotted(document), `${place} behind half a character`);
    }
  }
});

Deno.test("TopLevelScanner spots no key in what only looks like it", () => {
  const none = [
    `"a":"file_id"`,
    `"a":["file_id"]`,
    `"file":{"_id":1}`,
    `"a":{"content":1,"file_ie":2,"file_i":3,"file_ids":4,"FILE_ID":5}`,
    String.raw`"a":"\u00e9 \u2028 \n","\u00e9":{"\n\u0066ile_i":1}`,
    String.raw`"a":"\"file_id\":\"x\"","\"file_id\":":{}`,
    `"a":"${"x".repeat(600_000)}"`,
  ];
  for (const member of none) assert.equal(isSpotted(encoder.encode(`{"model":"m",${member}}`)), false, member.slice(0, 80));
});

Deno.test("TopLevelScanner finds the value of a wanted key that is spotted too", () => {
  const scanner = new TopLevelScanner(["model", SPOTTED, "stream"], { maxValueBytes: 99, spotted: ["other", SPOTTED] });
  scanner.push(encoder.encode(`{"model":"m","file_id":"f","stream":true}`));
  assert.deepEqual([...scanner.end().found].map(([key, { value }]) => [key, value]), [
    ["model", "m"],
    [SPOTTED, "f"],
    ["stream", true],
  ]);
  assert.equal(scanner.hasSpotted, true);
});

function hex(letter: string): string {
  return letter.charCodeAt(0).toString(16);
}
