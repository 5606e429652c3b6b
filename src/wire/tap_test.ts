import assert from "node:assert/strict";
import { IdleTimeout } from "./idle_timeout.ts";
import { tap, type Watch } from "./tap.ts";

function never(): IdleTimeout {
  return new IdleTimeout({ ms: 60_000, elapsed: () => performance.now(), onIdle: () => assert.fail("idle") });
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

function watching(over: Partial<Watch> = {}): Watch & { readonly seen: string[] } {
  const seen: string[] = [];
  return {
    seen,
    look: (chunk) => void seen.push(new TextDecoder().decode(chunk)),
    ended: () => Promise.resolve("tidy"),
    broke: () => Promise.resolve(),
    left: () => "cancel",
    ...over,
  };
}

async function take(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string | null> {
  const { value, done } = await reader.read();
  return done ? null : new TextDecoder().decode(value);
}

/** True where the promise is still pending after everything that is ready has run. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  const turn = new Promise((resolve) => setTimeout(() => resolve(pending), 5));
  return await Promise.race([promise, turn]) === pending;
}

Deno.test("tap() passes chunks on as they come and shows them first", async () => {
  const { stream, send, end } = source();
  const watch = watching();
  const reader = tap(stream, watch, { holdsLast: false, isSized: false, idle: never() }).getReader();
  send("a");
  assert.equal(await take(reader), "a");
  assert.deepEqual(watch.seen, ["a"]);
  send("b");
  assert.equal(await take(reader), "b");
  end();
  assert.equal(await take(reader), null);
});

Deno.test("tap() holds a chunk back while look() is not done with it", async () => {
  const { stream, send } = source();
  const gate = Promise.withResolvers<void>();
  const reader = tap(stream, watching({ look: () => gate.promise }), { holdsLast: false, isSized: false, idle: never() })
    .getReader();
  send("a");
  const first = take(reader);
  assert.ok(await isPending(first));
  gate.resolve();
  assert.equal(await first, "a");
});

Deno.test("tap() with holdsLast keeps one chunk until ended() has resolved", async () => {
  const { stream, send, end } = source();
  const gate = Promise.withResolvers<"tidy">();
  const reader = tap(stream, watching({ ended: () => gate.promise }), { holdsLast: true, isSized: false, idle: never() })
    .getReader();
  send("a");
  const first = take(reader);
  assert.ok(await isPending(first));
  send("b");
  assert.equal(await first, "a");
  end();
  const last = take(reader);
  assert.ok(await isPending(last));
  gate.resolve("tidy");
  assert.equal(await last, "b");
  assert.equal(await take(reader), null);
});

Deno.test("tap() releases what it held as soon as holdsLast() returns false", async () => {
  const { stream, send, end } = source();
  const watch = watching();
  const holdsLast = () => !watch.seen.join("").includes("c");
  const reader = tap(stream, watch, { holdsLast, isSized: false, idle: never() }).getReader();
  send("a");
  const first = take(reader);
  assert.ok(await isPending(first));
  send("b");
  assert.equal(await first, "a");
  send("c");
  assert.equal(await take(reader), "bc");
  send("d");
  assert.equal(await take(reader), "d");
  end();
  assert.equal(await take(reader), null);
});

Deno.test("tap() breaks if the source breaks, after what had arrived", async () => {
  for (const holdsLast of [false, true]) {
    const { stream, send, fail } = source();
    let told: unknown;
    const watch = watching({ broke: (error) => Promise.resolve(void (told = error)) });
    const reader = tap(stream, watch, { holdsLast, isSized: false, idle: never() }).getReader();
    const first = take(reader);
    send("a");
    if (holdsLast) assert.ok(await isPending(first));
    else assert.equal(await first, "a");
    const next = holdsLast ? first : take(reader);
    fail(new Error("reset"));
    if (holdsLast) {
      assert.equal(await next, "a");
      await assert.rejects(take(reader), /reset/);
    } else await assert.rejects(next, /reset/);
    assert.match(String(told), /reset/);
  }
});

Deno.test("tap() breaks if the source ended tidily but too early", async () => {
  const { stream, send, end } = source();
  const reader = tap(stream, watching({ ended: () => Promise.resolve("broken") }), {
    holdsLast: true,
    isSized: false,
    idle: never(),
  })
    .getReader();
  send("a");
  end();
  assert.equal(await take(reader), "a");
  await assert.rejects(take(reader), /early/);
});

Deno.test("tap() keeps back the last byte of a sized answer that ended tidily but too early, because it would be the end", async () => {
  for (const [sent, seen] of [["abc", "ab"], ["a", null]] as const) {
    const { stream, send, end } = source();
    const watch = watching({ ended: () => Promise.resolve("broken") });
    const reader = tap(stream, watch, { holdsLast: true, isSized: true, idle: never() }).getReader();
    send(sent);
    end();
    if (seen !== null) assert.equal(await take(reader), seen);
    await assert.rejects(take(reader), /early/);
  }
});

Deno.test("tap() breaks, releases the source and tells the watch if the watch fails", async () => {
  const { stream, send, cancelled } = source();
  const look = () => Promise.reject(new Error("no commit"));
  let told: unknown = null;
  const broke = (error: unknown) => Promise.resolve(void (told = error));
  const reader = tap(stream, watching({ look, broke }), { holdsLast: false, isSized: false, idle: never() }).getReader();
  send("last");
  await assert.rejects(take(reader), /no commit/);
  assert.ok(cancelled());
  assert.match(String(told), /no commit/);
});

Deno.test("tap() lets the source go when the reader leaves", async () => {
  const { stream, send, cancelled } = source();
  const reader = tap(stream, watching(), { holdsLast: false, isSized: false, idle: never() }).getReader();
  send("a");
  await take(reader);
  await reader.cancel("gone");
  assert.equal(cancelled(), "gone");
});

Deno.test("tap() drains the source if the watch asks for it, with or without a read under way", async () => {
  for (const isReading of [true, false]) {
    const { stream, send, end } = source();
    const over = Promise.withResolvers<void>();
    const watch = watching({
      left: () => "drain",
      ended: () => {
        over.resolve();
        return Promise.resolve("tidy");
      },
    });
    const reader = tap(stream, watch, { holdsLast: true, isSized: false, idle: never() }).getReader();
    if (isReading) assert.ok(await isPending(reader.read()));
    const left = reader.cancel();
    send("a");
    send("b");
    end();
    await over.promise;
    await left;
    assert.equal(watch.seen.join(""), "ab");
  }
});

Deno.test("tap() asks the source for no more than its reader asks it for", async () => {
  let asked = 0;
  const stream = new ReadableStream({
    type: "bytes",
    pull(controller) {
      asked++;
      controller.enqueue(new Uint8Array(1024));
    },
  });
  const reader = tap(stream, watching(), { holdsLast: false, isSized: false, idle: never() }).getReader();
  await reader.read();
  await isPending(new Promise(() => {}));
  assert.ok(asked <= 2, `asked ${asked} times`);
});

Deno.test("tap() runs the idle timeout only while it waits for the source", async () => {
  const { stream, send } = source();
  let now = 0;
  const silent = Promise.withResolvers<void>();
  const idle = new IdleTimeout({ ms: 20, elapsed: () => now, onIdle: silent.resolve });
  const reader = tap(stream, watching(), { holdsLast: false, isSized: false, idle }).getReader();
  send("a");
  await take(reader);
  now = 1_000;
  assert.ok(await isPending(silent.promise));
  const waiting = take(reader);
  now = 2_000;
  await silent.promise;
  send("b");
  assert.equal(await waiting, "b");
  idle.end();
});

const SILENCED: readonly (readonly [how: string, watch: Partial<Watch>, end: (from: ReturnType<typeof source>) => void])[] = [
  ["ends", {}, ({ end }) => end()],
  ["ends early", { ended: () => Promise.resolve("broken") }, ({ end }) => end()],
  ["breaks", {}, ({ fail }) => fail(new Error("broken"))],
  ["is refused by the watch", { look: () => Promise.reject(new Error("refused")) }, ({ send }) => send("b")],
];
for (const [how, watch, end] of SILENCED) {
  Deno.test({
    name: `tap() leaves no timer behind where the source ${how}`,
    sanitizeOps: true,
    async fn() {
      const from = source();
      const reader = tap(from.stream, watching(watch), { holdsLast: false, isSized: false, idle: never() }).getReader();
      const waiting = take(reader).catch(() => null);
      end(from);
      assert.equal(await waiting, null);
    },
  });
}

for (const isReading of [false, true]) {
  for (const departure of ["cancel", "drain"] as const) {
    Deno.test({
      name: `tap() leaves no timer behind where the reader goes ${isReading ? "in" : "between"} reading: ${departure}`,
      sanitizeOps: true,
      async fn() {
        const { stream, send, end } = source();
        const over = Promise.withResolvers<void>();
        const watch = watching({
          left: () => departure,
          ended: () => {
            over.resolve();
            return Promise.resolve("tidy");
          },
        });
        const reader = tap(stream, watch, { holdsLast: false, isSized: false, idle: never() }).getReader();
        send("a");
        await take(reader);
        if (isReading) assert.ok(await isPending(reader.read()));
        await reader.cancel();
        if (departure === "cancel") return;
        end();
        await over.promise;
      },
    });
  }
}
