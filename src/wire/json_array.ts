import { Buffer } from "node:buffer";

export interface JsonArrayReaderOptions {
  /** Of one element as it is spelled. */
  readonly maxElementBytes: number;
  /** Gets each element's text during the `push` that completes it. Must not throw. */
  readonly onElement: (text: string) => void;
}

/** What the next byte belongs to. */
enum At {
  start,
  /** Behind the opening bracket: an element or the closing bracket. */
  firstElement,
  /** Behind a comma. */
  nextElement,
  element,
  afterElement,
  end,
  invalid,
}

/**
 * Reads the elements of a JSON array (RFC 8259) from chunks that are cut anywhere. Never throws.
 *
 * It cuts the array at its commas and leaves the grammar of each element to JSON.parse. A string,
 * an array or an object is complete with its last byte; a number or a literal with the byte after.
 * It keeps the open element only.
 */
export class JsonArrayReader {
  readonly #options: JsonArrayReaderOptions;
  #at: At = At.start;
  /** Open containers within the element. */
  #depth = 0;
  #isInString = false;
  /** An odd run of backslashes, within a string, ends the last chunk. */
  #isEscaping = false;
  /** What earlier chunks hold of the open element. */
  #held: Uint8Array = new Uint8Array();
  #heldBytes = 0;
  #isBlind = false;

  constructor(options: JsonArrayReaderOptions) {
    this.#options = options;
  }

  /** An element was longer than `maxElementBytes`: it reports and keeps nothing more. */
  get isBlind(): boolean {
    return this.#isBlind;
  }

  /** The array's closing bracket has come, and nothing but white space after it. */
  get isWhole(): boolean {
    return this.#at === At.end;
  }

  /** Copies what it keeps of the chunk. */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length && !this.#isBlind && this.#at !== At.invalid;) {
      if (this.#at === At.element) at = this.#takeElement(chunk, at);
      else at += this.#step(chunk[at]!);
    }
  }

  /** The bytes have ended. Drops an element that is not complete. */
  end(): void {
    this.#drop();
  }

  /** Reads a byte between elements. Returns how many it took: none if it begins an element. */
  #step(byte: number): 0 | 1 {
    if (isSpace(byte)) return 1;
    switch (this.#at) {
      case At.start:
        if (byte === OPEN_ARRAY) this.#at = At.firstElement;
        else if (!BYTE_ORDER_MARK.includes(byte)) this.#at = At.invalid;
        return 1;
      case At.afterElement:
        this.#at = byte === COMMA ? At.nextElement : byte === CLOSE_ARRAY ? At.end : At.invalid;
        return 1;
      case At.firstElement:
        if (byte !== CLOSE_ARRAY) return this.#beginElement(byte);
        this.#at = At.end;
        return 1;
      case At.nextElement:
        return this.#beginElement(byte);
      default:
        this.#at = At.invalid;
        return 1;
    }
  }

  #beginElement(byte: number): 0 {
    this.#at = ENDS_SCALAR[byte] === 0 ? At.element : At.invalid;
    return 0;
  }

  /** The place behind what it took of the open element. */
  #takeElement(chunk: Uint8Array, from: number): number {
    const end = this.#endOf(chunk, from);
    const part = chunk.subarray(from, end ?? chunk.length);
    if (this.#heldBytes + part.length > this.#options.maxElementBytes) {
      this.#isBlind = true;
      this.#drop();
      return chunk.length;
    }
    if (end === null) {
      this.#hold(part);
      return chunk.length;
    }
    this.#at = At.afterElement;
    if (this.#heldBytes > 0) {
      this.#hold(part);
      const whole = this.#held.subarray(0, this.#heldBytes);
      this.#drop();
      this.#options.onElement(textOf(whole));
    } else {
      this.#options.onElement(textOf(part));
    }
    return end;
  }

  /** The place behind the open element; null if it is still open at the chunk's end. */
  #endOf(chunk: Uint8Array, from: number): number | null {
    const { length } = chunk;
    for (let i = from; i < length;) {
      if (this.#isInString) {
        i = this.#readString(chunk, i);
        if (this.#depth === 0 && !this.#isInString) return i;
        continue;
      }
      if (this.#depth === 0 && ENDS_SCALAR[chunk[i]!] === 1) return i;
      while (this.#depth > 0 && i < length && IS_STRUCTURE[chunk[i]!] === 0) i++;
      if (i === length) return null;
      const byte = chunk[i++]!;
      if (byte === QUOTE) this.#isInString = true;
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) this.#depth++;
      else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
        this.#depth--;
        if (this.#depth === 0) return i;
      }
    }
    return null;
  }

  /** The place behind the string's closing quote, otherwise the chunk's end. */
  #readString(chunk: Uint8Array, from: number): number {
    for (let at = from;;) {
      const quote = chunk.indexOf(QUOTE, at);
      const end = quote < 0 ? chunk.length : quote;
      let start = end;
      while (start > at && chunk[start - 1] === BACKSLASH) start--;
      // The run goes on from the last chunk if only backslashes came in this one.
      const isOdd = (end - start) % 2 === 1;
      const isEscaping = start === from && this.#isEscaping ? !isOdd : isOdd;
      this.#isEscaping = isEscaping && quote < 0;
      if (quote < 0) return end;
      at = quote + 1;
      if (isEscaping) continue;
      this.#isInString = false;
      return at;
    }
  }

  #hold(part: Uint8Array): void {
    const bytes = this.#heldBytes + part.length;
    if (bytes > this.#held.length) {
      const wider = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(2 * bytes, this.#options.maxElementBytes)));
      wider.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = wider;
    }
    this.#held.set(part, this.#heldBytes);
    this.#heldBytes = bytes;
  }

  #drop(): void {
    this.#held = new Uint8Array();
    this.#heldBytes = 0;
  }
}

const decoder = new TextDecoder();

function textOf(element: Uint8Array): string {
  return decoder.decode(element);
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === TAB;
}

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** By byte: 1 for those that change the depth, or begin a string. */
const IS_STRUCTURE = flags(QUOTE, OPEN_ARRAY, OPEN_OBJECT, CLOSE_ARRAY, CLOSE_OBJECT);
/** By byte: 1 for those that no element begins with, and that end a number or a literal. */
const ENDS_SCALAR = flags(COMMA, CLOSE_ARRAY, CLOSE_OBJECT, TAB, LINE_FEED, CARRIAGE_RETURN, SPACE);

function flags(...bytes: number[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const byte of bytes) table[byte] = 1;
  return table;
}
