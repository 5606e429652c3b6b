import assert from "node:assert/strict";
import { assertAtMost } from "../../tests/best_attempt.ts";
import { seeded } from "../../tests/json_documents.ts";
import { TopLevelScanner } from "./json_scan.ts";
import { type StringKeys, StringsOfKeys } from "./strings_of_keys.ts";

const encoder = new TextEncoder();
const KEY = "file_id";
const ONE: StringKeys = { below: [KEY] };
const MANY = {
  below: [KEY, "file_ids", "prompt", "conversation", "previous_response_id", "container"],
  at: ["id", "item"],
  mark: "item_reference",
} satisfies StringKeys;

Deno.test("StringsOfKeys finds what JSON.parse would, whatever is nested below the keys, spelled, spaced and cut", () => {
  const random = seeded(20261124);
  const below = (n: number) => Math.floor(random() * n);
  const seen = { below: 0, at: 0, marks: 0 };
  for (let n = 0; n < 30_000; n++) {
    const keys = [ONE, MANY][n % 2]!;
    const document = documentOf(below);
    const oracle = readByOracle(document, keys);
    const bytes = encoder.encode(document);
    if (oracle.below.size + oracle.at.size > 0) assert.ok(isSpotted(bytes, keys), document);
    const whole = stringsOf(bytes, keys, () => bytes.length);
    const cut = stringsOf(bytes, keys, () => 1 + below(below(2) === 0 ? 3 : 60));
    assert.deepEqual(cut, whole, document);
    assert.deepEqual(sorted(whole), sorted(oracle), document);
    assert.equal(whole.isHidden, false, document);
    seen.below += oracle.below.size;
    seen.at += oracle.at.size;
    if (oracle.hasMark) seen.marks++;
  }
  assert.ok(seen.below > 10_000 && seen.at > 1_000 && seen.marks > 1_000, JSON.stringify(seen));
});

Deno.test("StringsOfKeys finds every string in the array or object below a key, and none of its keys", () => {
  const nested = String
    .raw`{"container":{"type":"auto","file_ids":["f1",["f2"],{"x":"f3","y":{}}] , "n":[1,-2.5e3,true,false,null]},"z":"no"}`;
  for (const size of [1, 2, 7, 1_000]) {
    const { below, at } = stringsOf(encoder.encode(nested), MANY, () => size);
    assert.deepEqual([below, at], [["auto", "f1", "f2", "f3"], []]);
    const after = stringsOf(
      encoder.encode(`{"prompt":[],"id":{"a":"no"},"x":["no"],"container":{},"id":"i1"}`),
      MANY,
      () => size,
    );
    assert.deepEqual([after.below, after.at], [[], ["i1"]]);
  }
});

Deno.test("StringsOfKeys hides a document that only a lenient reader accepts below a key", () => {
  const odd = [
    `{"file_ids":[/* ] */"f"]}`,
    `{"file_ids":[// "\n"f"]}`,
    `{"file_ids":[# "\n"f"]}`,
    `{"file_ids":['"',"f"]}`,
    `{"file_ids":[NaN,"f"]}`,
    `{"file_ids":[}"f"]}`,
    `{"prompt":{]"id":"f"}}`,
  ];
  for (const document of odd) assert.equal(stringsOf(encoder.encode(document), MANY, () => 3).isHidden, true, document);
});

Deno.test("StringsOfKeys sees its mark as a string, a key or a value, however it is spelled and cut", () => {
  const marked = [
    `{"type":"item_reference"}`,
    `["item_reference"]`,
    `{"item_reference":1}`,
    `{"prompt":"item_reference"}`,
    `{"container":["item_reference"]}`,
    `{"id":"item_reference"}`,
    String.raw`{"type":"item\u005freference"}`,
    String.raw`{"a":"\\","type":"\u0069tem_reference"}`,
  ];
  for (const document of marked) {
    for (const size of [1, 5, 1_000]) assert.ok(stringsOf(encoder.encode(document), MANY, () => size).hasMark, document);
  }
  const none = [`{"a":"item_references"}`, `{"a":"an item_reference"}`, String.raw`{"a":"\"item_reference\""}`];
  for (const document of none) assert.ok(!stringsOf(encoder.encode(document), MANY, () => 1).hasMark, document);
});

Deno.test("StringsOfKeys takes the key for no other and no text for the key", () => {
  const none = [
    String.raw`{"a":"\"file_id\":\"x\""}`,
    String.raw`{"a":"\\\"file_id\":\"x"}`,
    `{"file_id":1,"file_ids":"x","xfile_id":"x","FILE_ID":"x"}`,
    `["file_id","x"]`,
    `{"a":"file_id","b":"x"}`,
    String.raw`{"\"file_id":"x"}`,
  ];
  for (const document of none) assert.deepEqual(stringsOf(encoder.encode(document), ONE, () => 1).below, [], document);
  assert.deepEqual(stringsOf(encoder.encode(String.raw`{"a":"\\","file_id":"x"}`), ONE, () => 1).below, ["x"]);
});

Deno.test("StringsOfKeys sees the key and the value behind any escapes, spaces, duplicates and chunk ends", () => {
  const spelled = [
    String.raw`{"\u0066\u0069\u006c\u0065\u005f\u0069\u0064":"x"}`,
    String.raw`{"\u0066\u0069\u006C\u0065\u005F\u0069\u0064":"\u0078"}`,
    `{"file_id"${" ".repeat(5_000)}:${"\n".repeat(5_000)}"x"}`,
    `{"file_id":"x","file_id":1}`,
    `{"a":"${"\\\\".repeat(5_000)}","file_id":"x"}`,
    `{"a":NaN,/* no JSON */"file_id":"x"}`,
  ];
  for (const document of spelled) {
    for (const size of [1, 7, 64, 100_000]) {
      assert.deepEqual(stringsOf(encoder.encode(document), ONE, () => size).below, ["x"], document);
    }
  }
});

Deno.test("StringsOfKeys says that it sees nothing of UTF-16 and UTF-32", () => {
  for (const bytes of [[0xff, 0xfe, 0x7b], [0xfe, 0xff, 0x00], [0x7b, 0, 0x22, 0], [0, 0x7b], [0, 0, 0, 0x7b]]) {
    const strings = new StringsOfKeys(ONE, { maxValueBytes: 100 });
    for (const byte of bytes) strings.push(Uint8Array.of(byte));
    assert.equal(strings.isHidden, true, String(bytes));
  }
  const strings = new StringsOfKeys(ONE, { maxValueBytes: 100 });
  strings.push(encoder.encode('\ufeff{"a":"\0"}'));
  assert.equal(strings.isHidden, false);
});

Deno.test("StringsOfKeys keeps no more of a value than maxValueBytes, and goes on after it", () => {
  const strings = new StringsOfKeys(ONE, { maxValueBytes: 10 });
  for (let n = 0; n < 100; n++) strings.push(encoder.encode(n === 0 ? `{"file_id":"` : "y".repeat(1_000)));
  strings.push(encoder.encode(`","file_id":"x"}`));
  assert.deepEqual(strings.take().below, ["y".repeat(10), "x"]);
  assert.deepEqual(strings.take().below, []);
});

Deno.test("StringsOfKeys returns each spelling once, and tells if there are too many", () => {
  const of = (count: number, spell: (n: number) => string) => {
    const strings = new StringsOfKeys(ONE, { maxValueBytes: 100 });
    strings.push(encoder.encode(`[${Array.from({ length: count }, (_, n) => `{"file_id":"${spell(n)}"}`).join()}]`));
    return strings;
  };
  const few = of(100_000, (n) => n % 2 === 0 ? "x" : "\\u0078");
  assert.deepEqual([few.take().below, few.isHidden], [["x", "x"], false]);
  const many = of(20_001, (n) => `f${n}`);
  assert.deepEqual([many.take().below.length, many.isHidden], [20_001, true]);
});

Deno.test("StringsOfKeys looks through a chunk once, however often the key stands in it spelled with an escape", async () => {
  const body = encoder.encode(String.raw`{"\u0066ile_id":"f"},`.repeat(50_000));
  await assertAtMost(1_000, () => {
    const startedAt = performance.now();
    const strings = new StringsOfKeys(ONE, { maxValueBytes: 100 });
    strings.push(body);
    assert.deepEqual(strings.take().below, ["f"]);
    return performance.now() - startedAt;
  });
});

/** What the scanner before this one says: whether there is a key to look for. */
function isSpotted(document: Uint8Array, { below, at = [] }: StringKeys): boolean {
  const scanner = new TopLevelScanner([], { maxValueBytes: 0, spotted: [...below, ...at] });
  scanner.push(document);
  return scanner.hasSpotted;
}

function stringsOf(bytes: Uint8Array, keys: StringKeys, size: () => number) {
  const strings = new StringsOfKeys(keys, { maxValueBytes: 1_000 });
  const found: { readonly below: string[]; readonly at: string[] } = { below: [], at: [] };
  for (let from = 0; from < bytes.length;) {
    const end = from + size();
    strings.push(bytes.subarray(from, end));
    const { below, at } = strings.take();
    found.below.push(...below);
    found.at.push(...at);
    from = end;
  }
  return { ...found, hasMark: strings.hasMark, isHidden: strings.isHidden };
}

interface Read {
  readonly below: Iterable<string>;
  readonly at: Iterable<string>;
  readonly hasMark: boolean;
}

function sorted({ below, at, hasMark }: Read) {
  return { below: [...new Set(below)].sort(), at: [...new Set(at)].sort(), hasMark };
}

/** The same by JSON.parse and a walk. */
function readByOracle(document: string, { below, at = [], mark }: StringKeys) {
  const found = { below: new Set<string>(), at: new Set<string>(), hasMark: false };
  const walk = (value: unknown, { key, isBelow }: { readonly key: string; readonly isBelow: boolean }) => {
    if (typeof value === "string") {
      if (isBelow) found.below.add(value);
      else if (at.includes(key)) found.at.add(value);
      found.hasMark ||= value === mark;
    } else if (Array.isArray(value)) {
      for (const inner of value) walk(inner, { key: "", isBelow });
    } else if (typeof value === "object" && value !== null) {
      for (const [name, inner] of Object.entries(value)) {
        found.hasMark ||= name === mark && !isBelow;
        walk(inner, { key: name, isBelow: isBelow || below.includes(name) });
      }
    }
  };
  walk(JSON.parse(document), { key: "", isBelow: false });
  return found;
}

function documentOf(below: (n: number) => number): string {
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const space = () => pick(["", "", " ", "\n\t  "]);
  const escaped = (text: string) =>
    [...text].map((letter) => below(3) > 0 ? letter : `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  const characters = ["a", "\\\\", '\\"', "\\u0022", "é", "file_id", '\\"file_id\\":\\"x\\"', "\\\\\\\\", ":", "{", "]", "\\n"];
  const text = () => `"${Array.from({ length: below(5) }, () => pick(characters)).join("")}"`;
  const wanted = [...MANY.below, ...MANY.at, KEY, "id"];
  const value = (depth: number): string => {
    const kind = below(depth > 0 ? 7 : 4);
    if (kind === 0) return text();
    if (kind === 1) return pick(["1", "true", "null", "-0.5e3"]);
    if (kind === 2) return `"V${below(1_000)}${pick(["", "", "é", "\\u00e9", '\\"', "\\\\"])}"`;
    if (kind === 3) return below(10) === 0 ? `"${pick([MANY.mark, escaped(MANY.mark)])}"` : text();
    const parts = Array.from({ length: below(4) }, (_, n) => kind === 4 ? value(depth - 1) : member(depth - 1, n));
    return kind === 4 ? `[${parts.join(`${space()},`)}]` : `{${parts.join(`,${space()}`)}}`;
  };
  /** Only the first of an object has a key that counts: of duplicates JSON.parse keeps the last. */
  const member = (depth: number, n: number) => {
    const key = pick(below(30) === 0 ? [MANY.mark] : wanted);
    const quoted = n === 0 && below(2) === 0 ? `"${pick([key, escaped(key)])}"` : text().replace(/"$/, `${n}"`);
    return `${space()}${quoted}${space()}:${space()}${value(depth)}`;
  };
  return `{${Array.from({ length: 1 + below(4) }, (_, n) => member(3, n)).join(",")}}`;
}
