/** Where the value of a wanted key stands: absolute byte offsets in the document, `end` being that of the first byte after it. */
export interface Found {
  readonly start: number;
  readonly end: number;
  /** What JSON.parse makes of the value; undefined where its raw text is longer than `maxValueBytes`. */
  readonly value: unknown;
}

/** The latest value of each wanted key: where it stands, and its raw text where that is short enough. */
export class WantedValues {
  readonly #wanted: readonly string[];
  readonly #maxBytes: number;
  readonly #slots: Slot[];
  /** The beginning of the value that is open, from earlier chunks. */
  readonly #held: RangeBuffer;
  #hasFresh = false;

  constructor(wanted: readonly string[], options: { readonly maxValueBytes: number }) {
    this.#wanted = wanted;
    this.#maxBytes = options.maxValueBytes;
    this.#slots = wanted.map(() => ({ start: -1, end: -1, raw: null, isFresh: false }));
    this.#held = new RangeBuffer(options.maxValueBytes);
  }

  /** The value of that wanted key is the absolute range, which the current chunk ends. A later one takes its place. */
  note(index: number, range: { readonly from: number; readonly to: number }): void {
    const slot = this.#slots[index]!;
    slot.start = range.from;
    slot.end = range.to;
    slot.isFresh = true;
    this.#hasFresh = true;
  }

  /** Copies what was noted in the chunk that begins at `base`: once a chunk, however many duplicates there were. */
  settle(chunk: Uint8Array, base: number): void {
    if (!this.#hasFresh) return;
    this.#hasFresh = false;
    for (const slot of this.#slots) {
      if (!slot.isFresh) continue;
      slot.isFresh = false;
      const isShort = slot.end - slot.start <= this.#maxBytes;
      slot.raw = isShort ? new Uint8Array(this.#held.rangeOf(chunk, { from: slot.start - base, to: slot.end - base })) : null;
    }
  }

  /** Keeps what the chunk has of the value that is open, from `start`, which is below zero where an earlier chunk began it. */
  hold(chunk: Uint8Array, start: number): void {
    this.#held.hold(chunk, start);
  }

  /** The values, to be asked for only where the document is valid. */
  parse(): Map<string, Found> {
    const found = new Map<string, Found>();
    for (const [index, { start, end, raw }] of this.#slots.entries()) {
      if (start >= 0) found.set(this.#wanted[index]!, { start, end, value: raw === null ? undefined : parseJson(raw) });
    }
    return found;
  }
}

interface Slot {
  start: number;
  end: number;
  raw: Uint8Array | null;
  isFresh: boolean;
}

const decoder = new TextDecoder();

/** JSON.parse on the raw bytes of one value, which begin with no space and no byte order mark. */
export function parseJson(raw: Uint8Array): unknown {
  return JSON.parse(decoder.decode(raw));
}

/** The beginning of a range that spans chunks, and no more of it than `maxBytes`. */
export class RangeBuffer {
  readonly #maxBytes: number;
  #bytes: Uint8Array = new Uint8Array(64);
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Keeps the chunk from `start` on: after what is kept where that is below zero, else instead of it. */
  hold(chunk: Uint8Array, start: number): void {
    if (start >= 0) this.#length = 0;
    this.#append(chunk.subarray(Math.max(start, 0)));
  }

  /** The whole range of at most `maxBytes` that ends in the chunk or before it, to be read at once. */
  rangeOf(chunk: Uint8Array, range: { readonly from: number; readonly to: number }): Uint8Array {
    const { from, to } = range;
    if (from >= 0) return chunk.subarray(from, to);
    if (to > 0) this.#append(chunk.subarray(0, to));
    return this.#bytes.subarray(0, to - from);
  }

  #append(bytes: Uint8Array): void {
    const added = bytes.subarray(0, this.#maxBytes - this.#length);
    const length = this.#length + added.length;
    if (length > this.#bytes.length) {
      const wider = new Uint8Array(Math.max(length, Math.min(2 * this.#bytes.length, this.#maxBytes)));
      wider.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = wider;
    }
    this.#bytes.set(added, this.#length);
    this.#length = length;
  }
}
