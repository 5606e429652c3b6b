import { Buffer } from "node:buffer";

const LINE_FEED = 0x0a;

/** Cuts bytes that come in chunks into lines at each line feed, and keeps only the open line. */
export class LineSplitter {
  readonly #maxBytes: number;
  readonly #onLine: (line: string | null) => void;
  #open: Uint8Array[] = [];
  #openBytes = 0;

  /** `onLine` gets each line trimmed, unless it is empty; null for a line over `maxBytes`. */
  constructor(options: { readonly maxBytes: number; readonly onLine: (line: string | null) => void }) {
    this.#maxBytes = options.maxBytes;
    this.#onLine = options.onLine;
  }

  /** Copies what it keeps of the chunk. */
  push(chunk: Uint8Array): void {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      this.#add(chunk.subarray(from, end));
      this.end();
      from = end + 1;
    }
    if (from < chunk.length) this.#add(chunk.slice(from));
  }

  /** The open line, if any, is over. */
  end(): void {
    const line = this.#openBytes > this.#maxBytes ? null : Buffer.concat(this.#open).toString("utf8").trim();
    if (line !== "") this.#onLine(line);
    this.#open = [];
    this.#openBytes = 0;
  }

  #add(bytes: Uint8Array): void {
    this.#openBytes += bytes.length;
    if (this.#openBytes > this.#maxBytes) this.#open = [];
    else this.#open.push(bytes);
  }
}
