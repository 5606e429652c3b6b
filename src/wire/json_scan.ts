import { Act, In, NEXT, Row, WHOLE_NUMBERS } from "./json_grammar.ts";
import { type Found, UNESCAPED, WantedKeys, WantedValues } from "./json_wanted.ts";

export interface ScanResult {
  /** Whether JSON.parse takes the document. */
  readonly isValid: boolean;
  /** By key; empty if the document is invalid or no object. */
  readonly found: ReadonlyMap<string, Found>;
}

export interface ScanOptions {
  /** The longest raw text that it parses. It keeps that much for each wanted key, and once more. */
  readonly maxValueBytes: number;
  /** Further keys that are looked for at every depth. */
  readonly spotted?: readonly string[];
}

/**
 * Finds the values of top-level keys in a JSON document that comes in chunks, cut anywhere. It
 * neither parses nor keeps the document.
 *
 * It agrees with `JSON.parse(new TextDecoder().decode(document))` (RFC 8259) on every input:
 * whether that throws, each value, the last of duplicate keys, keys with escapes, a leading byte
 * order mark, bytes that are not UTF-8. Nesting costs one bit a level and no call stack, so like
 * V8's parser it has no limit of depth.
 */
export class TopLevelScanner {
  /** The wanted keys, and after them the others that are spotted. */
  readonly #keys: WantedKeys;
  readonly #values: WantedValues;
  readonly #wantedCount: number;
  /** By index of the key. */
  readonly #isSpotted: Uint8Array;
  /** Bit n modulo 32: a spotted key has n bytes. */
  readonly #spottedLengths: number;
  #hasSpotted = false;

  /** Length of the document so far; positions are absolute between pushes. */
  #base = 0;
  /** The row of `NEXT` for the next byte, times 256. */
  #state: number = Row.start << 8;
  /** The innermost container. */
  #inside: number = In.root;
  #depth = 0;
  /** A bit for each of the innermost 32 containers, 1 for an object, lowest innermost. */
  #bits = 0;
  /** The bits of the other containers, 32 a word. */
  #outerBits: Int32Array = new Int32Array(16);
  /** Whether the open string is a key. */
  #isKey = false;
  #hasEscapes = false;
  #keyStart = 0;
  #valueStart = 0;
  #valueEnd = 0;
  /** Index of the wanted top-level key whose colon or value is open, or -1. */
  #open = -1;

  constructor(wanted: readonly string[], options: ScanOptions) {
    const { spotted = [] } = options;
    const keys = [...new Set([...wanted, ...spotted])];
    this.#keys = new WantedKeys(keys);
    this.#wantedCount = wanted.length;
    this.#isSpotted = Uint8Array.from(keys, (key) => spotted.includes(key) ? 1 : 0);
    this.#spottedLengths = spotted.reduce((lengths, { length }) => lengths | 1 << length, 0);
    this.#values = new WantedValues(wanted, options);
  }

  /** Whether a spotted key has come, at any depth. */
  get hasSpotted(): boolean {
    return this.#hasSpotted;
  }

  /** Neither keeps nor changes the chunk. */
  push(chunk: Uint8Array): void {
    if (this.#state === Row.invalid << 8) return;
    const length = chunk.length;
    const base = this.#base;
    const lead = -chunk.byteOffset & 3;
    const words = length < 32 ? NO_WORDS : new Int32Array(chunk.buffer, chunk.byteOffset + lead, length - lead >> 2);
    const wordCount = words.length;
    const next = NEXT;
    const unescaped = UNESCAPED;
    const spottedLengths = this.#spottedLengths;
    // From here on positions are relative to the chunk: below zero in an earlier one.
    let keyStart = this.#keyStart - base;
    let valueStart = this.#valueStart - base;
    let valueEnd = this.#valueEnd - base;
    let state = this.#state;
    let inside = this.#inside;
    let depth = this.#depth;
    let bits = this.#bits;
    let isKey = this.#isKey;
    let hasEscapes = this.#hasEscapes;
    let open = this.#open;
    let i = 0;

    for (;;) {
      let to = 0;
      // The hot loop calls nothing and writes no field, so that the compiler can use registers.
      // Rare cases leave it by `break`. Looking ahead saves a turn for the most common successions.
      while (i < length) {
        to = next[state | chunk[i]!]!;
        if (to < INVALID) {
          state = to;
          i++;
          continue;
        }
        if (to === END_NUMBER) {
          valueEnd = i;
          state = AFTER + (inside << 8);
          to = next[state | chunk[i]!]!;
          if (to < INVALID) {
            state = to;
            i++;
            continue;
          }
        } else if (to === OPEN_OBJECT) {
          if ((depth & 31) === 0) break;
          i++;
          depth++;
          bits = bits << 1 | 1;
          inside = IN_OBJECT;
          state = FIRST_KEY;
          if (i === length || chunk[i] !== QUOTE) continue;
          to = OPEN_KEY;
        }
        if (to <= IN_STRING) {
          if (to === INVALID) break;
          if (to !== IN_STRING) {
            i++;
            isKey = to === OPEN_KEY;
            if (isKey) {
              keyStart = i;
              hasEscapes = false;
            }
          }
          let byte = 0;
          for (;;) {
            // A key is short: byte by byte. A text is long: in words of four.
            if (!isKey && wordCount > 0 && i >= lead && i + 8 < length) {
              let word = i - lead >> 2;
              // What the first word holds of the bytes before is set to ones, which stop nothing.
              let ones = (1 << ((i - lead & 3) << 3)) - 1;
              for (; word < wordCount; word++) {
                // The lowest bit marks the first byte that is a quote, a backslash or below a
                // space. A quote with 2 flipped is a space, so the first term looks below 0x21.
                const four = words[word]! | ones;
                const low = ((four ^ 0x02020202) - 0x21212121 | (four ^ 0x5c5c5c5c) - 0x01010101) & ~four & 0x80808080;
                if (low !== 0) {
                  i = lead + (word << 2) + (31 - Math.clz32(low & -low) >> 3);
                  break;
                }
                ones = 0;
              }
              if (word === wordCount) i = lead + (word << 2);
            }
            while (i < length && (byte = chunk[i]!) !== QUOTE && byte !== BACKSLASH && byte >= SPACE) i++;
            if (byte !== BACKSLASH || i + 1 >= length || unescaped[chunk[i + 1]!] === 0) break;
            hasEscapes = true;
            i += 2;
            byte = 0;
          }
          if (i === length) {
            state = STRING;
            break;
          }
          if (byte === QUOTE) {
            if (isKey) {
              if (inside === IN_ROOT_OBJECT || (spottedLengths & 1 << i - keyStart) !== 0 || hasEscapes) {
                to = END_CHECKED_KEY;
                break;
              }
              i++;
              state = AFTER_KEY;
              if (i < length && chunk[i] === COLON) {
                i++;
                state = VALUE;
              }
              continue;
            }
            i++;
            valueEnd = i;
            state = AFTER + (inside << 8);
            continue;
          }
          if (byte === BACKSLASH) {
            i++;
            hasEscapes = true;
            state = ESCAPE;
            continue;
          }
          to = INVALID;
          break;
        }
        if (to === CLOSE) {
          if ((depth & 31) === 1) break;
          i++;
          valueEnd = i;
          depth--;
          bits >>>= 1;
          inside = IN_ARRAY + (depth === 1 ? (bits & 1) << 1 : bits & 1);
          state = AFTER + (inside << 8);
          if (inside === IN_ARRAY && i < length && chunk[i] === COMMA) {
            i++;
            state = VALUE;
          }
          continue;
        }
        if (to === OPEN_ARRAY) {
          if ((depth & 31) === 0) break;
          i++;
          depth++;
          bits <<= 1;
          inside = IN_ARRAY;
          state = FIRST_ELEMENT;
          continue;
        }
        if (to !== END_LITERAL) break;
        i++;
        valueEnd = i;
        state = AFTER + (inside << 8);
      }
      if (i === length) break;
      if (to === Act.invalid) {
        this.#state = Row.invalid << 8;
        return;
      }
      if (to === Act.startRootValue) {
        valueStart = i;
        state = Row.value << 8;
        continue;
      }
      if (to === Act.endCheckedKey) {
        const key = this.#keys.match(chunk, { from: keyStart, to: i, hasEscapes });
        if (this.#isSpotted[key] === 1) this.#hasSpotted = true;
        if (inside === In.rootObject) open = key < this.#wantedCount ? key : -1;
        state = (inside === In.rootObject ? Row.rootColon : Row.colon) << 8;
      } else if (to === Act.rootComma || to === Act.close) {
        if (inside === In.rootObject) {
          if (open >= 0) this.#values.note(open, { from: base + valueStart, to: base + valueEnd });
          open = -1;
          state = Row.key << 8;
        }
        if (to === Act.close) {
          depth--;
          bits = depth === 0 ? 0 : this.#outerBits[(depth >> 5) - 1]!;
          inside = depth === 0 ? In.root : In.array + (bits & 1);
          state = Row.afterRoot + inside << 8;
        }
      } else {
        const isObject = to === Act.openObject;
        if (depth > 0) this.#keepOuterBits(depth, bits);
        depth++;
        bits = bits << 1 | (isObject ? 1 : 0);
        inside = isObject ? In.object : In.array;
        if (depth === 1 && isObject) inside = In.rootObject;
        state = (isObject ? Row.firstKey : Row.firstElement) << 8;
      }
      i++;
    }
    this.#base = base + length;
    this.#state = state;
    this.#inside = inside;
    this.#depth = depth;
    this.#bits = bits;
    this.#isKey = isKey;
    this.#hasEscapes = hasEscapes;
    this.#keyStart = base + keyStart;
    this.#valueStart = base + valueStart;
    this.#valueEnd = base + valueEnd;
    this.#open = open;
    this.#values.settle(chunk, base);
    if (isKey && state >= Row.string << 8) this.#keys.held.hold(chunk, keyStart);
    if (open >= 0) this.#values.held.hold(chunk, valueStart);
  }

  /** The document has ended. */
  end(): ScanResult {
    const row = this.#state >> 8;
    const isWhole = row === Row.afterRoot || WHOLE_NUMBERS.includes(row);
    const isValid = isWhole && this.#depth === 0;
    return { isValid, found: isValid ? this.#values.parse() : new Map() };
  }

  #keepOuterBits(depth: number, bits: number): void {
    const word = (depth >> 5) - 1;
    if (word === this.#outerBits.length) {
      const wider = new Int32Array(2 * word);
      wider.set(this.#outerBits);
      this.#outerBits = wider;
    }
    this.#outerBits[word] = bits;
  }
}

// Copies for the hot loop: reading them from the imported enums would cost a third of its speed.
// deno-fmt-ignore
const INVALID: number = Act.invalid, OPEN_KEY: number = Act.openKey, IN_STRING: number = Act.inString,
  END_NUMBER: number = Act.endNumber, OPEN_OBJECT: number = Act.openObject, OPEN_ARRAY: number = Act.openArray,
  CLOSE: number = Act.close, END_LITERAL: number = Act.endLiteral, END_CHECKED_KEY: number = Act.endCheckedKey,
  IN_ARRAY: number = In.array, IN_OBJECT: number = In.object, IN_ROOT_OBJECT: number = In.rootObject,
  VALUE = Row.value << 8, AFTER = Row.afterRoot << 8, AFTER_KEY = Row.colon << 8, FIRST_KEY = Row.firstKey << 8,
  FIRST_ELEMENT = Row.firstElement << 8, STRING = Row.string << 8, ESCAPE = Row.escape << 8;

const NO_WORDS = new Int32Array(0);
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
