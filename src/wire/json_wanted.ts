/** A wanted value: absolute byte offsets in the document, `end` after its last byte. */
export interface Found {
  readonly start: number;
  readonly end: number;
  /**
   * What JSON.parse makes of it, parsed when it is read; undefined if its raw text is longer than
   * `maxValueBytes`.
   */
  readonly value: unknown;
}

/** Tells which of a few wanted keys a raw key stands for. Parses only a key that may be one. */
export class WantedKeys {
  readonly #indexOf: ReadonlyMap<string, number>;
  readonly #areAscii: boolean;
  /** No wanted key is longer: `\u0061` writes one UTF-16 unit in six bytes, and none needs more. */
  readonly #maxRawBytes: number;
  /** By raw length: bit n if a wanted key without escapes may begin with byte n modulo 32. */
  readonly #plainBegins: Int32Array;
  /** The start of the open key, from earlier chunks. */
  readonly held: RangeBuffer;

  constructor(wanted: readonly string[]) {
    this.#indexOf = new Map(wanted.map((key, index) => [key, index]));
    this.#areAscii = wanted.every(isAscii);
    this.#maxRawBytes = 6 * Math.max(0, ...wanted.map((key) => key.length));
    this.#plainBegins = new Int32Array(this.#maxRawBytes + 1);
    for (const key of wanted) {
      if (isAscii(key) && key !== "") this.#plainBegins[key.length]! |= 1 << key.charCodeAt(0);
      // A UTF-16 unit takes one to three bytes; a single byte that is not UTF-8 stands for U+FFFD.
      else this.#plainBegins.fill(-1, key.length, 3 * key.length + 1);
    }
    this.held = new RangeBuffer(this.#maxRawBytes);
  }

  /**
   * The index of the key at `[from, to)` of the chunk among the wanted ones, or -1. `from` is below
   * zero if the key began in an earlier chunk. The raw text must be valid and comes without quotes.
   */
  match(chunk: Uint8Array, range: { readonly from: number; readonly to: number; readonly hasEscapes: boolean }): number {
    const length = range.to - range.from;
    if (length > this.#maxRawBytes || (!range.hasEscapes && this.#plainBegins[length] === 0)) return -1;
    const raw = range.from < 0 ? this.held.rangeOf(chunk, range) : chunk;
    const from = Math.max(range.from, 0);
    if (!range.hasEscapes && (this.#plainBegins[length]! & 1 << raw[from]!) === 0) return -1;
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
  return [...text].every((character) => character <= "\x7f");
}

/** What the letter after a backslash stands for, by its byte; 0 for `u` and for no escape. */
export const UNESCAPED: Uint8Array = new Uint8Array(256);
for (const [letter, character] of [`""`, "\\\\", "//", "b\b", "f\f", "n\n", "r\r", "t\t"]) {
  UNESCAPED[letter!.charCodeAt(0)] = character!.charCodeAt(0);
}

/** The value of a hexadecimal digit, by its byte. */
const HEX = new Uint8Array(256);
for (const digit of "0123456789abcdefABCDEF") HEX[digit.charCodeAt(0)] = parseInt(digit, 16);

/** The latest value of each wanted key: its place, and its raw text if that is short enough. */
export class WantedValues {
  readonly #wanted: readonly string[];
  readonly #maxBytes: number;
  readonly #slots: { start: number; end: number; raw: Uint8Array | null; isFresh: boolean }[];
  /** The start of the open value, from earlier chunks. */
  readonly held: RangeBuffer;
  #hasFresh = false;

  constructor(wanted: readonly string[], options: { readonly maxValueBytes: number }) {
    this.#wanted = wanted;
    this.#maxBytes = options.maxValueBytes;
    this.#slots = wanted.map(() => ({ start: -1, end: -1, raw: null, isFresh: false }));
    this.held = new RangeBuffer(options.maxValueBytes);
  }

  /** A value of that wanted key ends in the current chunk: the absolute range. A later one wins. */
  note(index: number, range: { readonly from: number; readonly to: number }): void {
    const slot = this.#slots[index]!;
    [slot.start, slot.end] = [range.from, range.to];
    slot.isFresh = this.#hasFresh = true;
  }

  /** Copies what was noted in the chunk that begins at `base`: once, for all duplicates. */
  settle(chunk: Uint8Array, base: number): void {
    if (!this.#hasFresh) return;
    this.#hasFresh = false;
    for (const slot of this.#slots) {
      if (!slot.isFresh) continue;
      slot.isFresh = false;
      const isShort = slot.end - slot.start <= this.#maxBytes;
      slot.raw = isShort ? new Uint8Array(this.held.rangeOf(chunk, { from: slot.start - base, to: slot.end - base })) : null;
    }
  }

  /** The values of a valid document. */
  parse(): Map<string, Found> {
    const found = new Map<string, Found>();
    for (const [index, { start, end, raw }] of this.#slots.entries()) {
      if (start < 0) continue;
      found.set(this.#wanted[index]!, {
        start,
        end,
        get value() {
          return raw === null ? undefined : parseJson(raw);
        },
      });
    }
    return found;
  }
}

const decoder = new TextDecoder();

/** JSON.parse on the raw bytes of one value, without space and byte order mark in front. */
function parseJson(raw: Uint8Array): unknown {
  return JSON.parse(decoder.decode(raw));
}

/** The start of a range that spans chunks: at most `maxBytes` of it. */
class RangeBuffer {
  readonly #maxBytes: number;
  #bytes: Uint8Array = new Uint8Array(64);
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Keeps the chunk from `start` on; below zero, after what it has: the range began earlier. */
  hold(chunk: Uint8Array, start: number): void {
    if (start >= 0) this.#length = 0;
    this.#append(chunk.subarray(Math.max(start, 0)));
  }

  /** The range, of at most `maxBytes`, that ends in the chunk or before it. Read it at once. */
  rangeOf(chunk: Uint8Array, { from, to }: { readonly from: number; readonly to: number }): Uint8Array {
    if (from >= 0) return chunk.subarray(from, to);
    if (to > 0) this.#append(chunk.subarray(0, to));
    return this.#bytes.subarray(0, to - from);
  }

  #append(bytes: Uint8Array): void {
    const added = bytes.subarray(0, this.#maxBytes - this.#length);
    const length = this.#length + added.length;
    if (length > this.#bytes.length) {
      const wider = new Uint8Array(Math.max(length, Math.min(2 * this.#bytes.length, this.#maxBytes)));
      wider.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = wider;
    }
    this.#bytes.set(added, this.#length);
    this.#length = length;
  }
}
