import { createParser, type EventSourceParser } from "eventsource-parser";

/** One event: its `event:` name, or an empty one, and its `data:` lines joined by line feeds. */
export interface SseEvent {
  readonly event: string;
  readonly data: string;
}

export interface SseReaderOptions {
  /**
   * Of an event's name and data together, in UTF-16 units. An event of no more bytes always fits.
   */
  readonly maxEventBytes: number;
  /** Gets each event during the `push` that completes it. Must not throw. */
  readonly onEvent: (event: SseEvent) => void;
  /**
   * A shortcut past whole events that the caller knows by their spelling. Gets text and the place
   * where an event begins; returns the place behind the last event that it took, which ends with a
   * line feed and a blank line. Must not throw.
   */
  readonly skip?: (text: string, from: number) => number;
}

/**
 * Reads server-sent events (WHATWG HTML, 9.2.6) from chunks that are cut anywhere. Never throws.
 *
 * It reports an event during the `push` that ends its blank line, so before any client can see it.
 * That holds for a carriage return too: eventsource-parser reports early, and skips a line feed
 * that may follow.
 */
export class SseReader {
  readonly #options: SseReaderOptions;
  readonly #parser: EventSourceParser;
  /** Keeps the byte order mark: the parser removes one, and the specification allows no more. */
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** The bytes so far end with a whole character. */
  #endsCharacter = true;
  /** The text so far ends with a line feed. */
  #endsLine = false;
  /**
   * The text so far ends with a line feed and a blank line: the parser holds nothing. False at the
   * start, because the parser has to see whether there is a byte order mark.
   */
  #isBetweenEvents = false;
  /** The start of an event that was cut: `skip` may know it whole, so the parser lacks it. */
  #cut = "";
  /** Where the next blank lines of the pushed text begin; not searched for again until passed. */
  #nextLf = -1;
  #nextCrLf = -1;
  #isBlind = false;

  constructor(options: SseReaderOptions) {
    this.#options = options;
    this.#parser = createParser({
      maxBufferSize: options.maxEventBytes + LONGEST_FIELD_PREFIX,
      onEvent: ({ event = "", data }) => this.#report({ event, data }),
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") this.#isBlind = true;
      },
    });
  }

  /** An event was longer than `maxEventBytes`: it reports and keeps nothing more. */
  get isBlind(): boolean {
    return this.#isBlind;
  }

  push(chunk: Uint8Array): void {
    if (this.#isBlind || chunk.length === 0) return;
    const text = this.#textOf(chunk);
    const cut = this.#cut;
    this.#cut = "";
    if (cut === "") return this.#read(text);
    // Not the whole text, which would be copied.
    this.#forgetBlankLines();
    const end = this.#endOfBlankLine(text, 0) ?? text.length;
    this.#read(cut + text.slice(0, end));
    this.#read(text.slice(end));
  }

  #read(text: string): void {
    this.#forgetBlankLines();
    for (let at = 0; at < text.length && !this.#isBlind;) {
      if (this.#isBetweenEvents) at = this.#options.skip?.(text, at) ?? at;
      if (this.#holds(text, at)) {
        this.#cut = text.slice(at);
        break;
      }
      if (at < text.length) at = this.#parseEvent(text, at);
    }
    if (this.#isBlind) this.#parser.reset();
  }

  #forgetBlankLines(): void {
    this.#nextLf = -1;
    this.#nextCrLf = -1;
  }

  /** A carriage return may end the event, which the parser reports at once. */
  #holds(text: string, from: number): boolean {
    const { skip, maxEventBytes } = this.#options;
    const length = text.length - from;
    if (skip === undefined || !this.#isBetweenEvents || length === 0) return false;
    if (length > Math.min(MOST_CUT, maxEventBytes)) return false;
    return !text.includes("\r", from) && text[from] !== "\n" && this.#endOfBlankLine(text, from) === null;
  }

  /** Deno 2.9.6 decodes text beyond ASCII eight times slower with `stream`. */
  #textOf(chunk: Uint8Array): string {
    const startsCharacter = this.#endsCharacter;
    this.#endsCharacter = chunk[chunk.length - 1]! < 0x80;
    return this.#decoder.decode(chunk, { stream: !(startsCharacter && this.#endsCharacter) });
  }

  /** Parses up to the next blank line, otherwise all. Returns the place behind it. */
  #parseEvent(text: string, from: number): number {
    const isBlank = this.#endsLine && from === 0 && text[0] === "\n";
    const blank = isBlank ? 1 : this.#endOfBlankLine(text, from);
    const to = blank ?? text.length;
    this.#parser.feed(from === 0 && to === text.length ? text : text.slice(from, to));
    this.#isBetweenEvents = blank !== null;
    this.#endsLine = text[to - 1] === "\n";
    return to;
  }

  /** The place behind the next blank line that follows a line feed; null: the text has none. */
  #endOfBlankLine(text: string, from: number): number | null {
    if (this.#nextLf < from) this.#nextLf = placeOf("\n\n", text, from);
    if (this.#nextCrLf < from) this.#nextCrLf = placeOf("\n\r\n", text, from);
    const end = Math.min(this.#nextLf + 2, this.#nextCrLf + 3);
    return end === Infinity ? null : end;
  }

  /** The stream has ended. Drops an event without its blank line, as specification and SDKs do. */
  end(): void {
    this.#decoder.decode();
    this.#cut = "";
    this.#parser.reset();
  }

  #report(event: SseEvent): void {
    if (event.event.length + event.data.length > this.#options.maxEventBytes) this.#isBlind = true;
    if (!this.#isBlind) this.#options.onEvent(event);
  }
}

/** Longer ones are the parser's: it does not read them from the start with each chunk. */
const MOST_CUT = 4 * 1024;

/** `event: `: the parser counts it while a line is incomplete. */
const LONGEST_FIELD_PREFIX = 7;

function placeOf(ending: string, text: string, from: number): number {
  const at = text.indexOf(ending, from);
  return at < 0 ? Infinity : at;
}
