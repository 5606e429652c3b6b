import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { isPending } from "../../tests/wait.ts";
import { IdleTimeout } from "./idle_timeout.ts";
import { pump, type PumpOptions, type PumpSink, type Watch } from "./pump.ts";

Deno.test("pump() passes chunks on in their order, and shows each to the watch first", async () => {
  const { stream, send, end } = source();
  const sink = new ListSink();
  const watch = watching({ look: (chunk) => void sink.log.push(`seen ${textOf(chunk)}`) });
  const over = pumped(stream, sink, { watch });
  send("a");
  await sink.has("a");
  send("b");
  await sink.has("b");
  end();
  await over;
  assert.deepEqual(sink.log, ["seen a", "a", "seen b", "b", "end"]);
});

Deno.test("pump() keeps a chunk back while look() is not done with it, and reads no further", async () => {
  const { stream, send, end } = source();
  const done = Promise.withResolvers<void>();
  const looks: string[] = [];
  const watch = watching({ look: (chunk) => looks.push(textOf(chunk)) === 1 ? done.promise : undefined });
  const sink = new ListSink();
  const over = pumped(stream, sink, { watch });
  send("a");
  assert.ok(await isPending(sink.has("a")));
  send("b");
  assert.ok(await isPending(sink.has("b")));
  assert.deepEqual(looks, ["a"]);
  done.resolve();
  await sink.has("b");
  end();
  await over;
  assert.deepEqual(sink.log, ["a", "b", "end"]);
});

Deno.test("pump() keeps one chunk while holdsLast() is true, until ended() has resolved, and returns when the client has it", async () => {
  const { stream, send, end } = source();
  const ended = Promise.withResolvers<"whole">();
  const taken = Promise.withResolvers<void>();
  const sink = new ListSink({ end: () => taken.promise });
  const over = pumped(stream, sink, { watch: watching({ ended: () => ended.promise }), holdsLast: () => true });
  send("a");
  assert.ok(await isPending(sink.has("a")));
  send("b");
  await sink.has("a");
  end();
  assert.ok(await isPending(sink.has("b")));
  ended.resolve("whole");
  await sink.has("b");
  assert.deepEqual(sink.log, ["a", "b", "end"]);
  assert.ok(await isPending(over));
  taken.resolve();
  await over;
});

Deno.test("pump() writes what it held, in one piece with the chunk at which holdsLast() turns false", async () => {
  const { stream, send, end } = source();
  const watch = watching();
  const sink = new ListSink();
  const over = pumped(stream, sink, { watch, holdsLast: () => !watch.seen.includes("c") });
  send("a");
  assert.ok(await isPending(sink.has("a")));
  send("b");
  await sink.has("a");
  send("c");
  await sink.has("bc");
  send("d");
  await sink.has("d");
  end();
  await over;
  assert.deepEqual(sink.log, ["a", "bc", "d", "end"]);
});

for (const holdsLast of [false, true]) {
  Deno.test(`pump() rejects with the source's error after it has written what had arrived${holdsLast ? ", held or not" : ""}`, async () => {
    const { stream, send, fail } = source();
    const watch = watching();
    const sink = new ListSink();
    const over = pumped(stream, sink, { watch, holdsLast: () => holdsLast });
    send("a");
    await watch.hasSeen("a");
    send("b");
    await watch.hasSeen("b");
    fail(new Error("reset"));
    await assert.rejects(over, /^Error: reset$/);
    assert.deepEqual(sink.log, ["a", "b"]);
  });
}

Deno.test("pump() rejects if the source ended cleanly but too early, after it has written what had arrived", async () => {
  const sink = new ListSink();
  const over = pumped(sourceOf("abc"), sink, { watch: BROKEN, holdsLast: () => true });
  await assert.rejects(over, /early/);
  assert.deepEqual(sink.log, ["abc"]);
});

Deno.test("pump() keeps back the last byte of a sized answer that ended too early, because a client takes it for the end", async () => {
  for (const [sent, seen] of [["abc", ["ab"]], ["a", [""]]] as const) {
    const sink = new ListSink();
    const over = pumped(sourceOf(sent), sink, { watch: BROKEN, holdsLast: () => true, isSized: true });
    await assert.rejects(over, /early/);
    assert.deepEqual(sink.log, seen);
  }
});

Deno.test("pump() keeps back the last byte of a sized answer that is aborted behind it", async () => {
  const { stream, send, fail } = source();
  const [sink, watch, aborting] = [new ListSink(), watching(), new AbortController()];
  const over = pumped(stream, sink, { watch, holdsLast: () => true, isSized: true, signal: aborting.signal });
  send("abc");
  await watch.hasSeen("abc");
  aborting.abort("cut");
  fail("cut");
  await assert.rejects(over);
  assert.deepEqual(sink.log, ["ab"]);
});

for (const holdsLast of [false, true]) {
  const name = holdsLast ? "what it holds, or " : "";
  Deno.test(`pump() rejects if look() does, lets the source go, and writes nothing of ${name}the chunk`, async () => {
    const { stream, send, cancelled } = source();
    const seen: string[] = [];
    const look = (chunk: Uint8Array) =>
      seen.push(textOf(chunk)) === (holdsLast ? 2 : 1) ? Promise.reject(new Error("no commit")) : undefined;
    const sink = new ListSink();
    const over = pumped(stream, sink, { watch: watching({ look }), holdsLast: () => holdsLast });
    if (holdsLast) {
      send("held");
      assert.ok(await isPending(sink.has("held")));
    }
    send("last");
    await assert.rejects(over, /no commit/);
    assert.match(String(cancelled()), /no commit/);
    assert.deepEqual(sink.log, []);
  });
}

Deno.test("pump() rejects if ended() does, and writes nothing of what it holds", async () => {
  const sink = new ListSink();
  const watch = watching({ ended: () => Promise.reject(new Error("no commit")) });
  await assert.rejects(pumped(sourceOf("held"), sink, { watch, holdsLast: () => true }), /no commit/);
  assert.deepEqual(sink.log, []);
});

Deno.test("pump() does not ask the source for more while the client is slow", async () => {
  let asked = 0;
  const stream = new ReadableStream({
    type: "bytes",
    pull(controller) {
      asked++;
      const { byteLength } = controller.byobRequest!.view!;
      controller.byobRequest!.respond(byteLength);
    },
  });
  const drained = Promise.withResolvers<void>();
  const aborts = new AbortController();
  const sink = new ListSink({ write: () => drained.promise });
  const over = pumped(stream, sink, { signal: aborts.signal });
  assert.ok(await isPending(over));
  assert.equal(asked, 1);
  aborts.abort(new Error("enough"));
  drained.resolve();
  await assert.rejects(over, /enough/);
});

Deno.test("pump() goes on when a slow client has taken its chunk", async () => {
  const { stream, send, end } = source();
  const drained = Promise.withResolvers<void>();
  const sink: ListSink = new ListSink({ write: () => sink.log.length === 1 ? drained.promise : undefined });
  const over = pumped(stream, sink);
  send("a");
  await sink.has("a");
  send("b");
  assert.ok(await isPending(sink.has("b")));
  drained.resolve();
  await sink.has("b");
  end();
  await over;
});

Deno.test("pump() ends its wait for a client that takes nothing when the signal aborts, and lets the source go", async () => {
  const { stream, send, cancelled } = source();
  const aborts = new AbortController();
  const sink = new ListSink({ write: () => new Promise<void>(() => {}) });
  const over = pumped(stream, sink, { signal: aborts.signal });
  send("a");
  await sink.has("a");
  assert.ok(await isPending(over));
  aborts.abort(new Error("the client left"));
  await assert.rejects(over, /the client left/);
  assert.match(String(cancelled()), /the client left/);
});

Deno.test("pump() lets the idle timeout run only while it waits for the source", async () => {
  const { stream, send, end } = source();
  let now = 0;
  const silent = Promise.withResolvers<void>();
  const idle = new IdleTimeout({ ms: 20, elapsed: () => now, onIdle: silent.resolve });
  const drained = Promise.withResolvers<void>();
  const sink = new ListSink({ write: () => drained.promise });
  const over = pumped(stream, sink, { idle });
  send("a");
  await sink.has("a");
  now = 1_000;
  assert.ok(await isPending(silent.promise, 40));
  drained.resolve();
  assert.ok(await isPending(over));
  now = 2_000;
  await silent.promise;
  end();
  await over;
});

Deno.test("pump() writes chunks of any size, and Buffers, in memory that keeps their bytes until they are written", async () => {
  const large = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 251));
  const small = Buffer.from("a buffer of a pool");
  const sink = new ListSink();
  await pumped(
    new ReadableStream({
      type: "bytes",
      start(controller) {
        for (const chunk of [large, small, large]) controller.enqueue(new Uint8Array(chunk));
        controller.close();
      },
      pull: (controller) => controller.byobRequest?.respond(0),
    }),
    sink,
  );
  assert.ok(sink.chunks.length > 3, "a read takes a bounded piece of a large chunk");
  assert.ok(Buffer.concat(sink.chunks).equals(Buffer.concat([large, small, large])));
  const memories = new Set(sink.chunks.map(({ buffer }) => buffer));
  assert.equal(memories.size, sink.chunks.length, "two chunks share memory");
  assert.ok(
    sink.chunks.every(({ buffer, byteLength }) => buffer.byteLength <= 4 * byteLength),
    "a chunk keeps much more memory than it needs",
  );
});

const ENDINGS: readonly (readonly [how: string, watch: Partial<Watch>, end: (from: ReturnType<typeof source>) => void])[] = [
  ["the source ends", {}, ({ end }) => end()],
  ["the source ends too early", { ended: () => Promise.resolve("broken") }, ({ end }) => end()],
  ["the source fails", {}, ({ fail }) => fail(new Error("broken"))],
  ["the watch rejects", { look: () => Promise.reject(new Error("refused")) }, ({ send }) => send("b")],
];
for (const [how, watch, end] of ENDINGS) {
  Deno.test({
    name: `pump() leaves no timer behind if ${how}`,
    sanitizeOps: true,
    async fn() {
      const from = source();
      const over = pumped(from.stream, new ListSink(), { watch: watching(watch) }).catch(() => {});
      end(from);
      await over;
    },
  });
}

/** Takes chunks into a list, and notes the end. */
class ListSink implements PumpSink {
  readonly chunks: Uint8Array[] = [];
  readonly log: string[] = [];
  readonly #over: Partial<PumpSink>;
  readonly #waiting: { readonly text: string; readonly resolve: () => void }[] = [];

  constructor(over: Partial<PumpSink> = {}) {
    this.#over = over;
  }

  readonly write = (chunk: Uint8Array, written?: () => void) => {
    this.#take(chunk);
    return this.#over.write?.(chunk, written);
  };

  readonly end = async (last: Uint8Array | null) => {
    if (last !== null) this.#take(last);
    this.log.push("end");
    await this.#over.end?.(last);
  };

  /** Resolves when that chunk has come. */
  has(text: string): Promise<void> {
    if (this.log.includes(text)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ text, resolve }));
  }

  #take(chunk: Uint8Array): void {
    this.chunks.push(chunk);
    this.log.push(textOf(chunk));
    for (const { text, resolve } of this.#waiting) if (this.log.includes(text)) resolve();
  }
}

function pumped(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  sink: PumpSink,
  over: Partial<PumpOptions> = {},
): Promise<void> {
  const idle = new IdleTimeout({ ms: 60_000, elapsed: () => performance.now(), onIdle: () => assert.fail("idle") });
  const { signal } = new AbortController();
  return pump(stream, sink, { watch: watching(), holdsLast: () => false, isSized: false, idle, signal, ...over });
}

/** A byte stream that the test feeds by hand. */
function source() {
  let controller!: ReadableByteStreamController;
  let cancelled: unknown;
  const stream = new ReadableStream({
    type: "bytes",
    start: (given) => void (controller = given),
    cancel: (reason) => void (cancelled = reason ?? "no reason"),
  });
  return {
    stream: stream as ReadableStream<Uint8Array<ArrayBuffer>>,
    send: (text: string) => controller.enqueue(new TextEncoder().encode(text)),
    end: () => {
      controller.close();
      controller.byobRequest?.respond(0);
    },
    fail: (error: unknown) => controller.error(error),
    cancelled: () => cancelled,
  };
}

function sourceOf(text: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { stream, send, end } = source();
  send(text);
  end();
  return stream;
}

function watching(
  over: Partial<Watch> = {},
): Watch & { readonly seen: string[]; readonly hasSeen: (text: string) => Promise<void> } {
  const seen: string[] = [];
  const waiting = new Map<string, PromiseWithResolvers<void>>();
  function seeing(text: string): PromiseWithResolvers<void> {
    return waiting.get(text) ?? waiting.set(text, Promise.withResolvers<void>()).get(text)!;
  }
  return {
    seen,
    hasSeen: (text) => seeing(text).promise,
    look: (chunk) => {
      seen.push(textOf(chunk));
      seeing(textOf(chunk)).resolve();
    },
    ended: () => Promise.resolve("whole"),
    ...over,
  };
}

const BROKEN = watching({ ended: () => Promise.resolve("broken") });

function textOf(chunk: Uint8Array): string {
  return new TextDecoder().decode(chunk);
}
