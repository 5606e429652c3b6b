import type { IdleTimeout } from "./idle_timeout.ts";

/** What watches a stream of bytes go by. Each promise delays the bytes that wait for it. */
export interface Watch {
  /** Sees each chunk before the reader does. A promise holds that chunk back until it resolves; a rejection breaks the stream. */
  readonly look: (chunk: Uint8Array) => void | Promise<void>;
  /** The source has ended tidily. Resolves to whether the reader may see a tidy end; a rejection breaks the stream. */
  readonly ended: () => Promise<"tidy" | "broken">;
  /** The source broke. Never rejects. */
  readonly broke: (error: unknown) => Promise<void>;
  /** The reader has gone. `drain` reads the source on to its end, unseen by anybody but the watch. */
  readonly left: () => "cancel" | "drain";
}

/** A slow reader leaves at most this much unread in us; the source waits. */
const BUFFER_BYTES = 64 * 1024;

/**
 * Passes a stream on unchanged while `watch` looks, and breaks where its source breaks.
 *
 * `silence` listens while the source is waited for, never while the reader is; it is ended with the
 * source, not before. With `holdsLast` one chunk is always held back, so that nobody can have the
 * whole before `ended` has resolved; without it `look` has to know the end. If it is a function, it
 * is asked after each `look`: what was held goes out with the chunk that needs no holding. Where it
 * `isSized`, the reader has been told the length and takes its last byte for the end, so that byte
 * is kept back if the end is broken; this needs `holdsLast`. A byte stream with a BYOB reader,
 * because that is the cheapest tap there is in JavaScript (`deno task bench --suite=taps`). What
 * had arrived is delivered before a break: `error()` is called only when the reader asks for more,
 * because an error straight after an `enqueue` drops the bytes.
 */
export function tap(
  source: ReadableStream<Uint8Array<ArrayBuffer>>,
  watch: Watch,
  options: { readonly holdsLast: boolean | (() => boolean); readonly isSized: boolean; readonly silence: IdleTimeout },
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = source.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(BUFFER_BYTES);
  let held: Uint8Array<ArrayBuffer> | null = null;
  let failure: { readonly error: unknown } | null = null;
  let isOver = false;
  /** What to do with the source once the reader has gone; null while it is there. */
  let afterwards: "cancel" | "drain" | null = null;
  let isStepping = false;

  async function next(): Promise<Uint8Array<ArrayBuffer> | null> {
    options.silence.listen();
    const { value, done } = await reader.read(new Uint8Array(buffer)).finally(() => options.silence.heard());
    if (done || value === undefined) return null;
    const chunk = value.slice();
    buffer = value.buffer;
    return chunk;
  }

  /** Reads up to the next chunk that the reader may have, or to the end: then null, with `isOver` or `failure` set. */
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
      // Whatever went wrong in the watch, it is to know that the stream has ended.
      await watch.broke(error);
      return null;
    } finally {
      isStepping = false;
      if (failure !== null || isOver || afterwards === "cancel") options.silence.end();
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
        options.silence.end();
        return reader.cancel(reason).catch(() => {});
      }
      if (!isStepping && failure === null && !isOver) guardedStep();
    },
  });
}

/** Null where nothing is left: a byte stream takes no empty chunk. */
function withoutLastByte(chunk: Uint8Array<ArrayBuffer> | null): Uint8Array<ArrayBuffer> | null {
  return chunk === null || chunk.length <= 1 ? null : chunk.subarray(0, -1);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
