/**
 * A fake Anthropic API on loopback, for all journeys: it shows what came on the wire, and answers
 * what a test tells it to.
 */
import type { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { createServer, type Socket } from "node:net";
import { gunzipSync } from "node:zlib";
import {
  type Answer,
  bytesOf,
  defaultAnswer,
  isWhole,
  type Pieces,
  piecesOf,
  type Script,
  type Scripting,
  type SeenCall,
} from "./fake_answers.ts";
import { type RequestHead, RequestParser } from "./http1_requests.ts";
import { waitFor } from "./wait.ts";

export interface FakeUpstreamOptions {
  /** The longest body that is kept whole; of longer ones there are length and hash. */
  readonly keepBodyBytes?: number;
  /** No more of a body is read before this resolves. */
  readonly readsFrom?: Promise<void>;
  /** Whether each call keeps the body of its answer in `sent`. */
  readonly keepsAnswers?: boolean;
}

export interface FakeUpstream extends AsyncDisposable {
  readonly url: string;
  readonly calls: readonly SeenCall[];
  /** Why requests were none, where some were malformed. */
  readonly malformed: readonly string[];
  /** Connections that are open now. */
  readonly connections: number;
  /** The most calls that were being answered at one time. */
  readonly mostInFlight: number;
  /** How all calls from now on are answered. */
  answer(scripting: Scripting): void;
  /**
   * Waits until that many whole calls have come since the start (or since `forget`), and gives the
   * last.
   */
  waitForCalls(count: number, deadlineMs?: number): Promise<SeenCall>;
  /** Forgets the calls, for long runs. */
  forget(): void;
}

const KEEP_BODY_BYTES = 40 << 20;
const encoder = new TextEncoder();

export async function startFakeUpstream(options: FakeUpstreamOptions = {}): Promise<FakeUpstream> {
  const { keepBodyBytes = KEEP_BODY_BYTES, readsFrom, keepsAnswers = false } = options;
  const state = {
    scripting: "default" as Scripting,
    calls: [] as Call[],
    malformed: [] as string[],
    inFlight: 0,
    mostInFlight: 0,
  };
  const sockets = new Set<Socket>();
  let [callCount, connectionCount] = [0, 0];

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const connectionId = ++connectionCount;
    sockets.add(socket);
    let call: Call | null = null;
    const parser = new RequestParser({
      head: (head) => {
        call = new Call(head, { connectionId, number: ++callCount, keepBodyBytes, keepsAnswers });
        state.calls.push(call);
        if (readsFrom !== undefined) {
          socket.pause();
          readsFrom.then(() => socket.resume());
        }
        const { scripting } = state;
        if (typeof scripting === "object" && scripting.isEarly === true) void serve(call, scripting);
      },
      body: (bytes) => call?.take(bytes),
      ended: () => {
        call!.isWhole = true;
        if (!call!.isBegun) void serve(call!, state.scripting);
        else if (call!.answeredAt !== null) parser.next();
      },
      malformed: (reason) => {
        state.malformed.push(reason);
        socket.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      },
    });
    async function serve(call: Call, scripting: Scripting): Promise<void> {
      call.isBegun = true;
      state.mostInFlight = Math.max(state.mostInFlight, ++state.inFlight);
      try {
        const script = typeof scripting === "function" ? await scripting(call) : scripting;
        const stays = await written(socket, { call, script });
        if (call.closedAt !== null) return;
        call.answeredAt = performance.now();
        if (!stays) socket.end();
        else parser.next();
      } catch (error) {
        state.malformed.push(`the script failed: ${error}`);
        socket.destroy();
      } finally {
        state.inFlight--;
      }
    }
    function left(): void {
      if (call !== null && call.answeredAt === null) call.leave();
    }
    socket.on("data", (bytes: Buffer) => parser.push(bytes));
    socket.on("end", () => {
      left();
      socket.end();
    });
    socket.on("error", left);
    socket.on("close", () => {
      left();
      sockets.delete(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    get calls() {
      return state.calls;
    },
    malformed: state.malformed,
    get connections() {
      return sockets.size;
    },
    get mostInFlight() {
      return state.mostInFlight;
    },
    answer: (scripting) => void (state.scripting = scripting),
    waitForCalls: (count, deadlineMs) =>
      waitFor(() => wholeCall(state.calls, count), {
        what: `call ${count} at the upstream`,
        ...(deadlineMs === undefined ? {} : { deadlineMs }),
      }),
    forget: () => void (state.calls = []),
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

class Call implements SeenCall {
  readonly method: string;
  readonly target: string;
  readonly httpVersion: string;
  readonly rawHeaders: RequestHead["rawHeaders"];
  readonly connectionId: number;
  readonly requestId: string;
  readonly messageId: string;
  readonly receivedAt = performance.now();
  isWhole = false;
  isBegun = false;
  bodyBytes = 0;
  answeredAt: number | null = null;
  closedAt: number | null = null;
  readonly #keepBodyBytes: number;
  readonly #keepsAnswers: boolean;
  readonly #hash: Hash = createHash("sha256");
  readonly #gone = new AbortController();
  #body: Uint8Array[] = [];
  #sent: Uint8Array[] = [];

  constructor(
    head: RequestHead,
    { connectionId, number, keepBodyBytes, keepsAnswers }: {
      readonly connectionId: number;
      readonly number: number;
      readonly keepBodyBytes: number;
      readonly keepsAnswers: boolean;
    },
  ) {
    ({ method: this.method, target: this.target, httpVersion: this.httpVersion, rawHeaders: this.rawHeaders } = head);
    this.connectionId = connectionId;
    this.requestId = `req_fake_${String(number).padStart(6, "0")}`;
    this.messageId = `msg_fake_${String(number).padStart(6, "0")}`;
    this.#keepBodyBytes = keepBodyBytes;
    this.#keepsAnswers = keepsAnswers;
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  get body(): Uint8Array {
    const whole = bytesOf(this.#body);
    this.#body = [whole];
    return whole;
  }

  get sent(): Uint8Array {
    return bytesOf(this.#sent);
  }

  get bodySha256(): string {
    return this.#hash.copy().digest("hex");
  }

  take(bytes: Uint8Array): void {
    this.bodyBytes += bytes.length;
    this.#hash.update(bytes);
    if (this.bodyBytes > this.#keepBodyBytes) this.#body = [];
    else this.#body.push(bytes);
  }

  /** Part of the answer's body is with the kernel. */
  gave(bytes: Uint8Array): void {
    if (this.#keepsAnswers) this.#sent.push(bytes);
  }

  leave(): void {
    if (this.closedAt !== null) return;
    this.closedAt = performance.now();
    this.#gone.abort();
  }

  header(name: string): string | null {
    const values = this.rawHeaders.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
    return values.length === 0 ? null : values.join(", ");
  }

  json(): unknown {
    try {
      const bytes = this.header("content-encoding") === "gzip" ? gunzipSync(this.body) : this.body;
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      return null;
    }
  }
}

/** Writes the answer; true where the connection can take the next call. */
async function written(socket: Socket, { call, script }: { readonly call: Call; readonly script: Script }): Promise<boolean> {
  if (script === "stall") return await left(call);
  if (script === "close") return false;
  if (script === "reset") return reset(socket, call);
  const answer = script === "default" ? defaultAnswer(call) : script;
  const framing = answer.framing ?? (isWhole(answer.body) ? "length" : "chunked");
  const pieces = framing === "length" && !(Symbol.asyncIterator in piecesOf(answer.body))
    ? [bytesOf([...piecesOf(answer.body) as Iterable<Uint8Array | string>])]
    : piecesOf(answer.body);
  const hasBody = call.method !== "HEAD" && answer.status !== 204 && answer.status !== 304;
  socket.write(headOf(answer, { call, framing, pieces }));
  if (hasBody && !await bodyWritten(socket, { call, pieces, isChunked: framing === "chunked" })) return false;
  if (answer.ending === "reset") {
    await flushed(socket);
    return reset(socket, call);
  }
  if (answer.ending === "cut") return false;
  if (hasBody && framing === "chunked") socket.write("0\r\n\r\n");
  await flushed(socket);
  return framing !== "close" && call.isWhole && call.header("connection")?.toLowerCase() !== "close";
}

function headOf(
  answer: Answer,
  { call, framing, pieces }: { readonly call: Call; readonly framing: string; readonly pieces: Pieces },
): string {
  const { status = 200, headers = {} } = answer;
  const length = answer.contentLength ?? (Array.isArray(pieces) ? bytesOf(pieces).length : 0);
  const framed: Readonly<Record<string, string>> = framing === "chunked"
    ? { "transfer-encoding": "chunked" }
    : framing === "length"
    ? { "content-length": String(length) }
    : { connection: "close" };
  const named = { "request-id": call.requestId, ...headers, ...framed };
  return `HTTP/1.1 ${status} Fake\r\n${Object.entries(named).map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
}

/** False where the client left before the end. */
async function bodyWritten(
  socket: Socket,
  { call, pieces, isChunked }: { readonly call: Call; readonly pieces: Pieces; readonly isChunked: boolean },
): Promise<boolean> {
  const iterator = Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
  const gone = left(call);
  for (;;) {
    const next = await Promise.race([iterator.next(), gone]);
    if (next === false || call.closedAt !== null) {
      void iterator.return?.();
      return false;
    }
    if (next.done === true) return true;
    const bytes = typeof next.value === "string" ? encoder.encode(next.value) : next.value;
    if (bytes.length === 0) continue;
    call.gave(bytes);
    const framed = isChunked ? bytesOf([`${bytes.length.toString(16)}\r\n`, bytes, "\r\n"]) : bytes;
    if (!socket.write(framed)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), gone]);
  }
}

/** Resolves to false when the client has left. */
function left(call: Call): Promise<false> {
  if (call.gone.aborted) return Promise.resolve(false);
  return new Promise((resolve) => call.gone.addEventListener("abort", () => resolve(false), { once: true }));
}

function reset(socket: Socket, call: Call): false {
  call.answeredAt = performance.now();
  socket.resetAndDestroy();
  return false;
}

/** Everything written is with the kernel, or the connection is no more. */
function flushed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve();
    function done(): void {
      socket.removeListener("close", done);
      resolve();
    }
    socket.once("close", done);
    socket.write("", done);
  });
}

function wholeCall(calls: readonly Call[], count: number): Call | null {
  return calls.filter((call) => call.isWhole)[count - 1] ?? null;
}
