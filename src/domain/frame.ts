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

/** For one stream: how much content a frame adds that is known by its spelling to add no more. */
export interface FrameDeltas {
  /** Characters. Null: another frame. */
  readonly contentOf: (frame: Frame) => number | null;
  /** How the last frame began that `contentOf` knew. Most that follow begin so. Null: none yet. */
  readonly head: FrameHead | null;
  /** As `contentOf`, of a frame that begins so, with what is behind it. */
  readonly contentBehind: (bytes: Uint8Array, from: number, to: number) => number | null;
}

/** The headers of a frame, and the beginning of its payload. */
export interface FrameHead {
  readonly bytes: Uint8Array;
  /** How many of them are headers. */
  readonly headerBytes: number;
}
