import { Buffer } from "node:buffer";

const LINE_FEED = 0x0a;
const encodedNothing = Buffer.alloc(0);

/** Cuts bytes that come in chunks into lines at each line feed. No more is kept than the line that is open. */
export class LineSplitter {
  readonly #maxBytes: number;
  readonly #onLine: (line: string | null) => void;
  #open: Uint8Array[] = [];
  #openBytes = 0;

  /** `onLine` gets each line that is not empty, decoded from UTF-8, without the white space around it; null for one of more than `maxBytes`. */
  constructor(options: { readonly maxBytes: number; readonly onLine: (line: string | null) => void }) {
    this.#maxBytes = options.maxBytes;
    this.#onLine = options.onLine;
  }

  /** The chunk is copied where it is kept. */
  push(chunk: Uint8Array): void {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      this.#add(chunk.subarray(from, end));
      this.end();
      from = end + 1;
    }
    if (from < chunk.length) this.#add(chunk.slice(from));
  }

  /** The line that is open is over, or there is none. */
  end(): void {
    if (this.#openBytes > this.#maxBytes) this.#onLine(null);
    else {
      const line = (this.#open.length === 0 ? encodedNothing : Buffer.concat(this.#open)).toString("utf8").trim();
      if (line !== "") this.#onLine(line);
    }
    this.#open = [];
    this.#openBytes = 0;
  }

  #add(bytes: Uint8Array): void {
    this.#openBytes += bytes.length;
    if (this.#openBytes > this.#maxBytes) this.#open = [];
    else this.#open.push(bytes);
  }
}
