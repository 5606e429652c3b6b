import { createParser, type EventSourceParser } from "eventsource-parser";

/** One dispatched event: its `event:` name, empty where it has none, and its `data:` lines joined by line feeds. */
export interface SseEvent {
  readonly event: string;
  readonly data: string;
}

export interface SseReaderOptions {
  /** The most of an event's name and data together, in UTF-16 units: an event of no more bytes than this is always read. */
  readonly maxEventBytes: number;
  /** Gets each event during the `push` that completes it. Must not throw. */
  readonly onEvent: (event: SseEvent) => void;
}

/**
 * Reads server-sent events (WHATWG HTML, 9.2.6) from bytes that come in chunks, cut anywhere. Never throws.
 *
 * An event is reported during the very `push` that ends its blank line, also where that ends with a carriage return whose
 * line feed may be still to come (eventsource-parser decides that early, and remembers to skip the line feed): no client can
 * dispatch an event from bytes of which the last have not been pushed.
 */
export class SseReader {
  readonly #options: SseReaderOptions;
  readonly #parser: EventSourceParser;
  /** Keeps the byte order mark, because the parser takes away one and the specification no more than one. */
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

  /** An event was longer than `maxEventBytes`. Neither it nor any later one is reported, and nothing more is kept. */
  get isBlind(): boolean {
    return this.#isBlind;
  }

  push(chunk: Uint8Array): void {
    if (this.#isBlind) return;
    this.#parser.feed(this.#decoder.decode(chunk, { stream: true }));
    if (this.#isBlind) this.#parser.reset();
  }

  /** The stream has ended. An event without its blank line is not reported: the specification drops it, and so do Anthropic's SDKs. */
  end(): void {
    this.#decoder.decode();
    this.#parser.reset();
  }

  #report(event: SseEvent): void {
    if (event.event.length + event.data.length > this.#options.maxEventBytes) this.#isBlind = true;
    if (!this.#isBlind) this.#options.onEvent(event);
  }
}

/** `event: `, which the parser counts in while a line is incomplete. */
const LONGEST_FIELD_PREFIX = 7;
