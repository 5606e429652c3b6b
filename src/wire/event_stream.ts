import { Buffer } from "node:buffer";
import { EventStreamCodec } from "@smithy/core/event-streams";
import { crc32 } from "node:zlib";

export interface EventStreamMessage {
  /** Those of the type string; the others are left out. */
  readonly headers: ReadonlyMap<string, string>;
  /** A character for each byte. */
  readonly payload: string;
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

/** Where a message begins that has come whole. */
interface Place {
  readonly chunk: Uint8Array;
  readonly from: number;
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
 * AWS's codec checks and takes apart a whole message; where messages end is found here. Most have
 * the headers of the one before: of those only the checksums are looked at. A wrong one ends the
 * stream for AWS's clients, so what follows it is not reported.
 */
export class EventStreamReader {
  readonly #options: EventStreamReaderOptions;
  /** Begins with the bytes of a message whose end has not come. Longer than they are. */
  #kept = NOTHING;
  #keptBytes = 0;
  #isBlind = false;
  /** The last headers: their bytes as characters, and what these say. */
  #headers: { readonly characters: string; readonly read: ReadonlyMap<string, string> } = { characters: "", read: new Map() };

  constructor(options: EventStreamReaderOptions) {
    this.#options = options;
  }

  /** A message was too long or damaged: the reader reports and keeps nothing more. */
  get isBlind(): boolean {
    return this.#isBlind;
  }

  push(chunk: Uint8Array): void {
    // Of the whole chunk, made once: that costs less than to make it of each message.
    let text: string | null = null;
    let from = this.#keptBytes > 0 ? this.#complete(chunk) : 0;
    while (!this.#isBlind && from < chunk.length) {
      const bytes = chunk.length - from < PRELUDE_BYTES ? Infinity : this.#lengthOf(chunk, from);
      if (bytes > chunk.length - from) {
        this.#keep(chunk.subarray(from));
        break;
      }
      text ??= charactersOf(chunk);
      this.#report(text.slice(from, from + bytes), { chunk, from });
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
    this.#report(charactersOf(this.#kept.subarray(0, bytes)), { chunk: this.#kept, from: 0 });
    return to;
  }

  /** The length that a prelude says. A damaged one would be waited for until the stream ends. */
  #lengthOf(chunk: Uint8Array, from: number): number {
    const bytes = uint32At(chunk, from);
    const isGood = crcOfEight(chunk, from) === uint32At(chunk, from + 8);
    if (!isGood || bytes < LEAST_BYTES || bytes > this.#options.maxMessageBytes) this.#isBlind = true;
    return bytes;
  }

  #report(characters: string, at: Place): void {
    if (this.#isBlind) return;
    const headers = this.#hasLastHeaders(characters, at) ? this.#headers.read : this.#decodeHeaders(characters, at);
    if (headers === null) return;
    const payload = characters.slice(PRELUDE_BYTES + this.#headers.characters.length, -4);
    this.#options.onMessage({ headers, payload });
  }

  #hasLastHeaders(characters: string, { chunk, from }: Place): boolean {
    const { length } = this.#headers.characters;
    if (length === 0 || uint32At(chunk, from + 4) !== length || characters.length < LEAST_BYTES + length) return false;
    if (characters.slice(PRELUDE_BYTES, PRELUDE_BYTES + length) !== this.#headers.characters) return false;
    const end = from + characters.length - 4;
    return crc32(chunk.subarray(from, end)) === uint32At(chunk, end);
  }

  /** Null: the message is damaged. */
  #decodeHeaders(characters: string, { chunk, from }: Place): ReadonlyMap<string, string> | null {
    try {
      const read = stringsOf(codec.decode(chunk.subarray(from, from + characters.length)).headers);
      const end = PRELUDE_BYTES + uint32At(chunk, from + 4);
      // A copy, because a slice keeps the whole chunk.
      this.#headers = { characters: Buffer.from(characters.slice(PRELUDE_BYTES, end), "latin1").toString("latin1"), read };
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

function charactersOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString("latin1");
}

function stringsOf(headers: ReturnType<EventStreamCodec["decode"]>["headers"]): ReadonlyMap<string, string> {
  const strings = new Map<string, string>();
  for (const [name, { type, value }] of Object.entries(headers)) if (type === "string") strings.set(name, value);
  return strings;
}
