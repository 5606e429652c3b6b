import { Buffer } from "node:buffer";

/** What is open at the end of the bytes so far. */
enum At {
  anywhere,
  behindKey,
  beforeValue,
  inValue,
}

/**
 * Collects the string values of one key, at whatever depth of a JSON document it stands, from chunks that are cut anywhere,
 * without parsing or keeping them.
 *
 * It goes by the strings alone: a quote with no odd run of backslashes before it begins or ends one, wherever it stands. So in a
 * valid document it finds exactly what JSON.parse would, duplicates and escaped spellings too, and in what only a lenient
 * reader takes (comments, NaN, two documents) still all of it. Each spelling of a value is given once.
 */
export class StringsOfKey {
  readonly #plain: string;
  readonly #key: RegExp;
  readonly #longestKey: number;
  readonly #longestValue: number;
  #at: At = At.anywhere;
  /** The end of what was read while nothing was open, in which the key may begin; bytes as characters. */
  #tail = "";
  /** Whether an odd run of backslashes ends before it. */
  #isOddBefore = false;
  /** What has come of the value that is open, and whether its last byte is a backslash that escapes the next. */
  #value = "";
  #isEscaping = false;
  #found: string[] = [];
  /** The values as they are written. */
  readonly #spellings = new Set<string>();
  /** Where in the text that is read the key's plain spelling, and an escape, come next: -1 nowhere, below the place that is read not looked for. */
  #plainAt = UNKNOWN;
  #escapeAt = UNKNOWN;
  #head: number[] = [];

  /** `key` is ASCII. A value of more than `maxValueBytes` as it is written is given cut: it is longer than anything that is looked for. */
  constructor(key: string, options: { readonly maxValueBytes: number }) {
    this.#plain = key;
    this.#key = new RegExp(`"${[...key].map(spellingsOf).join("")}"`, "g");
    this.#longestKey = 6 * key.length + 2;
    this.#longestValue = options.maxValueBytes;
  }

  /**
   * The document begins as UTF-16 or UTF-32 does: no string of it can be seen. (RFC 8259 has UTF-8 only; readers may guess.)
   * Or it spells more values than are looked at.
   */
  get isHidden(): boolean {
    if (this.#spellings.size > MOST_SPELLINGS) return true;
    const [first, second] = this.#head;
    return this.#head.includes(0) || (first === 0xfe && second === 0xff) || (first === 0xff && second === 0xfe);
  }

  /** Reads on. The chunk is neither kept nor changed. */
  push(chunk: Uint8Array): void {
    for (let i = 0; this.#head.length < 4 && i < chunk.length; i++) this.#head.push(chunk[i]!);
    const text = this.#tail + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString("latin1");
    this.#tail = "";
    this.#plainAt = this.#escapeAt = UNKNOWN;
    let i = 0;
    while (i < text.length || this.#at === At.anywhere) {
      if (this.#at === At.anywhere) {
        const next = this.#seek(text, i);
        if (next < 0) return;
        i = next;
      } else if (this.#at === At.inValue) {
        i = this.#readValue(text, i);
      } else {
        i = this.#step(text, i);
      }
    }
  }

  /** What was found since this was last asked. */
  take(): readonly string[] {
    const found = this.#found;
    if (found.length > 0) this.#found = [];
    return found;
  }

  /** The index behind the next key; -1 where there is none, and the tail is kept. */
  #seek(text: string, from: number): number {
    const isPossible = this.#isPossible(text, from);
    this.#key.lastIndex = from;
    for (let match = isPossible ? this.#key.exec(text) : null; match !== null; match = this.#key.exec(text)) {
      if (!this.#isOddRun(text, { from, to: match.index })) {
        this.#at = At.behindKey;
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

  /** Each part of the text is looked through once, however often the key stands in it. */
  #isPossible(text: string, from: number): boolean {
    if (this.#plainAt !== NOWHERE && this.#plainAt < from) this.#plainAt = text.indexOf(this.#plain, from);
    if (this.#plainAt !== NOWHERE) return true;
    if (this.#escapeAt !== NOWHERE && this.#escapeAt < from) this.#escapeAt = text.indexOf("\\u00", from);
    return this.#escapeAt !== NOWHERE;
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
    const isExpected = code === (this.#at === At.behindKey ? COLON : QUOTE);
    this.#at = !isExpected ? At.anywhere : this.#at === At.behindKey ? At.beforeValue : At.inValue;
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
const NOWHERE = -1;
const UNKNOWN = -2;
const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** An expression for the character as it is or as its escape. */
function spellingsOf(character: string): string {
  const hex = character.charCodeAt(0).toString(16).padStart(2, "0");
  const digits = [...hex].map((digit) => /[a-f]/.test(digit) ? `[${digit}${digit.toUpperCase()}]` : digit).join("");
  return `(?:${character}|\\\\u00${digits})`;
}

const PLAIN = /^[\x20-\x5b\x5d-\x7e]*$/;

/** The string that the bytes (as characters) between two quotes mean; as they are where they mean none. */
function unescaped(raw: string): string {
  if (PLAIN.test(raw)) return raw;
  const text = Buffer.from(raw, "latin1").toString("utf8");
  try {
    return JSON.parse(`"${text}"`);
  } catch {
    return text;
  }
}
