import { Buffer } from "node:buffer";
import { type Ask, askText, dialectOf, LOAD_HEADER, type Script, scriptOf } from "./answers.ts";
import { STAMP_DIGITS } from "./dialects.ts";
import { type Questions, questionsOf, TURN_DIGITS } from "./questions.ts";

/** Where calls go. */
export interface Target {
  readonly port: number;
  readonly token: string;
  /** Sent besides those that every call has. */
  readonly headers: Readonly<Record<string, string>>;
  /** It writes the answer's JSON itself, so the bench compares JSON, not bytes. */
  readonly isRewriter: boolean;
}

export interface Plan {
  readonly ask: Ask;
  /** Of the request's body. */
  readonly bodyBytes: number;
  /** Connections, each with one call under way. */
  readonly atOnce: number;
  /** Starts calls for so long; 0: each connection makes one call. */
  readonly seconds: number;
  /** The connections make their first calls evenly over so long. */
  readonly openSeconds: number;
}

/** The result of a load. Times in milliseconds. */
export interface Outcome {
  readonly calls: number;
  readonly errors: number;
  readonly firstError: string | null;
  readonly seconds: number;
  readonly events: number;
  /** HTTP chunks that arrived: as many as events if no relay joined any. */
  readonly chunks: number;
  readonly whole: Quantiles;
  readonly firstByte: Quantiles;
  /** From the time stamp in an event to its arrival; of paced loads only. */
  readonly event: Quantiles;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

/**
 * Makes calls over keep-alive connections and compares each answer byte for byte with what the
 * upstream should send, except the time stamps, which must be times. A wrong answer is an error,
 * and the next call opens a new connection.
 */
export async function runLoad(target: Target, plan: Plan): Promise<Outcome> {
  const tally = { calls: 0, errors: 0, firstError: null as string | null, chunks: 0 };
  const times = { whole: [] as number[], firstByte: [] as number[], event: [] as number[] };
  const script = scriptOf(plan.ask);
  const questions = questionsOf(plan);
  const lanes = await Promise.all(
    Array.from({ length: plan.atOnce }, () => Lane.open(target, { ask: plan.ask, script, questions })),
  );
  const start = performance.now();
  const deadline = start + plan.seconds * 1000;
  const stuck = setTimeout(() => lanes.forEach((lane) => lane.close()), plan.seconds * 1000 + STUCK_MS);
  await Promise.all(lanes.map(async (lane, n) => {
    if (plan.openSeconds > 0) await new Promise((resolve) => setTimeout(resolve, plan.openSeconds * 1000 * n / plan.atOnce));
    do {
      const began = performance.now();
      try {
        const chunks = await lane.call(times.event);
        tally.chunks += chunks;
        tally.calls++;
        times.firstByte.push(lane.firstByteAt - began);
        times.whole.push(performance.now() - began);
      } catch (error) {
        tally.errors++;
        tally.firstError ??= String(error);
        await lane.reopen();
      }
    } while (performance.now() < deadline);
    lane.close();
  }));
  clearTimeout(stuck);
  return {
    ...tally,
    seconds: (performance.now() - start) / 1000,
    events: tally.calls * script.events.length,
    whole: quantilesOf(times.whole),
    firstByte: quantilesOf(times.firstByte),
    event: quantilesOf(times.event),
  };
}

export function quantilesOf(values: readonly number[]): Quantiles {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

/** A call that takes so much longer than its load is an error. */
const STUCK_MS = 60_000;
const READ_BYTES = 64 * 1024;
/** Of the whole run: no call of a bench looks like the retry of another. */
let nextTurn = 1;
const SESSIONS = 200;
const CR_LF = 2;
const LF = 0x0a;

interface LaneOptions {
  readonly ask: Ask;
  readonly script: Script;
  readonly questions: Questions;
}

/** One keep-alive connection. */
class Lane {
  firstByteAt = 0;
  readonly #target: Target;
  readonly #script: Script;
  readonly #questions: Questions;
  readonly #isStamped: boolean;
  /** Head and body of the call under way. */
  readonly #request: Buffer<ArrayBuffer>;
  readonly #bodyAt: number;
  /** The place in the head of the session's number. */
  readonly #sessionAt: number;
  readonly #buffer = Buffer.alloc(READ_BYTES);
  readonly #body: Buffer<ArrayBuffer>;
  #connection: Deno.TcpConn;

  static async open(target: Target, options: LaneOptions): Promise<Lane> {
    return new Lane(target, { ...options, connection: await connect(target.port) });
  }

  private constructor(target: Target, options: LaneOptions & { readonly connection: Deno.TcpConn }) {
    this.#target = target;
    this.#script = options.script;
    this.#questions = options.questions;
    this.#isStamped = options.ask.kind === "paced";
    this.#connection = options.connection;
    this.#body = Buffer.alloc(options.script.body.length + (target.isRewriter ? READ_BYTES : 0));
    const dialect = dialectOf(options.ask);
    const [tokenHeader, tokenPrefix] = dialect.tokenHeader;
    const session = "7f9c24e8-3b12-4fef-91e0-";
    const head = [
      `POST ${dialect.target(options.ask.kind !== "unary")} HTTP/1.1`,
      `host: 127.0.0.1:${target.port}`,
      "content-type: application/json",
      "accept: application/json",
      "user-agent: claude-cli/2.1.0 (external, cli)",
      `${tokenHeader}: ${tokenPrefix}${target.token}`,
      `x-claude-code-session-id: ${session}${"0".repeat(TURN_DIGITS)}`,
      `${LOAD_HEADER}: ${askText(options.ask)}`,
      ...Object.entries({ ...dialect.headers, ...target.headers }).map(([name, value]) => `${name}: ${value}`),
      `content-length: ${options.questions.bytes}`,
      "\r\n",
    ].join("\r\n");
    this.#bodyAt = head.length;
    this.#sessionAt = head.indexOf(session) + session.length;
    this.#request = Buffer.alloc(head.length + options.questions.bytes);
    this.#request.write(head, "latin1");
  }

  /**
   * Makes one call, adds the latencies of its events and resolves to the number of HTTP chunks.
   * Rejects if the answer is wrong.
   */
  async call(eventTimes: number[]): Promise<number> {
    const turn = nextTurn++;
    this.#request.write(String(turn % SESSIONS).padStart(TURN_DIGITS, "0"), this.#sessionAt, "latin1");
    this.#questions.write(turn, this.#request.subarray(this.#bodyAt));
    for (let at = 0; at < this.#request.length;) at += await this.#connection.write(this.#request.subarray(at));
    const framing = new Framing(this.#body);
    let seen = 0;
    this.firstByteAt = 0;
    while (!framing.isWhole) {
      const read = await this.#connection.read(this.#buffer);
      if (read === null) throw new Error(`the connection ended after ${framing.length} bytes of the body`);
      framing.push(this.#buffer.subarray(0, read));
      if (this.firstByteAt === 0 && framing.length > 0) this.firstByteAt = performance.now();
      if (this.#isStamped) seen = this.#takeTimes(seen, { length: framing.length, eventTimes });
    }
    const got = this.#body.subarray(0, framing.length);
    const sent = this.#script.body;
    if (this.#target.isRewriter) compareMessages(got.toString(), sent.toString());
    else if (got.length !== sent.length) throw new Error(`${got.length} bytes instead of ${sent.length}`);
    else if (!got.equals(sent)) throw new Error("the body is another than was sent");
    return framing.chunks;
  }

  async reopen(): Promise<void> {
    this.close();
    this.#connection = await connect(this.#target.port);
  }

  close(): void {
    try {
      this.#connection.close();
    } catch {
      // It is closed already.
    }
  }

  /** Reads the time stamps of whole events and replaces them by zeros. */
  #takeTimes(seen: number, options: { length: number; eventTimes: number[] }): number {
    const now = performance.timeOrigin + performance.now();
    const { events } = this.#script;
    let next = seen;
    for (; next < events.length && events[next]!.end <= options.length; next++) {
      const at = events[next]!.stampAt;
      if (at < 0) continue;
      const latency = now - Number(this.#body.toString("latin1", at, at + STAMP_DIGITS)) / 1000;
      if (!(latency > -1000 && latency < 60_000)) throw new Error(`an event took ${latency} ms`);
      options.eventTimes.push(latency);
      this.#body.fill(0x30, at, at + STAMP_DIGITS);
    }
    return next;
  }
}

/** The least that a client of a rewriting gateway needs: the text and the usage. */
function compareMessages(got: string, sent: string): void {
  const pick = (text: string) => {
    const { content, usage } = JSON.parse(text);
    return JSON.stringify([content, usage?.output_tokens]);
  };
  if (pick(got) !== pick(sent)) throw new Error("the message is another than was sent");
}

async function connect(port: number): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay();
  return connection;
}

/** Removes an answer's HTTP/1.1 framing, as the benches need it: a known length or chunks. */
class Framing {
  length = 0;
  chunks = 0;
  isWhole = false;
  readonly #body: Buffer<ArrayBuffer>;
  #head = "";
  /** `crlf` is the line break after a chunk, `end` the one after the last. */
  #phase: "head" | "length" | "size" | "chunk" | "crlf" | "end" = "head";
  /** Bytes to come in this phase. */
  #left = 0;
  #size = "";

  constructor(body: Buffer<ArrayBuffer>) {
    this.#body = body;
  }

  push(bytes: Buffer<ArrayBuffer>): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.isWhole) throw new Error("there is more than one answer");
      if (this.#phase === "head") at = this.#takeHead(bytes);
      else if (this.#phase === "size") at = this.#takeSize(bytes, at);
      else at = this.#take(bytes, at);
    }
  }

  #takeHead(bytes: Buffer<ArrayBuffer>): number {
    const before = this.#head.length;
    this.#head += bytes.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end < 0) return bytes.length;
    const head = this.#head.slice(0, end);
    if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`answered ${head.slice(0, head.indexOf("\r\n"))}`);
    const length = head.match(/\r\ncontent-length: *(\d+)/i);
    this.#phase = length === null ? "size" : "length";
    this.#left = length === null ? 0 : Number(length[1]);
    return end + 4 - before;
  }

  #takeSize(bytes: Buffer<ArrayBuffer>, from: number): number {
    const end = bytes.indexOf(LF, from);
    this.#size += bytes.toString("latin1", from, end < 0 ? bytes.length : end);
    if (end < 0) return bytes.length;
    this.#left = parseInt(this.#size, 16);
    if (Number.isNaN(this.#left)) throw new Error(`a chunk of the size ${JSON.stringify(this.#size)}`);
    this.#size = "";
    if (this.#left > 0) this.chunks++;
    this.#phase = this.#left > 0 ? "chunk" : "end";
    if (this.#phase === "end") this.#left = CR_LF;
    return end + 1;
  }

  #take(bytes: Buffer<ArrayBuffer>, from: number): number {
    const count = Math.min(this.#left, bytes.length - from);
    if (this.#phase === "length" || this.#phase === "chunk") this.#keep(bytes.subarray(from, from + count));
    this.#left -= count;
    if (this.#left === 0) this.#turn();
    return from + count;
  }

  #keep(piece: Buffer<ArrayBuffer>): void {
    if (this.length + piece.length > this.#body.length) throw new Error("the body is longer than was sent");
    this.#body.set(piece, this.length);
    this.length += piece.length;
  }

  #turn(): void {
    if (this.#phase === "chunk") {
      this.#phase = "crlf";
      this.#left = CR_LF;
    } else if (this.#phase === "crlf") this.#phase = "size";
    else this.isWhole = true;
  }
}
