/**
 * A kept-alive HTTP/1.1 connection that hides nothing: headers go out as they are named, bytes come
 * in undecoded, breaks show.
 */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";

export interface RawExchange {
  readonly method: string;
  readonly target: string;
  /** In their order and case; nothing is added. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body?: Uint8Array;
}

export interface RawReply {
  readonly status: number;
  /** By lower-cased name; the last of several. */
  readonly headers: ReadonlyMap<string, string>;
  /** Without its framing, with its content encoding. */
  readonly body: Uint8Array;
  /** The connection ended before the framing said that the body is whole. */
  readonly isBroken: boolean;
}

const DEADLINE_MS = 15_000;

/**
 * One request after the other. If a server closes after an answer, the next request connects again.
 */
export class RawConnection implements Disposable {
  readonly #url: URL;
  #socket: Socket | null = null;

  constructor(url: string) {
    this.#url = new URL(url);
  }

  /**
   * Rejects if no answer has started when the connection ends, and if the answer's end does not
   * come in time.
   */
  async send({ method, target, headers, body }: RawExchange): Promise<RawReply> {
    const socket = this.#socket ??= await opened(this.#url);
    const reply = replyOn(socket, { isHead: method === "HEAD" });
    const head = [`${method} ${target} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`)].join("\r\n");
    socket.write(Buffer.concat([Buffer.from(`${head}\r\n\r\n`, "latin1"), body ?? new Uint8Array()]));
    const { isBroken, headers: answered, ...rest } = await reply;
    if (isBroken || answered.get("connection") === "close") this[Symbol.dispose]();
    return { ...rest, headers: answered, isBroken };
  }

  [Symbol.dispose](): void {
    this.#socket?.destroy();
    this.#socket = null;
  }
}

function opened(url: URL): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    socket.once("connect", () => resolve(socket));
    // Stays, because an error without a listener ends the process.
    socket.on("error", reject);
  });
}

function replyOn(socket: Socket, { isHead }: { readonly isHead: boolean }): Promise<RawReply> {
  return new Promise((resolve, reject) => {
    const parser = new ReplyParser(isHead);
    const timer = setTimeout(
      () => settle(() => reject(new Error(`Waited ${DEADLINE_MS} ms for an answer's end: it did not come`))),
      DEADLINE_MS,
    );
    function settle(then: () => void): void {
      clearTimeout(timer);
      socket.off("data", take).off("close", ended).off("end", ended).off("error", ended);
      then();
    }
    function take(bytes: Buffer): void {
      parser.push(bytes);
      if (parser.behind().length > 0) throw new Error(`bytes behind the answer: ${parser.behind()}`);
      if (parser.isWhole) settle(() => resolve(parser.reply(false)));
    }
    function ended(): void {
      settle(() => parser.hasHead ? resolve(parser.reply(true)) : reject(new Error("the connection ended without an answer")));
    }
    socket.on("data", take).on("close", ended).on("end", ended).on("error", ended);
  });
}

/** Takes one answer from the bytes that it is handed. */
export class ReplyParser {
  readonly #isHead: boolean;
  #rest: Buffer = Buffer.alloc(0);
  #body: Buffer[] = [];
  #status = 0;
  #headers: ReadonlyMap<string, string> = new Map();
  #state: "head" | "length" | "chunk_size" | "chunk" | "last_line" | "whole" = "head";
  /** Bytes of the body, or of the chunk with its line end, that are still to come. */
  #left = 0;

  constructor(isHead: boolean) {
    this.#isHead = isHead;
  }

  get hasHead(): boolean {
    return this.#state !== "head";
  }

  get isWhole(): boolean {
    return this.#state === "whole";
  }

  reply(isBroken: boolean): RawReply {
    return { status: this.#status, headers: this.#headers, body: new Uint8Array(Buffer.concat(this.#body)), isBroken };
  }

  /** What came behind the answer. */
  behind(): Buffer {
    return this.isWhole ? this.#rest : Buffer.alloc(0);
  }

  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (this.#step());
  }

  /** False where more bytes are needed first, or none. */
  #step(): boolean {
    switch (this.#state) {
      case "head":
        return this.#head();
      case "length":
        this.#take();
        if (this.#left === 0) this.#state = "whole";
        return false;
      case "chunk_size": {
        const line = this.#line();
        if (line === null) return false;
        this.#left = parseInt(line, 16);
        this.#state = this.#left === 0 ? "last_line" : "chunk";
        return true;
      }
      case "chunk":
        this.#take();
        if (this.#left > 0 || this.#line() === null) return false;
        this.#state = "chunk_size";
        return true;
      case "last_line":
        if (this.#line() !== null) this.#state = "whole";
        return false;
      case "whole":
        return false;
    }
  }

  #head(): boolean {
    const end = this.#rest.indexOf("\r\n\r\n");
    if (end < 0) return false;
    const [first = "", ...lines] = this.#rest.subarray(0, end).toString("latin1").split("\r\n");
    this.#rest = this.#rest.subarray(end + 4);
    this.#status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1]);
    this.#headers = new Map(lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }));
    const hasBody = !this.#isHead && this.#status !== 204 && this.#status !== 304;
    this.#left = hasBody ? Number(this.#headers.get("content-length") ?? 0) : 0;
    this.#state = hasBody && this.#headers.get("transfer-encoding") === "chunked" ? "chunk_size" : "length";
    return true;
  }

  #take(): void {
    const bytes = this.#rest.subarray(0, this.#left);
    this.#rest = this.#rest.subarray(bytes.length);
    this.#left -= bytes.length;
    if (bytes.length > 0) this.#body.push(bytes);
  }

  #line(): string | null {
    const end = this.#rest.indexOf("\r\n");
    if (end < 0) return null;
    const line = this.#rest.subarray(0, end).toString("latin1");
    this.#rest = this.#rest.subarray(end + 2);
    return line;
  }
}
