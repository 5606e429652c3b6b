import { Buffer } from "node:buffer";

/** What is open at the end of the bytes so far. */
// deno-fmt-ignore
enum At { anywhere, afterKey, beforeValue, inValue }

/**
 * Collects the string values of one key at every depth of a JSON document, from chunks that are cut
 * anywhere. It neither parses nor keeps them.
 *
 * It knows strings only: a quote begins or ends one unless an odd run of backslashes precedes it.
 * In a valid document it finds exactly what JSON.parse would, with duplicates and escaped
 * spellings. In what only a lenient reader accepts (comments, NaN, two documents) it still finds
 * all values; a strict scanner would stop there. Returns each spelling of a value once.
 */
export class StringsOfKey {
  readonly #key: RegExp;
  readonly #longestKey: number;
  readonly #longestValue: number;
  #at: At = At.anywhere;
  /** The end of the last chunk, if the key may begin there. Bytes are characters here. */
  #tail = "";
  /** An odd run of backslashes precedes the tail. */
  #isOddBefore = false;
  /** The open value so far, and whether its last byte escapes the next. */
  #value = "";
  #isEscaping = false;
  readonly #found: string[] = [];
  /** The values as the document writes them. */
  readonly #spellings = new Set<string>();
  #head: number[] = [];

  /** `key` is ASCII. Cuts a value at `maxValueBytes` as it is written. */
  constructor(key: string, options: { readonly maxValueBytes: number }) {
    this.#key = new RegExp(`"${[...key].map(spellingsOf).join("")}"`, "g");
    this.#longestKey = 6 * key.length + 2;
    this.#longestValue = options.maxValueBytes;
  }

  /**
   * It may have missed values. The document begins like UTF-16 or UTF-32 (RFC 8259 allows UTF-8
   * only, but readers may guess), or spells more than `MOST_SPELLINGS` values.
   */
  get isHidden(): boolean {
    if (this.#spellings.size > MOST_SPELLINGS) return true;
    const [first, second] = this.#head;
    return this.#head.includes(0) || (first === 0xfe && second === 0xff) || (first === 0xff && second === 0xfe);
  }

  /** Neither keeps nor changes the chunk. */
  push(chunk: Uint8Array): void {
    for (let i = 0; this.#head.length < 4 && i < chunk.length; i++) this.#head.push(chunk[i]!);
    const text = this.#tail + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString("latin1");
    this.#tail = "";
    let i = 0;
    while (i < text.length || this.#at === At.anywhere) {
      if (this.#at === At.anywhere) i = this.#seek(text, i);
      else if (this.#at === At.inValue) i = this.#readValue(text, i);
      else i = this.#step(text, i);
      if (i < 0) return;
    }
  }

  /** The values found since the last call. */
  take(): readonly string[] {
    return this.#found.splice(0);
  }

  /** The offset after the next key. Without one keeps the tail and returns -1. */
  #seek(text: string, from: number): number {
    this.#key.lastIndex = from;
    for (let match = this.#key.exec(text); match !== null; match = this.#key.exec(text)) {
      if (!this.#isOddRun(text, { from, to: match.index })) {
        this.#at = At.afterKey;
        this.#isOddBefore = false;
        return this.#key.lastIndex;
      }
      this.#key.lastIndex = match.index + 1;
    }
    const cut = Math.max(text.length - this.#longestKey, from);
    this.#isOddBefore = this.#isOddRun(text, { from, to: cut });
    this.#tail = text.slice(cut);
    return -1;
  }

  /** Whether the backslashes that end at `to` are odd in number. */
  #isOddRun(text: string, { from, to }: { readonly from: number; readonly to: number }): boolean {
    let start = to;
    while (start > from && text.charCodeAt(start - 1) === BACKSLASH) start--;
    const isOdd = (to - start) % 2 === 1;
    return start === from ? isOdd !== this.#isOddBefore : isOdd;
  }

  #step(text: string, i: number): number {
    const code = text.charCodeAt(i);
    if (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) return i + 1;
    const isExpected = code === (this.#at === At.afterKey ? COLON : QUOTE);
    this.#at = !isExpected ? At.anywhere : this.#at === At.afterKey ? At.beforeValue : At.inValue;
    return isExpected ? i + 1 : i;
  }

  #readValue(text: string, from: number): number {
    let i = from;
    while (i < text.length) {
      const code = text.charCodeAt(i);
      if (this.#isEscaping) this.#isEscaping = false;
      else if (code === BACKSLASH) this.#isEscaping = true;
      else if (code === QUOTE) break;
      i++;
    }
    this.#value += text.slice(from, Math.min(i, from + this.#longestValue - this.#value.length));
    if (i === text.length) return i;
    if (this.#spellings.size <= MOST_SPELLINGS && !this.#spellings.has(this.#value)) {
      this.#spellings.add(this.#value);
      this.#found.push(unescaped(this.#value));
    }
    this.#value = "";
    this.#at = At.anywhere;
    return i + 1;
  }
}

/** More files than one request can use, twice. */
const MOST_SPELLINGS = 20_000;
const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** An expression for the character or its escape. */
function spellingsOf(character: string): string {
  const hex = character.charCodeAt(0).toString(16).padStart(2, "0");
  const digits = [...hex].map((digit) => /[a-f]/.test(digit) ? `[${digit}${digit.toUpperCase()}]` : digit).join("");
  return `(?:${character}|\\\\u00${digits})`;
}

const PLAIN = /^[\x20-\x5b\x5d-\x7e]*$/;

/**
 * The string that the bytes between two quotes mean. Returns them unchanged if they are invalid.
 */
function unescaped(raw: string): string {
  if (PLAIN.test(raw)) return raw;
  const text = Buffer.from(raw, "latin1").toString("utf8");
  try {
    return JSON.parse(`"${text}"`);
  } catch {
    return text;
  }
}
