/** The scanner held to JSON.parse. */
import assert from "node:assert/strict";
import { type ScanOptions, type ScanResult, TopLevelScanner } from "../src/wire/json_scan.ts";

/** Keys that are looked for: those of a call, and odd ones. */
export const WANTED = [
  "model",
  "stream",
  "max_tokens",
  "metadata",
  "messages",
  "",
  "__proto__",
  "é",
  "\u{1f600}",
  "\ufffd",
  'abc"\n',
];
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Scans a whole document. */
export function scanTopLevel(bytes: Uint8Array, wanted: readonly string[], options: ScanOptions): ScanResult {
  const scanner = new TopLevelScanner(wanted, options);
  scanner.push(bytes);
  return scanner.end();
}

/**
 * Holds the scanner to JSON.parse on one document, whole and in the given pieces, and says whether
 * it was valid.
 */
export function agree(bytes: Uint8Array, options: { readonly sizes: () => number; readonly maxValueBytes: number }): boolean {
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

/**
 * Each piece lies at its own offset, so that words are not aligned, and is spoilt after its push,
 * so that keeping it would show.
 */
export function scanInPieces(
  bytes: Uint8Array,
  options: { readonly sizes: () => number; readonly maxValueBytes: number },
): ScanResult {
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

/** What is found in a text of which no value is longer than 4 KB. */
export function scan(text: string): ScanResult {
  return scanTopLevel(encoder.encode(text), WANTED, { maxValueBytes: 4096 });
}

export function valueOf(text: string, key: string): unknown {
  const { isValid, found } = scan(text);
  assert.ok(isValid, text);
  assert.ok(found.has(key), text);
  return found.get(key)!.value;
}
