import assert from "node:assert/strict";
import { latin1 } from "../../tests/json_documents.ts";
import { agree, scan, scanTopLevel, WANTED } from "../../tests/json_oracle.ts";
import { TopLevelScanner } from "./json_scan.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

Deno.test("scanTopLevel() finds each wanted key's value and the absolute range of its bytes", () => {
  const text =
    ' {"other":{"model":"no"},"model" : "m\\u00e9" , "stream":true,"max_tokens":-1.5e3\n,"messages":[{"model":[]},1]} ';
  const { isValid, found } = scan(text);
  assert.ok(isValid);
  const bytes = encoder.encode(text);
  const rawOf = (key: string) => decoder.decode(bytes.subarray(found.get(key)!.start, found.get(key)!.end));
  assert.deepEqual([...found.keys()], ["model", "stream", "max_tokens", "messages"]);
  assert.deepEqual([...found.values()].map(({ value }) => value), ["mé", true, -1500, [{ model: [] }, 1]]);
  assert.deepEqual([...found.keys()].map(rawOf), ['"m\\u00e9"', "true", "-1.5e3", '[{"model":[]},1]']);
});

Deno.test("scanTopLevel() finds nothing in documents that are no object", () => {
  for (const text of ["1", '"model"', "null", "true", '["model",{"model":1}]', " [] ", "-0", "1e5", "0.5"]) {
    assert.deepEqual(scan(text), { isValid: true, found: new Map() }, text);
  }
});

Deno.test("scanTopLevel() takes one byte order mark at the start, and counts its bytes", () => {
  const { isValid, found } = scan('\ufeff{"model":"\ufeff"}');
  assert.ok(isValid);
  assert.deepEqual(found.get("model"), { start: 12, end: 17, value: "\ufeff" });
  for (const cut of ["\xef", "\xef\xbb", "\xef\xbb{}", "\xef\xbf\xbb1", "\xbb\xbf1", "\xef\xbb\xbe1"]) {
    assert.ok(!scanTopLevel(latin1(cut), WANTED, { maxValueBytes: 9 }).isValid, JSON.stringify(cut));
  }
});

Deno.test("scanTopLevel() accepts bytes that are not UTF-8 only within strings, as U+FFFD", () => {
  const options = { sizes: () => 1, maxValueBytes: 99 };
  for (const bad of ["\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf0\x9f\x98", "\xc0\xaf", "\x80", "\xf8\x88\x80\x80\x80"]) {
    assert.ok(agree(latin1(`{"model":"a${bad}","stream":"${bad}b","${bad}":"${bad}${bad}"}`), options), JSON.stringify(bad));
    assert.ok(!agree(latin1(`{"model"${bad}:1}`), options));
    assert.ok(!agree(latin1(`{"model":${bad}1}`), options));
    assert.ok(!agree(latin1(`[]${bad}`), options));
  }
});

Deno.test("TopLevelScanner finds the same however the document is cut in two", () => {
  const text =
    '\ufeff {"\\u006d\\u006fdel":"a\\"\\u00e9é\u{1f600}\\\\","max_tokens" : -12.5e+3 ,"x":[null,{"y":false}],"messages":[{}],"stream":true} ';
  const bytes = encoder.encode(text);
  const whole = scanTopLevel(bytes, WANTED, { maxValueBytes: 99 });
  assert.equal(whole.found.size, 4);
  for (let at = 0; at <= bytes.length; at++) {
    const scanner = new TopLevelScanner(WANTED, { maxValueBytes: 99 });
    scanner.push(bytes.slice(0, at));
    scanner.push(bytes.slice(at));
    assert.deepEqual(scanner.end(), whole, `cut at ${at}`);
  }
});

Deno.test("TopLevelScanner follows nesting of any depth, and tells brackets that do not match", () => {
  const options = { sizes: () => 65_536, maxValueBytes: 99 };
  for (const depth of [31, 32, 33, 511, 512, 513, 100_000]) {
    const opening = Array.from({ length: depth }, (_, level) => level % 3 === 0 ? "[" : '{"a":').join("");
    const closing = Array.from({ length: depth }, (_, level) => (depth - 1 - level) % 3 === 0 ? "]" : "}").join("");
    assert.ok(
      agree(encoder.encode(`{"x":${opening}1${closing},"model":"found"}`), { ...options, maxValueBytes: 20 }),
      `${depth}`,
    );
    const swapped = closing.slice(0, -2) + closing.at(-1) + closing.at(-2);
    assert.ok(!scan(`${opening}1${swapped}`).isValid, `${depth}`);
    assert.ok(!scan(`${opening}1${closing}]`).isValid);
    assert.ok(!scan(`${opening}1${closing.slice(1)}`).isValid);
  }
});

Deno.test("TopLevelScanner keeps about a bit for each of ten million levels", () => {
  const scanner = new TopLevelScanner(["model"], { maxValueBytes: 99 });
  const [opening, closing] = [new Uint8Array(65_536).fill(0x5b), new Uint8Array(65_536).fill(0x5d)];
  const before = Deno.memoryUsage();
  for (let i = 0; i < 160; i++) scanner.push(opening);
  const after = Deno.memoryUsage();
  assert.ok(after.heapUsed + after.external - before.heapUsed - before.external < 6e6);
  for (let i = 0; i < 160; i++) scanner.push(closing);
  assert.ok(scanner.end().isValid);
});

Deno.test("TopLevelScanner pushes 64 KB of a 10 MB conversation within 15 ms, and of 32 MB of tiny objects within 60 ms", () => {
  const text = JSON.stringify('A longer text, "quoted" here and there,\n\twith escapes and caf\u00e9s; '.repeat(40));
  const bodies = [
    { repeat: `{"role":"user","content":[{"type":"text","text":${text}}]},`, length: 10e6, limitMs: 15 },
    { repeat: '{"a":1},', length: 32e6, limitMs: 60 },
  ];
  for (const { repeat, length, limitMs } of bodies) {
    const body = encoder.encode(`{"model":"m","messages":[${repeat.repeat(length / repeat.length)}{}],"stream":true}`);
    const rounds = Array.from({ length: 3 }, () => pushTimes(body));
    // The best of three for each push, because the machine has other things to do.
    const longest = Math.max(...rounds[0]!.map((_, push) => Math.min(...rounds.map((times) => times[push]!))));
    assert.ok(longest <= limitMs, `one push took ${longest} ms`);
  }
});

function pushTimes(body: Uint8Array): number[] {
  const scanner = new TopLevelScanner(WANTED, { maxValueBytes: 4096 });
  const times: number[] = [];
  for (let from = 0; from < body.length; from += 65_536) {
    const startedAt = performance.now();
    scanner.push(body.subarray(from, from + 65_536));
    times.push(performance.now() - startedAt);
  }
  const { found } = scanner.end();
  assert.ok(found.get("stream")?.value === true && found.get("messages")!.end === body.length - 15);
  return times;
}
