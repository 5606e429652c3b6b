import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { scanInPieces, valueOf } from "../../tests/json_oracle.ts";
import { scanTopLevel, TopLevelScanner } from "./json_scan.ts";

const encoder = new TextEncoder();

Deno.test("scanTopLevel() takes the last of duplicate keys, also where that is longer than maxValueBytes", () => {
  assert.equal(valueOf('{"model":"a","model":"b"}', "model"), "b");
  const { found } = scanTopLevel(encoder.encode('{"model":"a","model":"0123456789"}'), ["model"], { maxValueBytes: 4 });
  assert.deepEqual(found.get("model"), { start: 21, end: 33, value: undefined });
});

Deno.test("scanTopLevel() keeps lone surrogates that are written as escapes", () => {
  assert.equal(valueOf('{"model":"\\ud800x\\udc00"}', "model"), "\ud800x\udc00");
});

Deno.test("TopLevelScanner keeps copies also of a Buffer, whose slice() shares its memory", () => {
  const scanner = new TopLevelScanner(["model"], { maxValueBytes: 99 });
  const chunk = Buffer.from('{"model":"m"}');
  scanner.push(chunk);
  chunk.fill(0);
  assert.equal(scanner.end().found.get("model")?.value, "m");
});

Deno.test("TopLevelScanner gives offsets without a value from the first byte over maxValueBytes", () => {
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
