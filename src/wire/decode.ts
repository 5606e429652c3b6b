import { Writable } from "node:stream";
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

function plain({ maxBytes, onChunk }: DecodeOptions): CopyDecoder {
  let bytes = 0;
  const done = Promise.resolve();
  return {
    get isBlind() {
      return bytes > maxBytes;
    },
    push(chunk) {
      bytes += chunk.length;
      if (bytes <= maxBytes) onChunk(chunk);
      return done;
    },
    end: () => done,
    close: () => {},
  };
}

class Decompressor implements CopyDecoder {
  readonly #open: (firstByte: number) => Decompress;
  readonly #maxBytes: number;
  readonly #next: CopyDecoder;
  #stream: Decompress | null = null;
  /** Takes the decoded pieces, in order; the stream decodes no further while it is full. */
  readonly #sink: Writable;
  readonly #closed = Promise.withResolvers<void>();
  #handedOver = Promise.withResolvers<void>();
  #isBlind = false;
  #bytes = 0;

  constructor(open: (firstByte: number) => Decompress, options: { readonly maxBytes: number; readonly next: CopyDecoder }) {
    this.#open = open;
    this.#maxBytes = options.maxBytes;
    this.#next = options.next;
    this.#sink = new Writable({ highWaterMark: 1, write: (piece, _, done) => void this.#take(piece, done) });
    this.#sink.on("close", () => {
      this.#handedOver.resolve();
      this.#closed.resolve();
    });
  }

  get isBlind(): boolean {
    return this.#isBlind || this.#next.isBlind;
  }

  async push(chunk: Uint8Array): Promise<void> {
    if (this.#sink.writableEnded || this.#sink.destroyed || chunk.length === 0) return;
    const stream = this.#stream ??= this.#start(chunk[0]!);
    const copy = new Uint8Array(chunk);
    await new Promise<void>((resolve) => stream.write(copy, () => resolve()));
    while (!this.#sink.destroyed && stream.readableLength + this.#sink.writableLength > 0) await this.#handedOver.promise;
  }

  async end(): Promise<void> {
    (this.#stream ?? this.#sink).end();
    await this.#closed.promise;
    await this.#next.end();
  }

  close(): void {
    this.#stream?.destroy();
    this.#sink.destroy();
    this.#next.close();
  }

  #start(firstByte: number): Decompress {
    const stream = this.#open(firstByte);
    stream.on("error", (error: Error & { readonly code?: string }) => {
      this.#isBlind ||= error.code !== CUT_SHORT;
      this.#sink.end();
    });
    stream.pipe(this.#sink);
    return stream;
  }

  async #take(piece: Uint8Array, done: () => void): Promise<void> {
    this.#bytes += piece.length;
    this.#isBlind ||= this.#bytes > this.#maxBytes || this.#next.isBlind;
    if (this.#isBlind) return this.close();
    // Otherwise the stream decodes all that it has before any other event of the process.
    await EVENT_LOOP_BUDGET.enter(piece.length);
    await this.#next.push(piece);
    done();
    this.#handedOver.resolve();
    this.#handedOver = Promise.withResolvers();
  }
}
