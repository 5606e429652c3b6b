import assert from "node:assert/strict";
import { assertAtMost } from "../../tests/best_attempt.ts";
import { seeded } from "../../tests/json_documents.ts";
import { TopLevelScanner } from "./json_scan.ts";
import { StringsOfKey } from "./strings_of_key.ts";

const encoder = new TextEncoder();
const KEY = "file_id";

Deno.test("StringsOfKey finds what JSON.parse would, however it is nested, spelled, spaced and cut", () => {
  const random = seeded(20261124);
  const below = (n: number) => Math.floor(random() * n);
  let found = 0;
  for (let n = 0; n < 20_000; n++) {
    const document = documentOf(below);
    const oracle: string[] = [];
    JSON.parse(document, (key, value) => {
      if (key === KEY && typeof value === "string") oracle.push(value);
      return value;
    });
    const bytes = encoder.encode(document);
    if (oracle.length > 0) assert.ok(isSpotted(bytes), document);
    const whole = stringsOf(bytes, () => bytes.length);
    const cut = stringsOf(bytes, () => 1 + below(below(2) === 0 ? 3 : 60));
    assert.deepEqual(cut, whole, document);
    assert.deepEqual([...new Set(whole)].sort(), [...new Set(oracle)].sort(), document);
    found += oracle.length;
  }
  assert.ok(found > 5_000, `only ${found} values were looked for`);
});

Deno.test("StringsOfKey takes the key for no other and no text for the key", () => {
  const none = [
    String.raw`{"a":"\"file_id\":\"x\""}`,
    String.raw`{"a":"\\\"file_id\":\"x"}`,
    `{"file_id":1,"file_ids":"x","xfile_id":"x","FILE_ID":"x"}`,
    `{"file_id":{"a":"x"}}`,
    `["file_id","x"]`,
    `{"a":"file_id","b":"x"}`,
    String.raw`{"\"file_id":"x"}`,
  ];
  for (const document of none) assert.deepEqual(stringsOf(encoder.encode(document), () => 1), [], document);
  assert.deepEqual(stringsOf(encoder.encode(String.raw`{"a":"\\","file_id":"x"}`), () => 1), ["x"]);
});

Deno.test("StringsOfKey sees the key and the value behind any escapes, spaces, duplicates and chunk ends", () => {
  const spelled = [
    String.raw`{"\u0066\u0069\u006c\u0065\u005f\u0069\u0064":"x"}`,
    String.raw`{"\u0066\u0069\u006C\u0065\u005F\u0069\u0064":"\u0078"}`,
    `{"file_id"${" ".repeat(5_000)}:${"\n".repeat(5_000)}"x"}`,
    `{"file_id":"x","file_id":1}`,
    `{"a":"${"\\\\".repeat(5_000)}","file_id":"x"}`,
    `{"a":NaN,/* no JSON */"file_id":"x"}`,
  ];
  for (const document of spelled) {
    for (const size of [1, 7, 64, 100_000]) assert.deepEqual(stringsOf(encoder.encode(document), () => size), ["x"], document);
  }
});

Deno.test("StringsOfKey says that it sees nothing of UTF-16 and UTF-32", () => {
  for (const bytes of [[0xff, 0xfe, 0x7b], [0xfe, 0xff, 0x00], [0x7b, 0, 0x22, 0], [0, 0x7b], [0, 0, 0, 0x7b]]) {
    const strings = new StringsOfKey(KEY, { maxValueBytes: 100 });
    for (const byte of bytes) strings.push(Uint8Array.of(byte));
    assert.equal(strings.isHidden, true, String(bytes));
  }
  const strings = new StringsOfKey(KEY, { maxValueBytes: 100 });
  strings.push(encoder.encode('\ufeff{"a":"\0"}'));
  assert.equal(strings.isHidden, false);
});

Deno.test("StringsOfKey keeps no more of a value than maxValueBytes, and goes on after it", () => {
  const strings = new StringsOfKey(KEY, { maxValueBytes: 10 });
  for (let n = 0; n < 100; n++) strings.push(encoder.encode(n === 0 ? `{"file_id":"` : "y".repeat(1_000)));
  strings.push(encoder.encode(`","file_id":"x"}`));
  assert.deepEqual(strings.take(), ["y".repeat(10), "x"]);
  assert.deepEqual(strings.take(), []);
});

Deno.test("StringsOfKey returns each spelling once, and tells if there are too many", () => {
  const of = (count: number, spell: (n: number) => string) => {
    const strings = new StringsOfKey(KEY, { maxValueBytes: 100 });
    strings.push(encoder.encode(`[${Array.from({ length: count }, (_, n) => `{"file_id":"${spell(n)}"}`).join()}]`));
    return strings;
  };
  const few = of(100_000, (n) => n % 2 === 0 ? "x" : "\\u0078");
  assert.deepEqual([few.take(), few.isHidden], [["x", "x"], false]);
  const many = of(20_001, (n) => `f${n}`);
  assert.deepEqual([many.take().length, many.isHidden], [20_001, true]);
});

Deno.test("StringsOfKey looks through a chunk once, however often the key stands in it spelled with an escape", async () => {
  const body = encoder.encode(String.raw`{"\u0066ile_id":"f"},`.repeat(50_000));
  await assertAtMost(1_000, () => {
    const startedAt = performance.now();
    const strings = new StringsOfKey(KEY, { maxValueBytes: 100 });
    strings.push(body);
    assert.deepEqual(strings.take(), ["f"]);
    return performance.now() - startedAt;
  });
});

/** What the scanner before this one says: whether there is a key to look for. */
function isSpotted(document: Uint8Array): boolean {
  const scanner = new TopLevelScanner([], { maxValueBytes: 0, spotted: KEY });
  scanner.push(document);
  return scanner.hasSpotted;
}

function stringsOf(bytes: Uint8Array, size: () => number): readonly string[] {
  const strings = new StringsOfKey(KEY, { maxValueBytes: 1_000 });
  const found: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + size();
    strings.push(bytes.subarray(at, end));
    found.push(...strings.take());
    at = end;
  }
  return found;
}

function documentOf(below: (n: number) => number): string {
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const space = () => pick(["", "", " ", "\n\t  "]);
  const escaped = (text: string) =>
    [...text].map((letter) => below(3) > 0 ? letter : `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  const characters = ["a", "\\\\", '\\"', "\\u0022", "é", "file_id", '\\"file_id\\":\\"x\\"', "\\\\\\\\", ":", "{", "\\n"];
  const text = () => `"${Array.from({ length: below(5) }, () => pick(characters)).join("")}"`;
  const value = (depth: number): string => {
    const kind = below(depth > 0 ? 6 : 3);
    if (kind === 0) return text();
    if (kind === 1) return pick(["1", "true", "null", "-0.5e3"]);
    if (kind === 2) return `"V${below(1_000)}${pick(["", "", "é", "\\u00e9", '\\"', "\\\\"])}"`;
    const parts = Array.from({ length: below(4) }, (_, n) => kind === 3 ? value(depth - 1) : member(depth - 1, n));
    return kind === 3 ? `[${parts.join(`${space()},`)}]` : `{${parts.join(`,${space()}`)}}`;
  };
  /** Only the first of an object may have the key: of duplicates JSON.parse would keep the last. */
  const member = (depth: number, n: number) => {
    const isWanted = n === 0 && below(2) === 0;
    const key = isWanted ? `"${below(2) === 0 ? KEY : escaped(KEY)}"` : text().replace(/"$/, `${n}"`);
    return `${space()}${key}${space()}:${space()}${value(depth)}`;
  };
  return `{${Array.from({ length: 1 + below(4) }, (_, n) => member(3, n)).join(",")}}`;
}
