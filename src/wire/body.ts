import { createHash } from "node:crypto";
import { deadline, timeLimit } from "../async/deadline.ts";
import type { ByteBudget } from "./budget.ts";
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
  /** For the whole body. `Deno.serve` itself waits forever. */
  readonly deadlineMs: number;
}

/** A body that is held in memory. */
export interface HeldBody {
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
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
export function declaredLength(headers: Headers): number | null {
  const text = headers.get("content-length");
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}

/**
 * Reads a whole body within its limits, and shows each chunk to `look` as it comes. Takes a
 * declared length from the budget before the first byte, so that a body that will not fit is
 * refused unread. Rejects with `BodyError`, and then holds nothing.
 */
export async function readBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  options: BodyLimits & {
    readonly declared: number | null;
    readonly budget: ByteBudget;
    readonly holder: string;
    readonly look: (chunk: Uint8Array) => void;
  },
): Promise<HeldBody> {
  const { budget, holder, maxBytes } = options;
  if ((options.declared ?? 0) > maxBytes) throw new BodyError("too_large");
  let room = Math.max(options.declared ?? 0, LEAST_BYTES_A_CALL);
  if (!budget.take(holder, room)) throw new BodyError("no_room");
  const held = new ChunkList();
  let length = 0;
  try {
    for await (const chunk of within(body, options.deadlineMs)) {
      length += chunk.length;
      if (length > maxBytes) throw new BodyError("too_large");
      if (length > room) {
        const more = Math.max(length - room, Math.min(room, maxBytes - room));
        if (!budget.take(holder, more)) throw new BodyError("no_room");
        room += more;
      }
      // Otherwise one turn looks at 128 chunks of a quick client: 8 MB, 30 to 60 ms (Deno 2.9.6).
      await EVENT_LOOP_BUDGET.enter(chunk.length);
      options.look(chunk);
      held.add(chunk);
    }
  } catch (error) {
    budget.give(holder, room);
    throw error;
  }
  const keep = (bytes: number) => {
    if (bytes < room) budget.give(holder, room - bytes);
    room = Math.min(room, bytes);
  };
  return { chunks: held.chunks, length, sent: () => keep(LEAST_BYTES_A_CALL), release: () => keep(0) };
}

/**
 * The held bytes as a stream, because fetch never sends a stream twice. It silently sends a
 * buffered POST again if a reused connection closes before the answer (measured on Deno 2.9.6).
 */
export function streamOf(body: HeldBody): ReadableStream<Uint8Array<ArrayBuffer>> {
  let next = 0;
  return new ReadableStream({
    pull(controller) {
      const chunk = body.chunks[next++];
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
  });
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

/** SHA-256 (hex) of a range of the body's bytes. */
export async function hashRange(body: HeldBody, range: { readonly start: number; readonly end: number }): Promise<string> {
  const hash = createHash("sha256");
  let offset = 0;
  for (const chunk of body.chunks) {
    const from = Math.max(range.start - offset, 0);
    const to = Math.min(range.end - offset, chunk.length);
    offset += chunk.length;
    if (from >= to) continue;
    await EVENT_LOOP_BUDGET.enter((to - from) / HASHES_A_LOOK);
    hash.update(chunk.subarray(from, to));
  }
  return hash.digest("hex");
}

/** Hashing a byte takes a quarter of the time of looking at it. */
const HASHES_A_LOOK = 4;

/**
 * Chunks as they came, except that small ones are copied together: Deno.serve gives each in a
 * buffer of 64 KB (2.9.6), so a body that comes byte by byte would take 65,536 times its bytes.
 */
class ChunkList {
  readonly chunks: Uint8Array<ArrayBuffer>[] = [];
  /** The last chunk begins here and may grow. */
  #block: Uint8Array<ArrayBuffer> | null = null;

  add(chunk: Uint8Array<ArrayBuffer>): void {
    if (chunk.length > BLOCK_BYTES / 2) {
      this.#block = null;
      this.chunks.push(chunk);
      return;
    }
    const last = this.chunks.at(-1)?.length ?? 0;
    if (this.#block !== null && last + chunk.length <= this.#block.length) {
      this.#block.set(chunk, last);
      this.chunks[this.chunks.length - 1] = this.#block.subarray(0, last + chunk.length);
      return;
    }
    this.#block = new Uint8Array(Math.max(chunk.length, Math.min(2 * last, BLOCK_BYTES)));
    this.#block.set(chunk);
    this.chunks.push(this.#block.subarray(0, chunk.length));
  }
}

const BLOCK_BYTES = 64 * 1024;

/** Without a race against one promise for all reads: that would hold every chunk until the last. */
async function* within(
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  deadlineMs: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (body === null) return;
  const reader = body.getReader();
  using limit = timeLimit(deadlineMs, () => new BodyError("too_slow"));
  const cancel = () => void reader.cancel().catch(() => {});
  limit.signal.addEventListener("abort", cancel);
  try {
    while (true) {
      const { value, done } = await reader.read().catch((error) => {
        limit.signal.throwIfAborted();
        throw asBodyError(error);
      });
      limit.signal.throwIfAborted();
      if (done) return;
      yield value;
    }
  } finally {
    cancel();
  }
}

/**
 * Deno has no error type for a body that ends before its declared length (2.9.6: `BadResource`).
 */
function asBodyError(error: unknown): BodyError {
  return error instanceof BodyError ? error : new BodyError("cut", { cause: error });
}
