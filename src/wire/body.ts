import { createHash } from "node:crypto";
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
  /** Milliseconds for the whole body. `Deno.serve` itself waits for ever. */
  readonly deadlineMs: number;
}

/** A body that is held in memory. */
export interface HeldBody {
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
  readonly length: number;
  /** The bytes are on their way: their room is given back, but for what the answer takes. */
  readonly sent: () => void;
  /** The call is over: all its room is given back. Calling either again does nothing. */
  readonly release: () => void;
}

/** What every call takes of the budget until it is over: so much of its answer is buffered, and calls without end cannot pile up. */
export const LEAST_BYTES_A_CALL = 64 * 1024;

/** The `content-length` of a request; null where it has none. One beyond the safe integers is rounded, and too large anyway. */
export function declaredLength(headers: Headers): number | null {
  const text = headers.get("content-length");
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}

/**
 * Reads a body whole, within its limits, and shows each chunk to `look` as it comes.
 * A declared length is taken from the budget before the first byte, so that bodies that will not fit are refused unread.
 * Rejects with `BodyError`; nothing is held then.
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
      // A client that is quick enough would otherwise have 128 chunks looked at in one turn: 8 MB, 30 to 60 ms (Deno 2.9.6).
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
 * The held bytes as a stream. A streaming body is never silently sent twice:
 * fetch re-sends a buffered POST where a reused connection closes before the answer (measured on Deno 2.9.6).
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
 * The body passed on as it comes, in constant memory.
 * Fails with `BodyError` where it grows over its limit or stays silent for longer than `deadlineMs`.
 * `silence`, which is that of whom it goes to, does not listen while the body itself is waited for.
 */
export function limitBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  options: BodyLimits & { readonly onProblem: (error: BodyError) => void; readonly silence: IdleTimeout },
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
      options.silence.heard();
      const { value, done } = await readWithin(reader, options.deadlineMs).catch((error) => fail(asBodyError(error)));
      options.silence.listen();
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

/** A byte is hashed in a quarter of the time in which it is looked at. */
const HASHES_A_LOOK = 4;

/**
 * Chunks as they came, but for small ones, which are copied together: Deno.serve gives each in a buffer of 64 KB (2.9.6), so that
 * a body that comes byte by byte would be held in 65,536 times its bytes.
 */
class ChunkList {
  readonly chunks: Uint8Array<ArrayBuffer>[] = [];
  /** In which the last chunk begins and may grow. */
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

/** Not by a race against one promise for all reads: that would hold every chunk until the last has come. */
async function* within(
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  deadlineMs: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (body === null) return;
  const reader = body.getReader();
  let isExpired = false;
  const timer = setTimeout(() => {
    isExpired = true;
    reader.cancel().catch(() => {});
  }, deadlineMs);
  let isDone = false;
  try {
    while (true) {
      const { value, done } = await reader.read().catch((error) => {
        throw isExpired ? new BodyError("too_slow") : asBodyError(error);
      });
      if (isExpired) throw new BodyError("too_slow");
      isDone = done;
      if (done) return;
      yield value;
    }
  } finally {
    clearTimeout(timer);
    if (!isDone) reader.cancel().catch(() => {});
  }
}

async function readWithin(
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
  deadlineMs: number,
): Promise<ReadableStreamReadResult<Uint8Array<ArrayBuffer>>> {
  const expired = Promise.withResolvers<never>();
  const timer = setTimeout(() => expired.reject(new BodyError("too_slow")), deadlineMs);
  try {
    return await Promise.race([reader.read(), expired.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A body that ends before its declared length is a read error without a type of its own (Deno 2.9.6: `BadResource`). */
function asBodyError(error: unknown): BodyError {
  return error instanceof BodyError ? error : new BodyError("cut", { cause: error });
}
