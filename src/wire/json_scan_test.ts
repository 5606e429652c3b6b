import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type ScanResult, scanTopLevel, TopLevelScanner } from "./json_scan.ts";

const WANTED = ["model", "stream", "max_tokens", "metadata", "messages", "", "__proto__", "é", "\u{1f600}", "\ufffd", 'abc"\n'];
const MAX_VALUE_BYTES = 4096;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function scan(text: string): ScanResult {
  return scanTopLevel(encoder.encode(text), WANTED, { maxValueBytes: MAX_VALUE_BYTES });
}

function valueOf(text: string, key: string): unknown {
  const { isValid, found } = scan(text);
  assert.ok(isValid, text);
  assert.ok(found.has(key), text);
  return found.get(key)!.value;
}

/** Holds the scanner to JSON.parse on one document, whole and in the given pieces, and says whether it was valid. */
function agree(bytes: Uint8Array, options: { readonly sizes: () => number; readonly maxValueBytes: number }): boolean {
  let oracle: unknown;
  let isValid = true;
  try {
    oracle = JSON.parse(decoder.decode(bytes));
  } catch {
    isValid = false;
  }
  const { maxValueBytes } = options;
  const hint = () => JSON.stringify(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const whole = scanTopLevel(bytes, WANTED, { maxValueBytes });
  if (whole.isValid !== isValid) assert.fail(`isValid is ${whole.isValid} for ${hint()}`);
  const isObject = isValid && typeof oracle === "object" && oracle !== null && !Array.isArray(oracle);
  const expected = isObject ? oracle as Record<string, unknown> : {};
  for (const key of WANTED) {
    const found = whole.found.get(key);
    const has = Object.hasOwn(expected, key);
    if (has !== (found !== undefined)) assert.fail(`${JSON.stringify(key)} is ${has ? "missed" : "made up"} in ${hint()}`);
    if (found === undefined) continue;
    const raw = bytes.slice(found.start, found.end);
    const text = decoder.decode(raw);
    if (text !== text.trim() || !same(JSON.parse(text), expected[key])) assert.fail(`the range of ${key} in ${hint()}`);
    const value = raw.length > maxValueBytes ? undefined : expected[key];
    if (!same(found.value, value)) assert.fail(`the value of ${key} in ${hint()}`);
  }
  const pieces = scanInPieces(bytes, options);
  if (pieces.isValid !== isValid || !same([...pieces.found], [...whole.found])) assert.fail(`in pieces: ${hint()}`);
  return isValid;
}

/** Each piece lies at its own offset, so that words are not aligned, and is spoilt after its push, so that keeping it would show. */
function scanInPieces(bytes: Uint8Array, options: { readonly sizes: () => number; readonly maxValueBytes: number }): ScanResult {
  const scanner = new TopLevelScanner(WANTED, options);
  for (let from = 0; from < bytes.length;) {
    const piece = bytes.subarray(from, from + options.sizes());
    const copy = new Uint8Array(new ArrayBuffer(piece.length + 8), from & 7, piece.length);
    copy.set(piece);
    scanner.push(copy);
    copy.fill(0xff);
    from += piece.length;
  }
  return scanner.end();
}

function same(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return Object.is(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && same(Reflect.get(a, key), Reflect.get(b, key)));
}

Deno.test("scanTopLevel() agrees with JSON.parse on 200,000 seeded inputs, whole and in random pieces", () => {
  const random = seeded(20261124);
  const below = (n: number) => Math.floor(random() * n);
  const make = inputs(below);
  let valid = 0;
  const total = 200_000;
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  for (let i = 0; i < total; i++) {
    const longest = [1, 3, 20, 200][below(4)]!;
    const options = { sizes: () => 1 + below(longest), maxValueBytes: [8, 40, 4096][below(3)]! };
    if (agree(make(), options)) valid++;
  }
  Error.stackTraceLimit = stackTraceLimit;
  assert.ok(valid > total / 4 && valid < total * 3 / 4, `${valid} of ${total} are valid: the inputs do not try both sides`);
});

Deno.test("scanTopLevel() agrees with JSON.parse on every text of up to four characters that matter", () => {
  const alphabet = [...'{}[]":,\\0-1.eE tu\n\u00e9'];
  const counter = Array.from({ length: 4 }, () => -1);
  for (;;) {
    let place = 0;
    while (place < 4 && ++counter[place]! === alphabet.length) counter[place++] = 0;
    if (place === 4) break;
    const text = counter.map((index) => alphabet[index] ?? "").join("");
    let isValid = true;
    try {
      JSON.parse(text);
    } catch {
      isValid = false;
    }
    if (scan(text).isValid !== isValid) assert.fail(JSON.stringify(text));
  }
});

Deno.test("scanTopLevel() gives each wanted key's value and the absolute range of its bytes", () => {
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

Deno.test("scanTopLevel() takes the last of duplicate keys, also where that is longer than maxValueBytes", () => {
  assert.equal(valueOf('{"model":"a","model":"b"}', "model"), "b");
  const { found } = scanTopLevel(encoder.encode('{"model":"a","model":"0123456789"}'), ["model"], { maxValueBytes: 4 });
  assert.deepEqual(found.get("model"), { start: 21, end: 33, value: undefined });
});

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

Deno.test("scanTopLevel() finds nothing in documents that are no object", () => {
  for (const text of ["1", '"model"', "null", "true", '["model",{"model":1}]', " [] ", "-0", "1e5", "0.5"]) {
    assert.deepEqual(scan(text), { isValid: true, found: new Map() }, text);
  }
});

Deno.test("scanTopLevel() finds nothing in documents that are invalid", () => {
  for (
    const text of [
      ...["", " ", "{", "}", '{"model":1', '{"model":1,}', '{"model"}', '{"model":}', "{model:1}", "{'model':1}", '{"model":1}}'],
      ...[
        "[1,]",
        "[,1]",
        "[1 2]",
        '{"model":1 "stream":2}',
        '{"model":1}x',
        '{"model":1}{"model":2}',
        "[1}",
        '{"a":[}]',
        "{1:2}",
      ],
      ...[
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "1.e5",
        "--1",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "-01",
        "00",
        "1.2.3",
        "1e5.5",
      ],
      ...["tru", "truee", "nul", "True", "falsE", "undefined", "nulll", "t", '{"model":tru}'],
      ...['"', '"\\', '"\\"', '"\\x"', '"\\u12"', '"\\u12g4"', '"\\U0041"', '"\t"', '"\n"', '"\0"', '"\x1f"', '{"mo\ndel":1}'],
      ...["\u00a0{}", "{}\u2028", "\v{}", "\f1", "/**/1", "1//", "\ufeff\ufeff1", " \ufeff1", "1\ufeff", "[\ufeff]", "\ufeff"],
    ]
  ) {
    assert.throws(() => JSON.parse(text), text);
    assert.deepEqual(scan(text), { isValid: false, found: new Map() }, JSON.stringify(text));
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

Deno.test("scanTopLevel() takes bytes that are not UTF-8 within strings, as U+FFFD, and nowhere else", () => {
  const options = { sizes: () => 1, maxValueBytes: 99 };
  for (const bad of ["\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf0\x9f\x98", "\xc0\xaf", "\x80", "\xf8\x88\x80\x80\x80"]) {
    assert.ok(agree(latin1(`{"model":"a${bad}","stream":"${bad}b","${bad}":"${bad}${bad}"}`), options), JSON.stringify(bad));
    assert.ok(!agree(latin1(`{"model"${bad}:1}`), options));
    assert.ok(!agree(latin1(`{"model":${bad}1}`), options));
    assert.ok(!agree(latin1(`[]${bad}`), options));
  }
});

Deno.test("scanTopLevel() keeps lone surrogates that are written as escapes", () => {
  assert.equal(valueOf('{"model":"\\ud800x\\udc00"}', "model"), "\ud800x\udc00");
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

Deno.test("TopLevelScanner is not mistaken by keys and values that are very long", () => {
  const long = "x".repeat(300_000);
  const text = `{"${long}":1,"model":"${long}","model${long}":2,"${"\\u006d".repeat(50_000)}":3,"stream":false}`;
  for (const sizes of [7_777, 65_536, 1e9]) {
    const { isValid, found } = scanInPieces(encoder.encode(text), { sizes: () => sizes, maxValueBytes: 99 });
    assert.ok(isValid);
    assert.deepEqual([...found].map(([key, { value }]) => [key, value]), [["model", undefined], ["stream", false]]);
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
  const scanner = new TopLevelScanner(WANTED, { maxValueBytes: MAX_VALUE_BYTES });
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

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Mulberry32: the same inputs in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

/** Documents by grammar, most of them damaged a little, and now and then a heap of tokens or bytes. Characters stand for bytes. */
function inputs(below: (n: number) => number): () => Uint8Array {
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const some = (n: number, one: () => string) => Array.from({ length: below(n) }, one).join("");
  const spaces = ["", "", "", " ", "\n", "\t\r", "    "];
  const space = () => pick(spaces);
  const characters = [
    ...["a", "b", " ", "long plain text of several words ", "/", "}", "]", ",", ":", "\x7f", "\xc3\xa9", "\xe2\x82\xac"],
    ...[
      "\xf0\x9f\x98\x80",
      "\xef\xbb\xbf",
      "\\n",
      '\\"',
      "\\\\",
      "\\/",
      "\\b",
      "\\u0041",
      "\\uD83D\\uDE00",
      "\\ud800",
      "\\u000a",
    ],
  ];
  const broken = ["\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\\x", "\\u12", "\x00", "\x1f", "\n", '"', "\\"];
  const character = () => below(60) === 0 ? pick(broken) : pick(characters);
  const string = () => `"${some(below(8) === 0 ? 40 : 6, character)}"`;
  const escaped = (text: string) =>
    text.replace(/[a-z_]/g, (letter) => below(4) > 0 ? letter : `\\u00${letter.charCodeAt(0).toString(16)}`);
  const keys = ["model", "stream", "max_tokens", "metadata", "messages", "", "__proto__", "\xc3\xa9", "\\u00e9", 'abc\\"\\n'];
  const odd = [
    "\xf0\x9f\x98\x80",
    "\\ud83d\\ude00",
    "\\ufffd",
    "\xff",
    "\xef\xbf\xbd",
    "\xed",
    "modelx",
    "mode",
    "x",
    "model\\u0000",
  ];
  const key = () =>
    below(3) === 0 ? string() : `"${below(3) === 0 ? pick(odd) : below(4) === 0 ? escaped(pick(keys)) : pick(keys)}"`;
  const digits = () => some(4, () => pick([..."0123456789"]));
  const number = () =>
    below(3) > 0
      ? String(below(2000) - 1000)
      : pick(["", "-", "+"]) + digits() + pick(["", ".", "." + digits(), ""]) + pick(["", "", "e", "E-", "e+1", "E" + digits()]);
  const literals = ["true", "false", "null", "-0", "1e400", "0", "[]", "{}"];
  const value = (depth: number): string => {
    const kind = below(depth > 0 ? 7 : 5);
    if (kind < 2) return string();
    if (kind === 2) return number();
    if (kind < 5) return pick(literals);
    const parts = Array.from({ length: below(4) }, () => kind === 5 ? space() + value(depth - 1) + space() : member(depth - 1));
    return kind === 5 ? `[${parts.join(",") || space()}]` : `{${parts.join(",") || space()}}`;
  };
  const member = (depth: number) => space() + key() + space() + ":" + space() + value(depth) + space();
  const nested = () => {
    const levels = Array.from({ length: below(100) }, () => below(2));
    return levels.map((level) => level ? "[" : '{"a":').join("") + "1" +
      levels.reverse().map((level) => level ? "]" : "}").join("");
  };
  const object = () => `${space()}{${Array.from({ length: below(5) }, () => member(2)).join(",") || space()}}${space()}`;
  const tokens = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"model"',
    '"',
    "1",
    "-",
    "0",
    ".",
    "e",
    "true",
    "nul",
    " ",
    "\\",
    "\xef\xbb\xbf",
    "\xff",
  ];
  const document = () => {
    const kind = below(20);
    if (kind === 0) return some(12, () => pick(tokens));
    if (kind === 1) return some(12, () => String.fromCharCode(below(256)));
    if (kind === 2) return below(2) === 0 ? number() : `{"model":${number()}}`;
    if (kind === 3) return value(3);
    if (kind === 4) return `{"x":${nested()},${member(1)}}`;
    return (below(12) === 0 ? "\xef\xbb\xbf" : "") + object();
  };
  const damage = [
    (text: string, at: number) => text.slice(0, at),
    (text: string, at: number) => text.slice(0, at) + text.slice(at + 1 + below(3)),
    (text: string, at: number) =>
      text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1 << below(8)) + text.slice(at + 1),
    (text: string, at: number) => text.slice(0, at) + pick(tokens) + text.slice(at),
    (text: string, at: number) => text.slice(0, at) + text.slice(below(at + 1), at) + text.slice(at),
    (text: string, at: number) => text.slice(0, at) + pick(broken) + text.slice(at),
    (text: string, at: number) => text.slice(0, at) + pick(spaces) + text.slice(at),
  ];
  return () => {
    for (;;) {
      let text = document();
      while (text.length > 0 && below(2) === 0) text = pick(damage)(text, below(text.length));
      // After an object with the key `\\`, V8 15's JSON.parse takes other keys of one escaped character for it: no oracle then.
      if (!/"\\(\\|u005c)"\s*:/i.test(text)) return latin1(text);
    }
  };
}
