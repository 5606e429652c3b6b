import assert from "node:assert/strict";
import { seeded } from "../../tests/json_documents.ts";
import { LineSplitter } from "./line_splitter.ts";

const encoder = new TextEncoder();

Deno.test("LineSplitter finds each line that is not empty, at every cut of the bytes", () => {
  const random = seeded(7);
  const lines = Array.from({ length: 200 }, (_, n) => `line ${n} \u00e9\u{1f600} ${"x".repeat(1 + Math.floor(random() * 50))}`);
  const text = lines.map((line, n) => n % 5 === 0 ? `${line}\r\n\n` : `${line}\n`).join("").trimEnd();
  const bytes = encoder.encode(text);
  for (const most of [1, 2, 7, 64, bytes.length]) {
    const found: (string | null)[] = [];
    const reader = new LineSplitter({ maxBytes: 1_000, onLine: (line) => void found.push(line) });
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + Math.floor(random() * most);
      const chunk = bytes.slice(at, end);
      reader.push(chunk);
      chunk.fill(0);
      at = end;
    }
    reader.end();
    assert.deepEqual(found, lines);
  }
});

Deno.test("LineSplitter says of a line that is too long only that it was there, and keeps nothing of it", () => {
  const found: (string | null)[] = [];
  const reader = new LineSplitter({ maxBytes: 10, onLine: (line) => void found.push(line) });
  for (const text of ["short\n", "0123456", "789", "\n", "too long for it", " and on\nlast"]) reader.push(encoder.encode(text));
  reader.end();
  assert.deepEqual(found, ["short", "0123456789", null, "last"]);
});
