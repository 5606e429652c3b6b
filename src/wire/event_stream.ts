import { EventStreamCodec } from "@smithy/core/event-streams";
import { crc32 } from "node:zlib";

/** One message. Its payload is a view of bytes that may change when `onMessage` has returned. */
export interface EventStreamMessage {
  /** Those of the type string; the others are left out. */
  readonly headers: ReadonlyMap<string, string>;
  readonly payload: Uint8Array;
}

export interface EventStreamReaderOptions {
  /** Of a message with its frame. */
  readonly maxMessageBytes: number;
  /** Gets each message during the `push` that completes it. Must not throw. */
  readonly onMessage: (message: EventStreamMessage) => void;
}

/** The lengths of the message and of its headers, and the CRC-32 of these eight bytes. */
const PRELUDE_BYTES = 12;
/** A prelude, and the CRC-32 of all that is before it. */
const LEAST_BYTES = PRELUDE_BYTES + 4;

const NOTHING = new Uint8Array(0);
const decoder = new TextDecoder();
const encoder = new TextEncoder();
const codec = new EventStreamCodec(
  (bytes) => typeof bytes === "string" ? bytes : decoder.decode(bytes),
  (text) => encoder.encode(text),
);

/**
 * Reads messages of `application/vnd.amazon.eventstream` from chunks that are cut anywhere
 * (https://smithy.io/2.0/aws/amazon-eventstream.html). Never throws.
 *
 * AWS's codec checks and takes apart a whole message; where messages end is found here. A wrong
 * checksum ends the stream for AWS's clients, so what follows one is not reported.
 */
export class EventStreamReader {
  readonly #options: EventStreamReaderOptions;
  /** Begins with the bytes of a message whose end has not come. Longer than they are. */
  #kept = NOTHING;
  #keptBytes = 0;
  #isBlind = false;

  constructor(options: EventStreamReaderOptions) {
    this.#options = options;
  }

  /** A message was too long or damaged: the reader reports and keeps nothing more. */
  get isBlind(): boolean {
    return this.#isBlind;
  }

  push(chunk: Uint8Array): void {
    let from = this.#keptBytes > 0 ? this.#complete(chunk) : 0;
    while (!this.#isBlind && from < chunk.length) {
      const bytes = chunk.length - from < PRELUDE_BYTES ? Infinity : this.#lengthOf(chunk.subarray(from));
      if (bytes > chunk.length - from) {
        this.#keep(chunk.subarray(from));
        break;
      }
      this.#report(chunk.subarray(from, from + bytes));
      from += bytes;
    }
    if (this.#isBlind) [this.#kept, this.#keptBytes] = [NOTHING, 0];
  }

  /** Adds to the message that is kept, up to its end. Returns how much of the chunk it took. */
  #complete(chunk: Uint8Array): number {
    const ofPrelude = Math.min(Math.max(PRELUDE_BYTES - this.#keptBytes, 0), chunk.length);
    this.#keep(chunk.subarray(0, ofPrelude));
    if (this.#keptBytes < PRELUDE_BYTES) return ofPrelude;
    const bytes = this.#lengthOf(this.#kept);
    const to = Math.min(ofPrelude + bytes - this.#keptBytes, chunk.length);
    this.#keep(chunk.subarray(ofPrelude, to));
    if (this.#keptBytes < bytes) return to;
    this.#keptBytes = 0;
    this.#report(this.#kept.subarray(0, bytes));
    return to;
  }

  /** The length that a prelude says. A damaged one would be waited for until the stream ends. */
  #lengthOf(message: Uint8Array): number {
    const view = new DataView(message.buffer, message.byteOffset, PRELUDE_BYTES);
    const bytes = view.getUint32(0);
    const isGood = crc32(message.subarray(0, 8)) === view.getUint32(8);
    if (!isGood || bytes < LEAST_BYTES || bytes > this.#options.maxMessageBytes) this.#isBlind = true;
    return bytes;
  }

  #report(message: Uint8Array): void {
    if (this.#isBlind) return;
    let read: EventStreamMessage;
    try {
      const { headers, body } = codec.decode(message);
      read = { headers: stringsOf(headers), payload: body };
    } catch {
      this.#isBlind = true;
      return;
    }
    this.#options.onMessage(read);
  }

  /** The room doubles: what a prelude says of its length is not believed before the bytes come. */
  #keep(bytes: Uint8Array): void {
    const needed = this.#keptBytes + bytes.length;
    if (this.#isBlind || bytes.length === 0) return;
    if (needed > this.#kept.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#kept.length, 512));
      grown.set(this.#kept.subarray(0, this.#keptBytes));
      this.#kept = grown;
    }
    this.#kept.set(bytes, this.#keptBytes);
    this.#keptBytes = needed;
  }
}

function stringsOf(headers: ReturnType<EventStreamCodec["decode"]>["headers"]): ReadonlyMap<string, string> {
  const strings = new Map<string, string>();
  for (const [name, { type, value }] of Object.entries(headers)) if (type === "string") strings.set(name, value);
  return strings;
}
