import type { Reply } from "../../async/worker_rpc.ts";
import { LineSplitter } from "../../wire/line_splitter.ts";

/** Between two processes that trust each other; only a bug makes longer lines. */
const MAX_LINE_BYTES = 256 * 1024 * 1024;

/** JSON messages to another process, one a line. What waits during a write goes with the next. */
export class MessagePipe<M> {
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  readonly #encoder = new TextEncoder();
  #waiting = "";
  /** The write of what waits; null if nothing does. */
  #next: Promise<void> | null = null;
  #last: Promise<void> = Promise.resolve();

  /** `write` takes all bytes. It is not called again before it has resolved. */
  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write;
  }

  /** Resolves when the message is written; rejects if the other process has closed its end. */
  send(message: M): Promise<void> {
    this.#waiting += `${JSON.stringify(message)}\n`;
    if (this.#next === null) {
      this.#next = this.#last.then(() => this.#writeWaiting());
      this.#last = this.#next.catch(() => {});
    }
    return this.#next;
  }

  #writeWaiting(): Promise<void> {
    const bytes = this.#encoder.encode(this.#waiting);
    this.#waiting = "";
    this.#next = null;
    return this.#write(bytes);
  }
}

/** The reply as JSON keeps it: a value that is undefined would be left out. */
export function writable(reply: Reply): Reply {
  return "value" in reply ? { id: reply.id, value: reply.value ?? null } : reply;
}

/** Takes each message of a `MessagePipe` at its other end. Resolves when the pipe is closed. */
export async function readMessages<M>(source: ReadableStream<Uint8Array>, onMessage: (message: M) => void): Promise<void> {
  const lines = new LineSplitter({
    maxBytes: MAX_LINE_BYTES,
    onLine: (line) => line !== null && onMessage(JSON.parse(line) as M),
  });
  for await (const chunk of source) lines.push(chunk);
}
