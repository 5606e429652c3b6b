import { unlessAborted } from "../async/deadline.ts";
import { giveBuffer, takeBuffer } from "./read_buffers.ts";
import type { IdleTimeout } from "./idle_timeout.ts";

/** Takes the bytes, at its own pace (`domain/answer_sink.ts`). */
export interface PumpSink {
  readonly write: (chunk: Uint8Array, written?: () => void) => Promise<void> | undefined;
  readonly end: (last: Uint8Array | null) => Promise<void>;
}

/**
 * Reads a copy of what passes. The bytes wait for each promise, and may change once it resolves; a
 * rejection breaks the answer.
 */
export interface Watch {
  readonly look: (chunk: Uint8Array) => void | Promise<void>;
  /** The source has ended. Resolves to what the client may take the answer for. */
  readonly ended: () => Promise<"whole" | "broken">;
}

export interface PumpOptions {
  readonly watch: Watch;
  /**
   * Asked after each look. While it is true, one chunk is held back, so that no client has the
   * whole before `ended` resolves. Without it, `look` must know the end.
   */
  readonly holdsLast: () => boolean;
  /** The client takes the last byte for the end: a broken answer keeps it back. */
  readonly isSized: boolean;
  /** Listens while this waits for the source, never while it waits for the client. */
  readonly idle: IdleTimeout;
  /** Aborts a wait for a slow client. The source rejects by itself. */
  readonly signal: AbortSignal;
}

/** Less of a buffer is copied out of it: a client that takes nothing would hold the whole one. */
const MIN_FILLED = 1 / 4;

/**
 * Passes the source's bytes on unchanged and returns when the client has them. Rejects with the
 * source's or the watch's error, or because the answer is not whole; then what may be seen of it is
 * written, and the connection is still to be broken.
 *
 * A byte stream with a BYOB reader is the cheapest tap in JavaScript (`bench/taps.ts`).
 */
export async function pump(
  source: ReadableStream<Uint8Array<ArrayBuffer>>,
  sink: PumpSink,
  options: PumpOptions,
): Promise<void> {
  const { watch, holdsLast, isSized, idle, signal } = options;
  const reader = source.getReader({ mode: "byob" });
  let size: "small" | "large" = "small";
  let held: Chunk | null = null;
  let isReading = false;
  try {
    while (true) {
      isReading = true;
      idle.listen();
      const room: Chunk = new Uint8Array(takeBuffer(size));
      const { value, done } = await reader.read(room);
      idle.heard();
      isReading = false;
      if (done) {
        if (value !== undefined) giveBuffer(value.buffer);
        break;
      }
      size = value.length === value.buffer.byteLength ? "large" : "small";
      const chunk = withoutRoom(value);
      const seen = watch.look(chunk);
      if (seen !== undefined) await seen;
      let next: Chunk | null = chunk;
      if (holdsLast()) [next, held] = [held, chunk];
      else if (held !== null) [next, held] = [joined(held, chunk), null];
      const drained = next === null ? undefined : writeTo(sink, next);
      // A client that reads nothing must not hold a call that is aborted.
      if (drained !== undefined) await unlessAborted(signal, drained);
    }
    if (await watch.ended() === "broken") {
      if (held !== null) sink.write(isSized ? held.subarray(0, -1) : held);
      throw new Error("the upstream ended its answer early");
    }
  } catch (error) {
    // An abort of our own may come behind the last byte, which would make the answer a whole one.
    if (isReading && held !== null) sink.write(isSized && signal.aborted ? held.subarray(0, -1) : held);
    reader.cancel(error).catch(() => {});
    throw error;
  } finally {
    idle.end();
  }
  await sink.end(held);
}

type Chunk = Uint8Array<ArrayBuffer>;

/** The same bytes, in a buffer that they fill to a good part. */
function withoutRoom(chunk: Chunk): Chunk {
  if (chunk.length >= MIN_FILLED * chunk.buffer.byteLength) return chunk;
  const copy = chunk.slice();
  giveBuffer(chunk.buffer);
  return copy;
}

/** The system writes later, from the same memory. */
function writeTo(sink: PumpSink, chunk: Chunk): Promise<void> | undefined {
  return sink.write(chunk, () => giveBuffer(chunk.buffer));
}

function joined(first: Chunk, second: Chunk): Chunk {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  giveBuffer(first.buffer);
  giveBuffer(second.buffer);
  return both;
}
