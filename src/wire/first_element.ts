import { createHash } from "node:crypto";
import { EVENT_LOOP_BUDGET } from "./event_loop_budget.ts";

/**
 * SHA-256 (hex) of the first element of the array at `range` of a valid JSON document, or of the
 * string there, as if it were that element; null if there is neither, or an empty array.
 *
 * White space between tokens does not count, nor do members named `without`, at any depth. The rest
 * counts as it was sent: the order of keys, the spelling of strings and numbers. Memory is constant
 * however large the element is, and `EVENT_LOOP_BUDGET` shares the event loop.
 */
export async function hashFirstElement(
  body: Uint8Array,
  { range, without, pieceBytes = PIECE_BYTES }: {
    readonly range: { readonly start: number; readonly end: number };
    readonly without: string;
    readonly pieceBytes?: number;
  },
): Promise<string | null> {
  const element = new FirstElement(without);
  for (let from = range.start; from < range.end; from += pieceBytes) {
    const piece = body.subarray(from, Math.min(from + pieceBytes, range.end));
    await EVENT_LOOP_BUDGET.enter(piece.length);
    if (element.push(piece)) return element.digest();
  }
  // Only now is a text that is spelled as the unwanted key known to be a text.
  return element.push(AFTER) ? element.digest() : null;
}

/** So much at a time. */
const PIECE_BYTES = 64 * 1024;
const BUFFER_BYTES = 4 * 1024;
const AFTER = new TextEncoder().encode(" ");
/** Hashes a longer piece of a string in place, without copying it. */
const COPIED_BYTES = 64;

/** What is open at the end of the bytes so far. */
enum At {
  array,
  firstElement,
  structure,
  literal,
  string,
  /** A string that may become the unwanted key: none of it has been hashed. */
  maybeKey,
  afterMaybeKey,
  done,
}

const NOT_SKIPPING = -1;

/**
 * Hashes tokens without commas. A string ends with its quote, and a number or literal gets a comma,
 * so that different elements never look alike.
 */
class FirstElement {
  readonly #hash = createHash("sha256");
  /** The unwanted key, with its quotes. */
  readonly #key: Uint8Array;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #buffered = 0;
  #at: At = At.array;
  /** Open containers within the element. */
  #depth = 0;
  /** The depth of the unwanted key whose value is being left out. */
  #skipDepth = NOT_SKIPPING;
  /** How many bytes match the unwanted key. */
  #matched = 0;
  /** An odd run of backslashes, within a string, ends the last chunk. */
  #isEscaping = false;

  constructor(without: string) {
    this.#key = new TextEncoder().encode(JSON.stringify(without));
  }

  /** True when the element, or the array, has ended. */
  push(chunk: Uint8Array): boolean {
    let i = 0;
    while (i < chunk.length && this.#at !== At.done) {
      if (this.#at === At.string) i = this.#readString(chunk, i);
      else i = this.#step(chunk[i]!) ? i + 1 : i;
    }
    return this.#at === At.done;
  }

  /** Null if there was no element. */
  digest(): string | null {
    if (this.#matched < 0) return null;
    this.#flush();
    return this.#hash.digest("hex");
  }

  /** False: read the byte again. */
  #step(byte: number): boolean {
    switch (this.#at) {
      case At.array:
        if (byte === QUOTE) {
          this.#at = At.structure;
          return false;
        }
        if (byte !== OPEN_ARRAY) this.#endWithout();
        else this.#at = At.firstElement;
        return true;
      case At.firstElement:
        if (isSpace(byte)) return true;
        if (byte === CLOSE_ARRAY) {
          this.#endWithout();
          return true;
        }
        this.#at = At.structure;
        return false;
      case At.structure:
        this.#readToken(byte);
        return true;
      case At.literal:
        if (!isSpace(byte) && byte !== COMMA && byte !== CLOSE_ARRAY && byte !== CLOSE_OBJECT) {
          this.#emit(byte);
          return true;
        }
        this.#emit(COMMA);
        this.#endValue();
        return false;
      case At.maybeKey:
        if (byte !== this.#key[this.#matched]) {
          this.#emitMatched();
          this.#at = At.string;
          return false;
        }
        this.#matched++;
        if (this.#matched === this.#key.length) this.#at = At.afterMaybeKey;
        return true;
      default:
        return this.#stepAfterMaybeKey(byte);
    }
  }

  #stepAfterMaybeKey(byte: number): boolean {
    // An element that is this string ends with it, and no colon can follow.
    if (isSpace(byte) && this.#depth > 0) return true;
    if (byte === COLON) {
      this.#skipDepth = this.#depth;
      this.#at = At.structure;
      return true;
    }
    this.#emitMatched();
    this.#endValue();
    return false;
  }

  #readToken(byte: number): void {
    switch (byte) {
      case SPACE:
      case TAB:
      case LINE_FEED:
      case CARRIAGE_RETURN:
      case COMMA:
        return;
      case QUOTE:
        this.#isEscaping = false;
        this.#matched = 1;
        this.#at = this.#skipDepth === NOT_SKIPPING ? At.maybeKey : At.string;
        return;
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        this.#depth++;
        this.#emit(byte);
        return;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        this.#depth--;
        this.#emit(byte);
        this.#endValue();
        return;
      case COLON:
        this.#emit(byte);
        return;
      default:
        this.#emit(byte);
        this.#at = At.literal;
    }
  }

  /** The offset after the string's quote, or the chunk's end. */
  #readString(chunk: Uint8Array, from: number): number {
    let end = from;
    for (;;) {
      const quote = chunk.indexOf(QUOTE, end);
      end = quote < 0 ? chunk.length : quote;
      let start = end;
      while (start > from && chunk[start - 1] === BACKSLASH) start--;
      const isOdd = (end - start) % 2 === 1;
      const isEscaping = start === from && this.#isEscaping ? !isOdd : isOdd;
      if (quote < 0) {
        this.#isEscaping = isEscaping;
        this.#emitAll(chunk.subarray(from, end));
        return end;
      }
      end++;
      if (isEscaping) continue;
      this.#emitAll(chunk.subarray(from, end));
      this.#endValue();
      return end;
    }
  }

  /** A string (a key is one too), a literal or a container has ended. */
  #endValue(): void {
    if (this.#skipDepth === this.#depth) this.#skipDepth = NOT_SKIPPING;
    this.#at = this.#depth === 0 ? At.done : At.structure;
  }

  #endWithout(): void {
    this.#matched = -1;
    this.#at = At.done;
  }

  #emitMatched(): void {
    this.#emitAll(this.#key.subarray(0, this.#matched));
  }

  #emit(byte: number): void {
    if (this.#skipDepth !== NOT_SKIPPING) return;
    if (this.#buffered === BUFFER_BYTES) this.#flush();
    this.#buffer[this.#buffered++] = byte;
  }

  #emitAll(bytes: Uint8Array): void {
    if (this.#skipDepth !== NOT_SKIPPING) return;
    if (bytes.length > COPIED_BYTES) {
      this.#flush();
      this.#hash.update(bytes);
      return;
    }
    if (this.#buffered + bytes.length > BUFFER_BYTES) this.#flush();
    this.#buffer.set(bytes, this.#buffered);
    this.#buffered += bytes.length;
  }

  #flush(): void {
    if (this.#buffered > 0) this.#hash.update(this.#buffer.subarray(0, this.#buffered));
    this.#buffered = 0;
  }
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
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
