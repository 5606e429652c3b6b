import { Buffer } from "node:buffer";
import { EventStreamCodec } from "@smithy/core/event-streams";
import { crc32 } from "node:zlib";

export interface EventStreamMessage {
  /** Those of the type string; the others are left out. */
  readonly headers: ReadonlyMap<string, string>;
  /** Hold the headers from `start`, the payload from `from` to `to`, until `onMessage` returns. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly from: number;
  readonly to: number;
}

export interface EventStreamReaderOptions {
  /** Of a message with its frame. */
  readonly maxMessageBytes: number;
  /** Gets each message during the `push` that completes it. Must not throw. */
  readonly onMessage: (message: EventStreamMessage) => void;
  readonly shortcut?: EventStreamShortcut;
}

/** Takes messages that the caller knows by their spelling, before their checksum is looked at. */
export interface EventStreamShortcut {
  /** The headers of such a message and the beginning of its payload. Null: none is known yet. */
  readonly head: { readonly bytes: Uint8Array; readonly headerBytes: number } | null;
  /** Gets what is behind the head. Returns whether it took the message. Must not throw. */
  readonly take: (bytes: Uint8Array, from: number, to: number) => boolean;
}

/** The lengths of the message and of its headers, and the CRC-32 of these eight bytes. */
const PRELUDE_BYTES = 12;
/** Of all that is before it. */
const CRC_BYTES = 4;
const LEAST_BYTES = PRELUDE_BYTES + CRC_BYTES;

/** Where a message is that has come whole. */
interface Place {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

const NOTHING = new Uint8Array(0);
/** Of each byte after zeros. */
const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => crc32(Uint8Array.of(byte)) ^ crc32(Uint8Array.of(0)));
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
 * AWS's codec checks and takes apart a whole message; where messages end is found here. Of those
 * with the headers of the one before only the checksums are looked at. A wrong one ends the stream
 * for AWS's clients, so what follows it is not reported, unless the shortcut took the message.
 */
export class EventStreamReader {
  readonly #options: EventStreamReaderOptions;
  /** Begins with the bytes of a message whose end has not come. Longer than they are. */
  #kept = NOTHING;
  #keptBytes = 0;
  #isBlind = false;
  /** The last headers, and what they say. */
  #headers: { readonly bytes: Buffer; readonly read: ReadonlyMap<string, string> } = { bytes: Buffer.alloc(0), read: new Map() };

  /** That of the shortcut, as a buffer that compares fast. */
  #head: { readonly of: Uint8Array | null; readonly bytes: Buffer } = { of: null, bytes: Buffer.alloc(0) };

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
      const bytes = chunk.length - from < PRELUDE_BYTES ? Infinity : this.#lengthOf(chunk, from);
      if (bytes > chunk.length - from) {
        this.#keep(chunk.subarray(from));
        break;
      }
      this.#report({ bytes: chunk, from, to: from + bytes });
      from += bytes;
    }
    if (this.#isBlind) [this.#kept, this.#keptBytes] = [NOTHING, 0];
  }

  /** Adds to the message that is kept, up to its end. Returns how much of the chunk it took. */
  #complete(chunk: Uint8Array): number {
    const ofPrelude = Math.min(Math.max(PRELUDE_BYTES - this.#keptBytes, 0), chunk.length);
    this.#keep(chunk.subarray(0, ofPrelude));
    if (this.#keptBytes < PRELUDE_BYTES) return ofPrelude;
    const bytes = this.#lengthOf(this.#kept, 0);
    const to = Math.min(ofPrelude + bytes - this.#keptBytes, chunk.length);
    this.#keep(chunk.subarray(ofPrelude, to));
    if (this.#keptBytes < bytes) return to;
    this.#keptBytes = 0;
    this.#report({ bytes: this.#kept, from: 0, to: bytes });
    return to;
  }

  /** The length that a prelude says. A damaged one would be waited for until the stream ends. */
  #lengthOf(chunk: Uint8Array, from: number): number {
    const bytes = uint32At(chunk, from);
    const isGood = crcOfEight(chunk, from) === uint32At(chunk, from + 8);
    if (!isGood || bytes < LEAST_BYTES || bytes > this.#options.maxMessageBytes) this.#isBlind = true;
    return bytes;
  }

  #report(place: Place): void {
    if (this.#isBlind) return;
    const { bytes } = place;
    const [start, to] = [place.from + PRELUDE_BYTES, place.to - CRC_BYTES];
    if (this.#isTaken(bytes, start, to)) return;
    const headers = this.#hasLastHeaders(place) ? this.#headers.read : this.#decodeHeaders(place);
    if (headers === null) return;
    this.#options.onMessage({ headers, bytes, start, from: start + this.#headers.bytes.length, to });
  }

  #isTaken(bytes: Uint8Array, start: number, to: number): boolean {
    const { shortcut } = this.#options;
    if (shortcut === undefined || shortcut.head === null) return false;
    const { head } = shortcut;
    if (this.#head.of !== head.bytes) this.#head = { of: head.bytes, bytes: Buffer.from(head.bytes) };
    const from = start + head.bytes.length;
    if (from > to || uint32At(bytes, start - PRELUDE_BYTES + 4) !== head.headerBytes) return false;
    return this.#head.bytes.compare(bytes, start, from) === 0 && shortcut.take(bytes, from, to);
  }

  #hasLastHeaders({ bytes, from, to }: Place): boolean {
    const known = this.#headers.bytes;
    const [start, end] = [from + PRELUDE_BYTES, to - CRC_BYTES];
    if (known.length === 0 || uint32At(bytes, from + 4) !== known.length || start + known.length > end) return false;
    // Buffers compare, and zlib's checksum runs, in half the time of strings and of JavaScript.
    return known.compare(bytes, start, start + known.length) === 0 && crc32(bytes.subarray(from, end)) === uint32At(bytes, end);
  }

  /** Null: the message is damaged. */
  #decodeHeaders({ bytes, from, to }: Place): ReadonlyMap<string, string> | null {
    try {
      const read = stringsOf(codec.decode(bytes.subarray(from, to)).headers);
      const start = from + PRELUDE_BYTES;
      this.#headers = { bytes: Buffer.from(bytes.subarray(start, start + uint32At(bytes, from + 4))), read };
      return read;
    } catch {
      this.#isBlind = true;
      return null;
    }
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

/** For so few bytes a call of zlib costs more. */
function crcOfEight(bytes: Uint8Array, from: number): number {
  let rest = -1;
  for (let at = from; at < from + 8; at++) rest = CRC_TABLE[(rest ^ bytes[at]!) & 0xff]! ^ rest >>> 8;
  return ~rest >>> 0;
}

function uint32At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

function stringsOf(headers: ReturnType<EventStreamCodec["decode"]>["headers"]): ReadonlyMap<string, string> {
  const strings = new Map<string, string>();
  for (const [name, { type, value }] of Object.entries(headers)) if (type === "string") strings.set(name, value);
  return strings;
}
