import { parseJson, RangeBuffer } from "./json_values.ts";

/** Which of a few wanted object keys a raw key stands for, without parsing those that cannot be one. */
export class WantedKeys {
  readonly #indexOf: ReadonlyMap<string, number>;
  readonly #areAscii: boolean;
  /** A raw key with more bytes than this is none of them: a UTF-16 unit is written with at most six, `\u0061`. */
  readonly #maxRawBytes: number;
  /** By raw length: 1 where a key of so many bytes and without escapes may be one of them. */
  readonly #plainLengths: Uint8Array;
  /** The beginning of the key that is open, from earlier chunks. */
  readonly #held: RangeBuffer;

  constructor(wanted: readonly string[]) {
    this.#indexOf = new Map(wanted.map((key, index) => [key, index]));
    this.#areAscii = wanted.every(isAscii);
    this.#maxRawBytes = 6 * Math.max(0, ...wanted.map((key) => key.length));
    this.#plainLengths = new Uint8Array(this.#maxRawBytes + 1);
    // A UTF-16 unit is one to three bytes: what is not UTF-8 stands for U+FFFD with as little as one.
    for (const key of wanted) this.#plainLengths.fill(1, key.length, (isAscii(key) ? 1 : 3) * key.length + 1);
    this.#held = new RangeBuffer(this.#maxRawBytes);
  }

  /** Keeps what the chunk has of the key that is open, from `start`, which is below zero where an earlier chunk began it. */
  hold(chunk: Uint8Array, start: number): void {
    this.#held.hold(chunk, start);
  }

  /**
   * The index in `wanted` of the key whose raw text, quotes left out and known to be valid, stands at `[from, to)`
   * of the chunk, or -1. `from` is below zero where an earlier chunk began it.
   */
  match(chunk: Uint8Array, range: { readonly from: number; readonly to: number; readonly hasEscapes: boolean }): number {
    const length = range.to - range.from;
    if (length > this.#maxRawBytes || (!range.hasEscapes && this.#plainLengths[length] === 0)) return -1;
    const raw = range.from < 0 ? this.#held.rangeOf(chunk, range) : chunk;
    const from = Math.max(range.from, 0);
    const to = from + length;
    let key = "";
    for (let i = from; i < to; i++) {
      let unit = raw[i]!;
      if (unit >= 0x80) return this.#areAscii ? -1 : this.#matchParsed(raw.subarray(from, to));
      if (unit === 0x5c) {
        unit = raw[++i]!;
        if (unit === 0x75) {
          unit = HEX[raw[i + 1]!]! << 12 | HEX[raw[i + 2]!]! << 8 | HEX[raw[i + 3]!]! << 4 | HEX[raw[i + 4]!]!;
          i += 4;
        } else {
          unit = UNESCAPED[unit]!;
        }
      }
      key += String.fromCharCode(unit);
    }
    return this.#indexOf.get(key) ?? -1;
  }

  #matchParsed(raw: Uint8Array): number {
    const quoted = new Uint8Array(raw.length + 2).fill(0x22);
    quoted.set(raw, 1);
    return this.#indexOf.get(parseJson(quoted) as string) ?? -1;
  }
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return false;
  }
  return true;
}

/** What the letter after a backslash stands for, by its byte; 0 where it is no escape, and for `u`. */
export const UNESCAPED: Uint8Array = new Uint8Array(256);
for (const [letter, character] of [`""`, "\\\\", "//", "b\b", "f\f", "n\n", "r\r", "t\t"]) {
  UNESCAPED[letter!.charCodeAt(0)] = character!.charCodeAt(0);
}

/** The value of a hexadecimal digit, by its byte. */
const HEX = new Uint8Array(256);
for (const digit of "0123456789abcdefABCDEF") HEX[digit.charCodeAt(0)] = parseInt(digit, 16);
