import assert from "node:assert/strict";
import { assertAtMost } from "../../tests/best_attempt.ts";
import { seededRandom } from "../../tests/conformance/samples.ts";
import { hashFirstElement } from "./first_element.ts";

const WITHOUT = "cache_control";

/** The array may lie anywhere in the body. */
function hashOf(json: string, { before = "", pieceBytes = 65_536 } = {}): Promise<string | null> {
  const encoder = new TextEncoder();
  const body = encoder.encode(`${before}${json},"more":[{}]}`);
  const start = encoder.encode(before).length;
  const range = { start, end: start + encoder.encode(json).length };
  return hashFirstElement(body, { range, without: WITHOUT, pieceBytes });
}

/**
 * Without the members that do not count: what JSON.parse makes of the first element, written once
 * more.
 */
function oracle(json: string): string {
  const [first] = JSON.parse(json);
  return JSON.stringify(first, (_, value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).filter(([key]) => key !== WITHOUT));
  });
}

Deno.test("hashFirstElement() is the same with and without cache_control, white space and further elements", async () => {
  const plain = await hashOf('[{"role":"user","content":[{"type":"text","text":"hi"}]}]');
  for (
    const same of [
      '[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]',
      '[{"role":"user","content":[{"cache_control" : null,"type":"text","text":"hi"}]},{"role":"assistant","content":"x"}]',
      '[{"cache_control":[{"a":"]}"},"\\"{"],"role":"user","content":[{"type":"text","cache_control":1,"text":"hi"}]}]',
      '\t[\n  {\r\n "role" : "user",\n "content": [ { "type": "text", "text": "hi" } ]\n } , 7 ]'.trim(),
    ]
  ) {
    assert.equal(await hashOf(same), plain, same);
  }
});

Deno.test("hashFirstElement() takes a text for the first element, whole and in pieces", async () => {
  for (const text of ['"hi"', '""', '"a \\"[b]\\" \\\\"', '"cache_control"', `"${"x".repeat(5_000)}"`]) {
    for (const pieceBytes of [1, 3, 64]) assert.equal(await hashOf(text, { pieceBytes }), await hashOf(`[${text}]`), text);
  }
  assert.notEqual(await hashOf('"hi"'), await hashOf('"ho"'));
});

Deno.test("hashFirstElement() differs if anything else differs", async () => {
  const different = [
    "[1]",
    "[12]",
    "[[1,2]]",
    "[[12]]",
    '["1"]',
    '[["a","b"]]',
    '[["ab"]]',
    '[["a,b"]]',
    '[{"a":"b"}]',
    '[["a",["b"]]]',
    "[[[]]]",
    "[[[],[]]]",
    "[{}]",
    "[[]]",
    "[null]",
    "[true]",
    '["cache_control"]',
    '[["cache_control"]]',
    '[["cache_control",1]]',
    '[{"cache_contro":1}]',
    '[{"cache_control_":1}]',
    '[{"a":"cache_control"}]',
    '["hi "]',
    '["hi"]',
    '["hi\\\\"]',
  ];
  const hashes = await Promise.all(different.map((json) => hashOf(json)));
  assert.equal(new Set(hashes).size, different.length);
});

Deno.test("hashFirstElement() finds none in what is neither an array nor a text, or an empty array", async () => {
  for (const none of ["[]", "[ \n]", "{}", "null", "7", '{"a":[1]}']) assert.equal(await hashOf(none), null, none);
});

Deno.test("hashFirstElement() agrees with JSON.parse on seeded documents, cut anywhere", async () => {
  const random = seededRandom(20_261_128);
  const byOracle = new Map<string, string>();
  const byHash = new Map<string, string>();
  for (let n = 0; n < 3_000; n++) {
    const json = `[${document(random, 3)}${random() < 0.5 ? ',{"more":1}' : ""}]`;
    const length = new TextEncoder().encode(json).length;
    const pieceBytes = 1 + Math.floor(random() ** 2 * length);
    const hash = await hashOf(json, { before: '{"messages":', pieceBytes });
    assert.equal(hash, await hashOf(json), json);
    const expected = oracle(json);
    assert.equal(byOracle.get(expected) ?? hash, hash, `${json} is ${expected}`);
    assert.equal(byHash.get(hash!) ?? expected, expected, `${json} is not ${expected}`);
    byOracle.set(expected, hash!);
    byHash.set(hash!, expected);
  }
  assert.ok(byOracle.size > 500);
});

Deno.test("hashFirstElement() holds the event loop for some milliseconds at a time, however large the element is", async () => {
  const image = `[{"role":"user","content":"${"iVBORw0KGgo".repeat(4_000_000)}"}]`;
  const tokens = `[[${"7,".repeat(6_000_000)}7]]`;
  for (const json of [image, tokens]) {
    const bytes = new TextEncoder().encode(json);
    // Some 3 ms, and what a machine that is not ours alone takes away; in one go it is 100 and
    // more.
    await assertAtMost(
      40,
      () => longestTurn(() => hashFirstElement(bytes, { range: { start: 0, end: bytes.length }, without: WITHOUT })),
    );
  }
});

/** The longest time without a turn of the event loop, milliseconds. */
async function longestTurn(begin: () => Promise<unknown>): Promise<number> {
  let isOver = false;
  let longest = 0;
  let last = performance.now();
  begin().then(() => isOver = true);
  while (!isOver) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return longest;
}

/** A value with keys, strings and white space that could be taken for one another. */
function document(random: () => number, depth: number): string {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const space = () => random() < 0.2 ? pick([" ", "\n", "\t", "\r\n  "]) : "";
  const string = () => JSON.stringify(pick(["", "a", "cache_control", "cache", '"', "\\", '\\"', ",", "]}", "\u00e9", " x "]));
  if (depth === 0 || random() < 0.3) return space() + pick([string(), string(), "0", "-1.5e3", "true", "null", "12"]) + space();
  const size = Math.floor(random() * 4);
  if (random() < 0.4) return `[${Array.from({ length: size }, () => document(random, depth - 1)).join(",")}${space()}]`;
  const keys = new Set(Array.from({ length: size }, () => pick(["a", "cache_control", "cache", "b", "text"])));
  return `{${[...keys].map((key) => `${space()}"${key}"${space()}:${document(random, depth - 1)}`).join(",")}${space()}}`;
}
