import assert from "node:assert/strict";
import { scan, scanInPieces, valueOf } from "../../tests/json_oracle.ts";
import { scanTopLevel } from "./json_scan.ts";

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
