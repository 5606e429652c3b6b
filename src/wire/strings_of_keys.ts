import { Buffer } from "node:buffer";

/** Which strings are collected. All keys and the mark are ASCII, and no longer than 100. */
export interface StringKeys {
  /** Their string, or all in the array or object there, at any depth; its keys do not count. */
  readonly below: readonly string[];
  /** Their value, if that is a string. */
  readonly at?: readonly string[];
  /** A string that is looked for anywhere. */
  readonly mark?: string;
}

export interface StringsFound {
  readonly below: readonly string[];
  readonly at: readonly string[];
}

/** What is open at the end of the bytes so far. */
// deno-fmt-ignore
enum State { anywhere, afterKey, beforeValue, inValue, inside, afterInner }

// deno-fmt-ignore
enum Kind { below = 1, at, mark }

/**
 * Collects the string values of some keys at every depth of a JSON document, from chunks that are
 * cut anywhere. It neither parses nor keeps them.
 *
 * It knows strings only: a quote begins or ends one unless an odd run of backslashes precedes it.
 * In a valid document it finds exactly what JSON.parse would, with duplicates and escaped
 * spellings. In what only a lenient reader accepts (comments, NaN, two documents) it still finds
 * all values; a strict scanner would stop there. Within an array or object below a key it hides
 * what only a lenient reader accepts. Returns each spelling of a value once.
 */
export class StringsOfKeys {
  readonly #key: RegExp;
  /** By the key in quotes. */
  readonly #kinds = new Map<string, Kind>();
  /** That of the only key. */
  readonly #onlyKind: Kind | undefined;
  readonly #mark: string | null;
  readonly #longestKey: number;
  readonly #longestValue: number;
  #state: State = State.anywhere;
  /** Of the open key or value. */
  #kind: Kind = Kind.below;
  /** The end of the last chunk, if a key may begin there. Bytes are characters here. */
  #tail = "";
  /** An odd run of backslashes precedes the tail. */
  #isOddBefore = false;
  /** The open value so far, and whether its last byte escapes the next. */
  #value = "";
  #isEscaping = false;
  /** Brackets and braces that are open below a key. */
  #arrays = 0;
  #objects = 0;
  #isLenient = false;
  #hasMark = false;
  readonly #below = new Spellings();
  readonly #atKeys = new Spellings();
  #head: number[] = [];

  /** Cuts a value at `maxValueBytes` as it is written. */
  constructor({ below, at = [], mark }: StringKeys, options: { readonly maxValueBytes: number }) {
    this.#mark = mark ?? null;
    if (mark !== undefined) this.#kinds.set(`"${mark}"`, Kind.mark);
    for (const key of at) this.#kinds.set(`"${key}"`, Kind.at);
    for (const key of below) this.#kinds.set(`"${key}"`, Kind.below);
    const keys = [...below, ...at, ...(mark === undefined ? [] : [mark])];
    this.#onlyKind = keys.length === 1 ? [...this.#kinds.values()][0] : undefined;
    this.#key = expressionFor(keys);
    this.#longestKey = 6 * Math.max(0, ...keys.map((key) => key.length)) + 2;
    this.#longestValue = options.maxValueBytes;
  }

  /**
   * It may have missed values. The document begins like UTF-16 or UTF-32 (RFC 8259 allows UTF-8
   * only, but readers may guess), is no JSON below a key, or spells more than `MOST_SPELLINGS`
   * values of a kind.
   */
  get isHidden(): boolean {
    if (this.#isLenient || this.#below.areTooMany || this.#atKeys.areTooMany) return true;
    const [first, second] = this.#head;
    return this.#head.includes(0) || (first === 0xfe && second === 0xff) || (first === 0xff && second === 0xfe);
  }

  /** The mark has come as a string or a key. */
  get hasMark(): boolean {
    return this.#hasMark;
  }

  /** Neither keeps nor changes the chunk. */
  push(chunk: Uint8Array): void {
    for (let i = 0; this.#head.length < 4 && i < chunk.length; i++) this.#head.push(chunk[i]!);
    const text = this.#tail + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString("latin1");
    this.#tail = "";
    let i = 0;
    while (i < text.length || this.#state === State.anywhere) {
      if (this.#state === State.anywhere) i = this.#seek(text, i);
      else if (this.#state === State.inValue) i = this.#readValue(text, i);
      else if (this.#state === State.inside) i = this.#stepInside(text, i);
      else i = this.#step(text, i);
      if (i < 0) return;
    }
  }

  /** The values found since the last call. */
  take(): StringsFound {
    return { below: this.#below.take(), at: this.#atKeys.take() };
  }

  /** The offset after the next key. Without one keeps the tail and returns -1. */
  #seek(text: string, from: number): number {
    this.#key.lastIndex = from;
    for (let match = this.#key.exec(text); match !== null; match = this.#key.exec(text)) {
      const kind = this.#isOddRun(text, { from, to: match.index }) ? undefined : this.#onlyKind ?? this.#kindOf(match[0]);
      if (kind === Kind.at || kind === Kind.below) {
        this.#kind = kind;
        this.#state = State.afterKey;
        this.#isOddBefore = false;
        return this.#key.lastIndex;
      }
      this.#hasMark ||= kind === Kind.mark;
      this.#key.lastIndex = match.index + 1;
    }
    const cut = Math.max(text.length - this.#longestKey, from);
    this.#isOddBefore = this.#isOddRun(text, { from, to: cut });
    this.#tail = text.slice(cut);
    return -1;
  }

  /** `quoted` is as the document writes it. */
  #kindOf(quoted: string): Kind | undefined {
    const kind = this.#kinds.get(quoted);
    if (kind !== undefined) return kind;
    return this.#kinds.get(quoted.replace(/\\u00(..)/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))));
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
    if (isSpace(code)) return i + 1;
    if (this.#state === State.afterInner) {
      // A colon follows a key.
      if (code === COLON) this.#value = "";
      else this.#keep();
      this.#state = State.inside;
      return i;
    }
    if (this.#state === State.afterKey) {
      this.#state = code === COLON ? State.beforeValue : State.anywhere;
      return code === COLON ? i + 1 : i;
    }
    if (code === QUOTE) {
      this.#state = State.inValue;
      return i + 1;
    }
    this.#state = this.#kind === Kind.below && (code === OPEN_ARRAY || code === OPEN_OBJECT) ? State.inside : State.anywhere;
    return i;
  }

  #stepInside(text: string, from: number): number {
    for (let i = from; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === QUOTE) {
        this.#state = State.inValue;
        return i + 1;
      }
      if (code === OPEN_ARRAY) this.#arrays++;
      else if (code === OPEN_OBJECT) this.#objects++;
      else if (code === CLOSE_ARRAY) this.#arrays--;
      else if (code === CLOSE_OBJECT) this.#objects--;
      else if (OUTSIDE_STRINGS[code] === 1) continue;
      else this.#isLenient = true;
      const isMixed = this.#arrays < 0 || this.#objects < 0;
      if (isMixed) {
        this.#isLenient = true;
        [this.#arrays, this.#objects] = [0, 0];
      }
      if (this.#arrays === 0 && this.#objects === 0) {
        this.#state = State.anywhere;
        return i + 1;
      }
    }
    return text.length;
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
    if (this.#arrays > 0 || this.#objects > 0) {
      this.#state = State.afterInner;
    } else {
      this.#keep();
      this.#state = State.anywhere;
    }
    return i + 1;
  }

  #keep(): void {
    const value = (this.#kind === Kind.at ? this.#atKeys : this.#below).add(this.#value);
    if (value !== null && value === this.#mark) this.#hasMark = true;
    this.#value = "";
  }
}

/** Values as a document writes them, each once. */
class Spellings {
  readonly #seen = new Set<string>();
  #values: string[] = [];

  get areTooMany(): boolean {
    return this.#seen.size > MOST_SPELLINGS;
  }

  /** Returns what a new one means; null for one that has been here. */
  add(spelling: string): string | null {
    if (this.areTooMany || this.#seen.has(spelling)) return null;
    this.#seen.add(spelling);
    const value = unescaped(spelling);
    this.#values.push(value);
    return value;
  }

  take(): readonly string[] {
    const values = this.#values;
    this.#values = [];
    return values;
  }
}

/** More things than one request can name, twice. */
const MOST_SPELLINGS = 20_000;
const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** 1 for what JSON has between strings, besides brackets. */
const OUTSIDE_STRINGS = new Uint8Array(256);
for (const character of " \t\n\r,:+-.0123456789eEtrufalsn") OUTSIDE_STRINGS[character.charCodeAt(0)] = 1;

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

const EXPRESSIONS = new Map<string, RegExp>();

/**
 * Finds one of the words in quotes. Those of dialects are few, so each is made once; it keeps
 * nothing from one search to the next.
 */
function expressionFor(words: readonly string[]): RegExp {
  const name = words.join("|");
  let expression = EXPRESSIONS.get(name);
  if (expression === undefined) {
    const source = words.length === 0 ? "(?!)" : `"(?:${words.map(spellingsOfAll).join("|")})"`;
    EXPRESSIONS.set(name, expression = new RegExp(source, "g"));
  }
  return expression;
}

/** An expression for a text of which each character may be its escape. */
function spellingsOfAll(text: string): string {
  return [...text].map(spellingsOf).join("");
}

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
