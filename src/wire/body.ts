import { createHash } from "node:crypto";
import { deadline } from "../async/deadline.ts";
import type { Budget } from "./budget.ts";
import type { IdleTimeout } from "./idle_timeout.ts";
import { EVENT_LOOP_BUDGET } from "./event_loop_budget.ts";

export type BodyProblem = "too_large" | "too_slow" | "cut" | "no_room";

/** Why a request's body could not be read. */
export class BodyError extends Error {
  readonly problem: BodyProblem;

  constructor(problem: BodyProblem, options?: { readonly cause?: unknown }) {
    super(`request body: ${problem}`, options);
    this.name = "BodyError";
    this.problem = problem;
  }
}

export interface BodyLimits {
  readonly maxBytes: number;
  /** For the whole body. The server itself waits forever. */
  readonly deadlineMs: number;
}

/** A body that is held in memory, in one piece. */
export interface HeldBody {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly length: number;
  /** The bytes are on their way: frees their room, except for `LEAST_BYTES_A_CALL`. */
  readonly sent: () => void;
  /** The call is over: frees all its room. Calling either again does nothing. */
  readonly release: () => void;
}

/**
 * Every call holds this much of the budget until it is over: as much of its answer is buffered. So
 * the budget bounds the number of calls too.
 */
export const LEAST_BYTES_A_CALL = 64 * 1024;

/**
 * A request's `content-length`, if any. One beyond the safe integers is rounded: too large anyway.
 */
export function declaredLength(headers: Pick<Headers, "get">): number | null {
  const text = headers.get("content-length");
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}

/**
 * Reads a whole body within its limits. Takes a declared length from the budget before the first
 * byte, so that a body that will not fit is refused unread. Rejects with `BodyError`, and then
 * holds nothing.
 */
export async function readBody(
  source: ReadableStream<Uint8Array> | null,
  options: BodyLimits & { readonly declared: number | null; readonly budget: Budget; readonly holder: string },
): Promise<HeldBody> {
  const filling = new Filling(options);
  try {
    await deadline(fill(source, filling), options.deadlineMs, () => new BodyError("too_slow"));
  } catch (error) {
    filling.keep(0);
    throw asBodyError(error);
  }
  const { bytes } = filling;
  if (bytes.length < (options.declared ?? 0)) {
    filling.keep(0);
    throw new BodyError("cut");
  }
  return { bytes, length: bytes.length, sent: () => filling.keep(LEAST_BYTES_A_CALL), release: () => filling.keep(0) };
}

/** Not by `for await`: that makes errors with stacks when it releases the stream. */
async function fill(source: ReadableStream<Uint8Array> | null, filling: Filling): Promise<void> {
  await filling.begin();
  if (source === null) return;
  const reader = source.getReader();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      if (!filling.hasSpaceFor(read.value)) await filling.grow(read.value);
      filling.add(read.value);
    }
  } catch (error) {
    reader.cancel(error).catch(() => {});
    throw error;
  }
}

/** The bytes of a body so far, within its limit and the budget. */
class Filling {
  readonly #options: Parameters<typeof readBody>[1];
  #buffer: Uint8Array<ArrayBuffer>;
  #length = 0;
  /** What it has taken from the budget. */
  #room = 0;
  #isOver = false;

  constructor(options: Parameters<typeof readBody>[1]) {
    const declared = options.declared ?? 0;
    if (declared > options.maxBytes) throw new BodyError("too_large");
    this.#options = options;
    this.#buffer = new Uint8Array(Math.min(declared, UNPROVEN_BYTES));
  }

  /** Takes the room of what is declared. */
  begin(): Promise<void> {
    return this.#take(Math.max(this.#options.declared ?? 0, LEAST_BYTES_A_CALL));
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#length);
  }

  /** There must be space for it. */
  add(chunk: Uint8Array): void {
    if (this.#isOver) throw new BodyError("too_slow");
    this.#buffer.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  hasSpaceFor(chunk: Uint8Array): boolean {
    return this.#length + chunk.length <= this.#buffer.length;
  }

  /** Gives the budget back all but so many bytes. */
  keep(bytes: number): void {
    this.#isOver = true;
    if (bytes >= this.#room) return;
    this.#options.budget.give(this.#options.holder, this.#room - bytes);
    this.#room = bytes;
  }

  /** Makes space for the chunk. Rejects with `BodyError` if there is no room. */
  async grow(chunk: Uint8Array): Promise<void> {
    const { declared, maxBytes } = this.#options;
    const length = this.#length + chunk.length;
    if (length > maxBytes) throw new BodyError("too_large");
    const doubled = Math.min(Math.max(length, 2 * this.#buffer.length), maxBytes);
    const size = declared !== null && length <= declared ? declared : doubled;
    if (size > this.#room) await this.#take(size - this.#room);
    const wider = new Uint8Array(size);
    wider.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = wider;
  }

  async #take(bytes: number): Promise<void> {
    const { budget, holder } = this.#options;
    const taken = budget.take(holder, bytes);
    if (!(typeof taken === "boolean" ? taken : await taken)) throw new BodyError("no_room");
    this.#room += bytes;
    // The deadline may have passed meanwhile.
    if (this.#isOver) this.keep(0);
  }
}

/** A body that declares more gets its memory when so much of it has come. */
const UNPROVEN_BYTES = 1024 * 1024;

/**
 * A stream as a body for fetch, which sends it with its length and never twice. fetch silently
 * sends a plain buffer again if a reused connection closes before the answer, and it sends a plain
 * stream chunked (Deno 2.9.6). It asks a Blob for its size and its stream. This one copies nothing.
 */
export class SizedBody extends Blob {
  readonly #length: number;
  readonly #bytes: ReadableStream<Uint8Array<ArrayBuffer>>;

  constructor(length: number, bytes: ReadableStream<Uint8Array<ArrayBuffer>>) {
    super();
    [this.#length, this.#bytes] = [length, bytes];
  }

  override get size(): number {
    return this.#length;
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#bytes;
  }
}

/** Held bytes as a body for fetch; null for an empty body. */
export function sentOnce(bytes: Uint8Array<ArrayBuffer>): SizedBody | null {
  if (bytes.length === 0) return null;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  }, { highWaterMark: 0 });
  return new SizedBody(bytes.length, stream);
}

/**
 * Passes the body on as it comes, in constant memory. Fails with `BodyError` if it grows over its
 * limit or a chunk takes longer than `deadlineMs`. `idle` is the idle timeout of the receiver:
 * it pauses while this waits for the sender.
 */
export function limitBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  options: BodyLimits & { readonly onProblem: (error: BodyError) => void; readonly idle: IdleTimeout },
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  let length = 0;
  const fail = (error: BodyError): never => {
    options.onProblem(error);
    reader.cancel(error).catch(() => {});
    throw error;
  };
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      options.idle.heard();
      const { value, done } = await deadline(reader.read(), options.deadlineMs, () => new BodyError("too_slow"))
        .catch((error) => fail(asBodyError(error)));
      options.idle.listen();
      if (done) return controller.close();
      length += value.length;
      if (length > options.maxBytes) fail(new BodyError("too_large"));
      controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}

/** SHA-256 (hex) of the bytes. `EVENT_LOOP_BUDGET` shares the event loop. */
export async function hashOf(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for (let from = 0; from < bytes.length; from += HASHED_BYTES) {
    const piece = bytes.subarray(from, from + HASHED_BYTES);
    await EVENT_LOOP_BUDGET.enter(piece.length / HASHES_A_LOOK);
    hash.update(piece);
  }
  return hash.digest("hex");
}

/** So much at a time: 0.6 ms (Deno 2.9.6). */
const HASHED_BYTES = 1024 * 1024;
/** Hashing a byte takes 0.6 ns, looking at it up to 40 (Deno 2.9.6). */
const HASHES_A_LOOK = 8;

/**
 * Deno has no error type for a body that ends before its declared length (2.9.6: `BadResource`).
 */
function asBodyError(error: unknown): BodyError {
  return error instanceof BodyError ? error : new BodyError("cut", { cause: error });
}
