import type { IdleTimeout } from "./idle_timeout.ts";

/** Watches a stream of bytes go by. The bytes wait for each promise. */
export interface Watch {
  /**
   * Sees each chunk before the reader. A promise holds the chunk back; a rejection breaks the
   * stream.
   */
  readonly look: (chunk: Uint8Array) => void | Promise<void>;
  /**
   * The source ended tidily. Resolves to what the reader may see; a rejection breaks the stream.
   */
  readonly ended: () => Promise<"tidy" | "broken">;
  /** The source broke. Never rejects. */
  readonly broke: (error: unknown) => Promise<void>;
  /** The reader has left. `drain` reads the source to its end, for the watch alone. */
  readonly left: () => "cancel" | "drain";
}

/** A slow reader leaves at most this much unread; the source waits. */
const BUFFER_BYTES = 64 * 1024;

/**
 * Passes a stream on unchanged while `watch` looks, and breaks if its source breaks. Delivers first
 * what had arrived: it calls `error()` only when the reader asks for more, because an error
 * straight after an `enqueue` drops the bytes.
 *
 * - `idle` listens while this waits for the source, never while it waits for the reader. It ends
 *   with the source.
 * - `holdsLast` always holds one chunk back, so that no reader has the whole before `ended`
 *   resolves. Without it `look` must know the end. A function is called after each `look`: as soon
 *   as it returns false, the held chunk goes out with the next.
 * - `isSized`: the reader knows the length and takes the last byte for the end, so a broken end
 *   keeps that byte back. Needs `holdsLast`.
 *
 * A byte stream with a BYOB reader is the cheapest tap in JavaScript (`deno task bench
 * --suite=taps`).
 */
export function tap(
  source: ReadableStream<Uint8Array<ArrayBuffer>>,
  watch: Watch,
  options: { readonly holdsLast: boolean | (() => boolean); readonly isSized: boolean; readonly idle: IdleTimeout },
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = source.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(BUFFER_BYTES);
  let held: Uint8Array<ArrayBuffer> | null = null;
  let failure: { readonly error: unknown } | null = null;
  let isOver = false;
  /** What to do with the source after the reader has left; null while it is there. */
  let afterwards: "cancel" | "drain" | null = null;
  let isStepping = false;

  async function next(): Promise<Uint8Array<ArrayBuffer> | null> {
    options.idle.listen();
    const { value, done } = await reader.read(new Uint8Array(buffer)).finally(() => options.idle.heard());
    if (done || value === undefined) return null;
    const chunk = value.slice();
    buffer = value.buffer;
    return chunk;
  }

  /**
   * Returns the next chunk that the reader may have. At the end null, with `isOver` or `failure`
   * set.
   */
  async function step(): Promise<Uint8Array<ArrayBuffer> | null> {
    while (true) {
      let chunk: Uint8Array<ArrayBuffer> | null;
      try {
        chunk = await next();
      } catch (error) {
        await watch.broke(error);
        failure = { error };
        return release();
      }
      if (afterwards === "cancel") return null;
      if (chunk === null) {
        isOver = await watch.ended() === "tidy";
        if (isOver) return release();
        failure = { error: new Error("the upstream ended its answer early") };
        return options.isSized ? withoutLastByte(release()) : release();
      }
      const wait = watch.look(chunk);
      if (wait !== undefined) await wait;
      if (afterwards === "drain") continue;
      if (!holdsLast()) return held === null ? chunk : joined(release()!, chunk);
      const earlier = held;
      held = chunk;
      if (earlier !== null) return earlier;
    }
  }

  function holdsLast(): boolean {
    return typeof options.holdsLast === "function" ? options.holdsLast() : options.holdsLast;
  }

  function release(): Uint8Array<ArrayBuffer> | null {
    const last = held;
    held = null;
    return last;
  }

  async function guardedStep(): Promise<Uint8Array<ArrayBuffer> | null> {
    isStepping = true;
    try {
      return await step();
    } catch (error) {
      failure = { error };
      reader.cancel(error).catch(() => {});
      // The watch must know that the stream has ended, even if the watch itself failed.
      await watch.broke(error);
      return null;
    } finally {
      isStepping = false;
      if (failure !== null || isOver || afterwards === "cancel") options.idle.end();
    }
  }

  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const chunk = failure === null && !isOver ? await guardedStep() : null;
      if (afterwards !== null) return;
      if (chunk !== null) controller.enqueue(chunk);
      else if (failure !== null) controller.error(failure.error);
      else {
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
    cancel(reason) {
      afterwards = watch.left();
      if (afterwards === "cancel") {
        options.idle.end();
        return reader.cancel(reason).catch(() => {});
      }
      if (!isStepping && failure === null && !isOver) guardedStep();
    },
  });
}

/** Null if nothing is left: a byte stream takes no empty chunk. */
function withoutLastByte(chunk: Uint8Array<ArrayBuffer> | null): Uint8Array<ArrayBuffer> | null {
  return chunk === null || chunk.length <= 1 ? null : chunk.subarray(0, -1);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
