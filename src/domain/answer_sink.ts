import type { HeaderFields } from "./header_fields.ts";

export interface AnswerHead {
  readonly status: number;
  readonly statusText: string;
  readonly headers: HeaderFields;
}

/** The client's end of a call: takes the answer, at the client's pace. */
export interface AnswerSink {
  /** The client is gone. Nothing more reaches it, and writing to it does nothing. */
  readonly hasLeft: boolean;
  /**
   * Sets the one listener, which is called if the client leaves before the answer's end: at once if
   * it has left already.
   */
  readonly onLeft: (listener: () => void) => void;
  /** The head of the answer, once. */
  readonly begin: (head: AnswerHead) => void;
  /**
   * A promise if the client is slow: it resolves when the client takes more, or has left. `written`
   * is called when the system has the bytes or needs none; never if that is not known.
   */
  readonly write: (chunk: Uint8Array, written?: () => void) => Promise<void> | undefined;
  /** The answer's last bytes. Resolves when the system has them, or the client has left. */
  readonly end: (last?: Uint8Array | null) => Promise<void>;
  /**
   * Breaks the connection, so that no client takes the answer for a whole one. What was written is
   * delivered first. Resolves when that is done, or the client has left.
   */
  readonly break: () => Promise<void>;
}
