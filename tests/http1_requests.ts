/**
 * A strict parser of HTTP/1.1 requests that keeps what a server of the runtime hides: order and
 * case of headers, the raw target.
 */
import { Buffer } from "node:buffer";

export interface RequestHead {
  readonly method: string;
  /** As it stood on the wire. */
  readonly target: string;
  readonly httpVersion: string;
  /** Name and value in their order and case on the wire. */
  readonly rawHeaders: readonly (readonly [name: string, value: string])[];
}

/**
 * Where the parts of a request go, in the order of the wire. `ended` pauses the parser until
 * `next()`.
 */
export interface RequestSink {
  head(head: RequestHead): void;
  body(bytes: Uint8Array): void;
  ended(): void;
  /** What came is no request; nothing more is parsed. */
  malformed(reason: string): void;
}

type State = "head" | "length" | "chunk_size" | "chunk" | "chunk_end" | "trailers" | "paused" | "failed";

const MAX_LINE_BYTES = 1 << 20;
const CRLF = [13, 10];
const EMPTY = new Uint8Array();

export class RequestParser {
  readonly #sink: RequestSink;
  #state: State = "head";
  #rest: Uint8Array = EMPTY;
  /** Bytes of the body or the chunk that are still to come. */
  #left = 0;

  constructor(sink: RequestSink) {
    this.#sink = sink;
  }

  push(bytes: Uint8Array): void {
    this.#rest = this.#rest.length === 0 ? bytes : joined(this.#rest, bytes);
    this.#run();
  }

  /** The request that has ended is dealt with: on with what came behind it. */
  next(): void {
    if (this.#state !== "paused") return;
    this.#state = "head";
    this.#run();
  }

  #run(): void {
    try {
      while (this.#rest.length > 0 && this.#step());
    } catch (error) {
      this.#state = "failed";
      this.#sink.malformed(error instanceof Error ? error.message : String(error));
    }
  }

  /** False where more bytes are needed first. */
  #step(): boolean {
    switch (this.#state) {
      case "head":
        return this.#head();
      case "length":
      case "chunk":
        return this.#bytes();
      case "chunk_size": {
        const line = this.#line();
        if (line === null) return false;
        if (!/^[0-9a-f]+(;.*)?$/i.test(line)) throw new Error(`not a chunk size: ${line}`);
        this.#left = parseInt(line, 16);
        this.#state = this.#left === 0 ? "trailers" : "chunk";
        return true;
      }
      case "chunk_end": {
        const line = this.#line();
        if (line === null) return false;
        if (line !== "") throw new Error("a chunk is longer than its size");
        this.#state = "chunk_size";
        return true;
      }
      case "trailers": {
        const line = this.#line();
        if (line === null) return false;
        if (line === "") this.#end();
        return true;
      }
      case "paused":
      case "failed":
        return false;
    }
  }

  #head(): boolean {
    const end = indexOf(this.#rest, [...CRLF, ...CRLF]);
    if (end < 0) {
      if (this.#rest.length > MAX_LINE_BYTES) throw new Error("the head is too long");
      return false;
    }
    const [first = "", ...lines] = latin1(this.#take(end + 4).subarray(0, end)).split("\r\n");
    const [, method, target, httpVersion] = /^(\S+) (\S+) HTTP\/(\d\.\d)$/.exec(first) ?? [];
    if (method === undefined || target === undefined || httpVersion === undefined) {
      throw new Error(`not a request line: ${first}`);
    }
    const rawHeaders = lines.map((line) => {
      const [, name, value] = /^([^\s:]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
      if (name === undefined || value === undefined) throw new Error(`not a header: ${line}`);
      return [name, value] as const;
    });
    const framing = framingOf(rawHeaders);
    this.#sink.head({ method, target, httpVersion, rawHeaders });
    this.#state = framing === "chunked" ? "chunk_size" : "length";
    this.#left = framing === "chunked" ? 0 : framing;
    if (framing === 0) this.#end();
    return true;
  }

  #bytes(): boolean {
    const bytes = this.#take(Math.min(this.#left, this.#rest.length));
    this.#left -= bytes.length;
    this.#sink.body(bytes);
    if (this.#left > 0) return false;
    if (this.#state === "length") this.#end();
    else this.#state = "chunk_end";
    return true;
  }

  #end(): void {
    this.#state = "paused";
    this.#sink.ended();
  }

  #line(): string | null {
    const end = indexOf(this.#rest, CRLF);
    if (end < 0) {
      if (this.#rest.length > MAX_LINE_BYTES) throw new Error("a line is too long");
      return null;
    }
    return latin1(this.#take(end + 2).subarray(0, end));
  }

  #take(count: number): Uint8Array {
    const taken = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    return taken;
  }
}

/**
 * The body's length, or `chunked` (RFC 9112, 6.3); both at once is a smuggling attempt and no
 * request here.
 */
function framingOf(rawHeaders: RequestHead["rawHeaders"]): number | "chunked" {
  const lengths = rawHeaders.filter(([name]) => name.toLowerCase() === "content-length").map(([, value]) => value);
  const codings = rawHeaders.filter(([name]) => name.toLowerCase() === "transfer-encoding").map(([, value]) =>
    value.toLowerCase()
  );
  if (codings.length > 0) {
    if (lengths.length > 0 || codings.join() !== "chunked") throw new Error(`not a framing: ${codings} ${lengths}`);
    return "chunked";
  }
  if (lengths.length > 1 || !/^\d*$/.test(lengths[0] ?? "")) throw new Error(`not a length: ${lengths}`);
  return Number(lengths[0] ?? 0);
}

/** Byte for character, which a TextDecoder's "latin1" is not. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function indexOf(bytes: Uint8Array, sought: readonly number[]): number {
  for (let at = bytes.indexOf(sought[0]!); at >= 0; at = bytes.indexOf(sought[0]!, at + 1)) {
    if (sought.every((byte, n) => bytes[at + n] === byte)) return at;
  }
  return -1;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
