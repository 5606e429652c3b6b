/** A message of a binary event stream. */
export interface Frame {
  /** Those that are strings. */
  readonly headers: ReadonlyMap<string, string>;
  /** Hold the headers from `start` and the payload from `from` to `to`, while it is reported. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly from: number;
  readonly to: number;
}

/**
 * For one stream: how many characters of content a frame adds that is known by its spelling to add
 * no more. Null: it is another frame.
 */
export interface FrameDeltas {
  /** Learns how frames of content begin. Gets each frame that is not known, with its data. */
  readonly saw: (frame: Frame, data: string) => void;
  /** How the last frame of content began. Most that follow begin so. Null: none has come. */
  readonly head: FrameHead | null;
  /** Of a frame that begins so, by what is behind it. */
  readonly contentBehind: (bytes: Uint8Array, from: number, to: number) => number | null;
  /** Of any frame. */
  readonly contentOf: (frame: Frame) => number | null;
}

/** The headers of a frame, and the beginning of its payload. */
export interface FrameHead {
  readonly bytes: Uint8Array;
  /** How many of them are headers. */
  readonly headerBytes: number;
}
