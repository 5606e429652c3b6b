import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
} from "node:zlib";
import { EVENT_LOOP_BUDGET } from "./event_loop_budget.ts";

/** Decodes a copy of a body that itself passes on untouched. Nothing in it throws or rejects. */
export interface CopyDecoder {
  /**
   * Copies the next bytes, so the caller may pass the chunk's buffer on at once. Resolves when all
   * that they decode to has been handed to `onChunk`, or the decoder is blind. Waiting is optional.
   */
  readonly push: (chunk: Uint8Array) => Promise<void>;
  /** No more bytes come. Resolves when everything has been handed to `onChunk`. */
  readonly end: () => Promise<void>;
  /**
   * Gives up and frees. Call `end` or `close`: Deno 2.9 never frees a decompressor that is only
   * dropped.
   */
  readonly close: () => void;
  /**
   * The bytes are corrupt or expand to more than `maxBytes`: nothing more comes out. A body that is
   * cut short is not blind: what it has comes out, and its content shows that it is not whole.
   */
  readonly isBlind: boolean;
}

export interface DecodeOptions {
  /** The most that is decoded. */
  readonly maxBytes: number;
  /** Gets the decoded bytes in order, in pieces of any size. Must not throw. */
  readonly onChunk: (chunk: Uint8Array) => void;
}

/**
 * The decoder for the value of a `content-encoding` header (RFC 9110, 8.4): gzip, x-gzip, deflate
 * (with or without its zlib frame, as browsers take both), br, zstd (with a window of at most 8
 * MiB, RFC 9659), up to three of them stacked, or none. Null if a coding is unknown: the proxy
 * cannot look into such a body.
 *
 * node:zlib, because DecompressionStream knows no zstd and gives all that a chunk expands to in one
 * piece: for 400 bytes of brotli that can be 256 MB.
 */
export function decoderOf(contentEncoding: string, options: DecodeOptions): CopyDecoder | null {
  const codings = contentEncoding.toLowerCase().split(",").map((coding) => coding.trim())
    .filter((coding) => coding !== "" && coding !== "identity");
  if (codings.length > MAX_CODINGS) return null;
  let decoder: CopyDecoder = plain(options);
  for (const coding of codings) {
    const open = CODINGS.get(coding);
    if (open === undefined) return null;
    decoder = new Decompressor(open, { maxBytes: options.maxBytes, next: decoder });
  }
  return decoder;
}

const MAX_CODINGS = 3;

/** So much is decoded before other work of the event loop gets its turn. */
const BYTES_AT_ONCE = 64 * 1024;

/** With this code zlib says that the body ended too early; brotli and zstd say nothing. */
const CUT_SHORT = "Z_BUF_ERROR";

type Decompress = ReturnType<typeof createGunzip>;

/** By coding, given the body's first byte. */
const CODINGS: ReadonlyMap<string, (firstByte: number) => Decompress> = new Map<string, (firstByte: number) => Decompress>([
  ["gzip", () => createGunzip()],
  ["x-gzip", () => createGunzip()],
  ["deflate", (firstByte) => (firstByte & 0x0f) === 8 ? createInflate() : createInflateRaw()],
  ["br", () => createBrotliDecompress()],
  ["zstd", () => createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: 23 } })],
]);

const DONE = Promise.resolve();

function plain({ maxBytes, onChunk }: DecodeOptions): CopyDecoder {
  let bytes = 0;
  return {
    get isBlind() {
      return bytes > maxBytes;
    },
    push(chunk) {
      bytes += chunk.length;
      if (bytes <= maxBytes) onChunk(chunk);
      return DONE;
    },
    end: () => DONE,
    close: () => {},
  };
}

class Decompressor implements CopyDecoder {
  readonly #open: (firstByte: number) => Decompress;
  readonly #maxBytes: number;
  readonly #next: CopyDecoder;
  #stream: Decompress | null = null;
  #ended: Promise<void> | null = null;
  #isBlind = false;
  /** The compressed body has ended, whatever trails it, or the decoder has given up. */
  #isOver = false;
  #bytes = 0;
  #bytesAtOnce = 0;
  /** Resolves when the stream flows again; null while it does. */
  #resting: Promise<void> | null = null;
  /** Resolves when the next decoder has handed over the latest piece. */
  #passedOn: Promise<void> = DONE;
  /** Calls that wait for bytes to be decoded. All of them are released when it is over. */
  readonly #waiting = new Set<() => void>();

  constructor(open: (firstByte: number) => Decompress, options: { readonly maxBytes: number; readonly next: CopyDecoder }) {
    this.#open = open;
    this.#maxBytes = options.maxBytes;
    this.#next = options.next;
  }

  get isBlind(): boolean {
    return this.#isBlind || this.#next.isBlind;
  }

  async push(chunk: Uint8Array): Promise<void> {
    if (this.#isOver || chunk.length === 0) return;
    this.#stream ??= this.#start(chunk[0]!);
    const stream = this.#stream;
    const copy = new Uint8Array(chunk);
    await this.#wait((release) => stream.write(copy, () => this.#whenFlowing(release)));
    await this.#passedOn;
  }

  end(): Promise<void> {
    return this.#ended ??= this.#end();
  }

  close(): void {
    this.#finish();
    this.#next.close();
  }

  async #end(): Promise<void> {
    const stream = this.#stream;
    if (stream !== null && !this.#isOver) await this.#wait(() => stream.end());
    await this.#passedOn;
    await this.#next.end();
  }

  #start(firstByte: number): Decompress {
    const stream = this.#open(firstByte);
    stream.on("data", (piece: Uint8Array) => this.#take(piece));
    stream.on("end", () => this.#finish());
    stream.on("error", (error: Error & { readonly code?: string }) => {
      this.#isBlind ||= error.code !== CUT_SHORT;
      this.#finish();
    });
    return stream;
  }

  #take(piece: Uint8Array): void {
    if (this.#isOver) return;
    this.#bytes += piece.length;
    if (this.#bytes > this.#maxBytes || this.#next.isBlind) {
      this.#isBlind = true;
      this.#finish();
      return;
    }
    this.#passedOn = this.#next.push(piece);
    this.#bytesAtOnce += piece.length;
    if (this.#bytesAtOnce < BYTES_AT_ONCE) return;
    const others = EVENT_LOOP_BUDGET.enter(this.#bytesAtOnce);
    this.#bytesAtOnce = 0;
    if (others !== undefined) this.#rest(others);
  }

  /** Without a pause the stream decodes all that it has before any other event of the process. */
  #rest(others: Promise<void>): void {
    const stream = this.#stream!;
    stream.pause();
    this.#resting = others.then(() => {
      this.#resting = null;
      stream.resume();
    });
  }

  /** A paused stream may have taken all its input and still hold output. */
  #whenFlowing(release: () => void): void {
    if (this.#isOver || this.#resting === null) release();
    else this.#resting.then(() => this.#whenFlowing(release));
  }

  #wait(start: (release: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const release = () => {
        this.#waiting.delete(release);
        resolve();
      };
      this.#waiting.add(release);
      start(release);
    });
  }

  #finish(): void {
    this.#isOver = true;
    this.#stream?.destroy();
    for (const release of this.#waiting) release();
  }
}
