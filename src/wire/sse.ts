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
    if (this.#isBlind) return;
    this.#parser.feed(this.#decoder.decode(chunk, { stream: true }));
    if (this.#isBlind) this.#parser.reset();
  }

  /** The stream has ended. Drops an event without its blank line, as specification and SDKs do. */
  end(): void {
    this.#decoder.decode();
    this.#parser.reset();
  }

  #report(event: SseEvent): void {
    if (event.event.length + event.data.length > this.#options.maxEventBytes) this.#isBlind = true;
    if (!this.#isBlind) this.#options.onEvent(event);
  }
}

/** `event: `: the parser counts it while a line is incomplete. */
const LONGEST_FIELD_PREFIX = 7;
