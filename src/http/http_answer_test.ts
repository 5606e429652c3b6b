import assert from "node:assert/strict";
import { type Asked, bytes, good, startAnswering } from "../../tests/answering_server.ts";
import { connected } from "../../tests/raw_client.ts";
import { assertAtMost } from "../../tests/best_attempt.ts";
import { gate, isPending, waitFor } from "../../tests/wait.ts";

const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const OLD_GET = "GET / HTTP/1.0\r\n\r\n";
const SIZED = { "content-length": "3000000" };
/** More than the system buffers for a connection. */
const MUCH = "m".repeat(16 * 1024);
const SEEN_WITHIN_MS = 200;

const BREAKS: readonly (readonly [what: string, request: string, headers: Record<string, string>, ends: "ended" | "reset"])[] = [
  ["a chunked answer without its last chunk, and no reset", GET, {}, "ended"],
  ["an answer with a length by a reset", GET, SIZED, "reset"],
  ["an HTTP/1.0 answer by a reset", OLD_GET, {}, "reset"],
  ["an HTTP/1.0 answer with a length by a reset", OLD_GET, SIZED, "reset"],
];
for (const [what, request, headers, ends] of BREAKS) {
  for (const pieces of [1, 100]) {
    Deno.test(`HttpAnswer.break() ends ${what}, after every byte of ${pieces} writes`, async () => {
      const over = Promise.withResolvers<void>();
      await using server = await startAnswering(async ({ answer }) => {
        answer.begin(good(headers));
        for (let n = 0; n < pieces; n++) await answer.write(bytes(MUCH));
        await answer.break();
        over.resolve();
      });
      using client = await connected(server.url);
      client.send(request);
      assert.equal(await client.ended, ends);
      const body = client.text().slice(client.text().indexOf("\r\n\r\n") + 4);
      assert.equal(body.match(/m/g)?.length, pieces * MUCH.length);
      assert.doesNotMatch(body, /(^|\r\n)0\r\n/);
      await over.promise;
    });
  }
}

Deno.test("HttpAnswer.break() resets an answer with a length of which nothing has been written", async () => {
  await using server = await startAnswering(({ answer }) => {
    answer.begin(good(SIZED));
    void answer.break();
  });
  using client = await connected(server.url);
  client.send(GET);
  assert.equal(await client.ended, "reset");
  assert.doesNotMatch(client.text(), /\r\n\r\n./);
});

Deno.test("HttpAnswer names its request in the head, drops an id of the upstream, and ends a whole answer for the next request", async () => {
  await using server = await startAnswering(async ({ answer }) => {
    answer.begin(good({ "x-llmproxy-request-id": "ar-of-the-upstream", "x-other": "y" }));
    await answer.write(bytes("one "));
    await answer.end(bytes("two"));
  });
  using client = await connected(server.url);
  for (const id of ["ar-1", "ar-2"]) {
    client.send(GET);
    const text = await client.has(new RegExp(`${id}[^]*\r\n0\r\n\r\n$`));
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(text, /\r\nx-other: y\r\n[^]*4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n$/);
    assert.doesNotMatch(text, /of-the-upstream/);
  }
});

Deno.test("HttpAnswer disconnects a client that reads nothing for stallMs, and tells its writer", async () => {
  const seen = Promise.withResolvers<{ readonly tookMs: number; readonly hasLeft: boolean; readonly told: number }>();
  await using server = await startAnswering(async ({ answer }) => {
    let told = 0;
    answer.onLeft(() => told++);
    answer.begin(good());
    let waited = performance.now();
    while (!answer.hasLeft) {
      waited = performance.now();
      await answer.write(bytes(MUCH));
    }
    await answer.over;
    seen.resolve({ tookMs: performance.now() - waited, hasLeft: answer.hasLeft, told });
  }, { stallMs: 150 });
  using client = await connected(server.url, { reads: false });
  client.send(GET);
  const { tookMs, hasLeft, told } = await seen.promise;
  assert.deepEqual({ hasLeft, told }, { hasLeft: true, told: 1 });
  assert.ok(tookMs > 100, `disconnected after ${tookMs} ms`);
  client.socket.resume();
  await client.ended;
  assert.doesNotMatch(client.text(), /\r\n0\r\n\r\n$/);
});

for (const how of ["end", "break"] as const) {
  Deno.test(`HttpAnswer.${how}() waits for a client that reads nothing no longer than stallMs`, async () => {
    const over = Promise.withResolvers<boolean>();
    await using server = await startAnswering(async ({ answer }) => {
      answer.begin(good(SIZED));
      const filled = answer.write(new Uint8Array(10 << 20));
      assert.ok(filled !== undefined);
      await (how === "end" ? answer.end(bytes("last")) : answer.break());
      over.resolve(answer.hasLeft);
    }, { stallMs: 150 });
    using client = await connected(server.url, { reads: false });
    client.send(GET);
    assert.equal(await over.promise, true);
  });
}

Deno.test("HttpAnswer says that a chunk is written when its bytes cannot change any more, also for a client that reads late", async () => {
  const pieces = Array.from({ length: 200 }, (_, n) => String.fromCharCode(97 + n % 26).repeat(1 + n * 331 % 60_000));
  const counts = { written: 0, slow: 0 };
  const slow = gate();
  await using server = await startAnswering(async ({ answer }) => {
    answer.begin(good());
    for (const piece of pieces) {
      const chunk = bytes(piece);
      const drained = answer.write(chunk, () => {
        counts.written++;
        chunk.fill(0x7a);
      });
      if (drained === undefined) continue;
      counts.slow++;
      slow.open();
      await drained;
    }
    await answer.end();
  });
  using client = await connected(server.url, { reads: false });
  client.send(GET);
  await slow.passed;
  assert.ok(counts.written < pieces.length);
  client.socket.resume();
  await client.has(/\r\n0\r\n\r\n$/);
  const body = client.text().slice(client.text().indexOf("\r\n\r\n") + 4);
  assert.equal(body.replace(/[\da-f]+\r\n([a-z]*)\r\n/g, "$1"), pieces.join(""));
  assert.equal(counts.written, pieces.length);
});

Deno.test("HttpAnswer keeps a slow client that reads, for many times stallMs", async () => {
  const total = 8 << 20;
  const stallMs = 400;
  const whole = Promise.withResolvers<boolean>();
  await using server = await startAnswering(async ({ answer }) => {
    answer.begin(good());
    for (let sent = 0; sent < total && !answer.hasLeft; sent += MUCH.length) await answer.write(bytes(MUCH));
    await answer.end();
    whole.resolve(!answer.hasLeft);
  }, { stallMs });
  const reader = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(server.url).port) });
  const startedAt = performance.now();
  await reader.write(bytes(GET));
  const buffer = new Uint8Array(256 * 1024);
  let text = "";
  for (let read = 0; !text.endsWith("\r\n0\r\n\r\n");) {
    const count = await reader.read(buffer);
    assert.ok(count !== null, `the connection ended after ${read} bytes`);
    read += count;
    text = (text + new TextDecoder().decode(buffer.subarray(0, count))).slice(-10);
    // At a steady pace: the whole takes three times as long as a stalled client is kept.
    await waitFor(() => performance.now() - startedAt > 3 * stallMs * read / total, { what: "the next read" });
  }
  reader.close();
  assert.equal(await whole.promise, true);
  assert.ok(performance.now() - startedAt > 2 * stallMs);
});

for (const version of ["1.0", "1.1"]) {
  Deno.test(`HttpAnswer answers an HTTP/${version} client that has closed its half, at once and later`, async () => {
    for (const waitsMs of [0, 60]) {
      const left: boolean[] = [];
      await using server = await startAnswering(async ({ answer }) => {
        if (waitsMs > 0) await isPending(answer.over, waitsMs);
        answer.begin(good());
        await answer.write(bytes("one "));
        await isPending(answer.over, waitsMs);
        await answer.end(bytes("two"));
        left.push(answer.hasLeft);
      });
      using client = await connected(server.url);
      client.send(`GET / HTTP/${version}\r\nHost: x\r\n\r\n`);
      client.socket.end();
      await client.ended;
      assert.match(client.text(), version === "1.1" ? /4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n$/ : /\r\n\r\none two$/);
      await waitFor(() => left.length > 0, { what: "the answer's end" });
      assert.deepEqual(left, [false]);
    }
  });
}

Deno.test("HttpAnswer asks a client that has closed its half by 102 Processing, before the answer and in HTTP/1.1 alone", async () => {
  for (const [version, asks] of [["1.1", 2], ["1.0", 0]] as const) {
    const held = gate();
    await using server = await startAnswering(async ({ answer }) => {
      await held.passed;
      await answer.answer(good(), "whole");
    });
    using client = await connected(server.url);
    client.send(`GET / HTTP/${version}\r\nHost: x\r\n\r\n`);
    client.socket.end();
    if (asks > 0) await client.has(/(HTTP\/1\.1 102 Processing\r\n\r\n){2}/);
    else await isPending(client.ended, 60);
    held.open();
    await client.ended;
    assert.equal(client.text().match(/102 Processing/g)?.length ?? 0, asks);
    assert.match(client.text(), /200 OK[^]*\r\n\r\nwhole$/);
  }
});

const LEAVES = {
  "closes": (client: Awaited<ReturnType<typeof connected>>) => client.socket.destroy(),
  "resets": (client: Awaited<ReturnType<typeof connected>>) => client.socket.resetAndDestroy(),
};
const STATES: Readonly<Record<string, (answer: Asked["answer"]) => unknown>> = {
  "before the answer": () => {},
  "when the head is sent": (answer) => answer.begin(good()),
  "within the answer": (answer) => {
    answer.begin(good());
    return answer.write(bytes("one "));
  },
  "within an answer with a length": (answer) => {
    answer.begin(good(SIZED));
    return answer.write(bytes("one "));
  },
};
for (const [how, leave] of Object.entries(LEAVES)) {
  for (const [when, state] of Object.entries(STATES)) {
    Deno.test(`HttpAnswer notices within ${SEEN_WITHIN_MS} ms that a client ${how} its connection ${when}`, async () => {
      await assertAtMost(SEEN_WITHIN_MS, async () => {
        const at = Promise.withResolvers<number>();
        const ready = gate();
        await using server = await startAnswering(async ({ answer }) => {
          answer.onLeft(() => {
            at.resolve(performance.now());
            void answer.break();
          });
          await state(answer);
          ready.open();
        });
        using client = await connected(server.url);
        client.send(GET);
        await ready.passed;
        const leftAt = performance.now();
        leave(client);
        return await at.promise - leftAt;
      });
    });
  }
}

Deno.test("requests that wait on a connection that its client has left are not started", async () => {
  const [begun, left]: [number[], number[]] = [[], []];
  await using server = await startAnswering(async ({ answer, number }) => {
    begun.push(number);
    answer.onLeft(() => void answer.break());
    if (number === 1) answer.begin(good());
    await answer.over;
    assert.ok(answer.hasLeft);
    left.push(number);
  });
  using client = await connected(server.url);
  client.send(GET.repeat(3));
  await client.has(/ar-1/);
  client.socket.resetAndDestroy();
  await waitFor(() => left.length === 1, { what: "the client to have left" });
  using next = await connected(server.url);
  next.send(GET);
  await waitFor(() => begun.length === 2, { what: "another connection's request" });
  assert.deepEqual([begun, left], [[1, 2], [1]]);
});

Deno.test("HttpAnswer calls a listener at once if the client has left already, and then writes nothing and waits for nothing", async () => {
  const done = Promise.withResolvers<number>();
  await using server = await startAnswering(async ({ answer }) => {
    await answer.over;
    let told = 0;
    answer.onLeft(() => told++);
    answer.begin(good());
    assert.equal(answer.write(bytes("x")), undefined);
    await Promise.all([answer.end(), answer.break(), answer.answer(good(), "x")]);
    done.resolve(told);
  });
  using client = await connected(server.url);
  client.send(GET);
  client.socket.resetAndDestroy();
  assert.equal(await done.promise, 1);
});

Deno.test("HttpAnswer.answer() has its head in one packet with its body, and says how long it is", async () => {
  await using server = await startAnswering(({ answer }) => answer.answer(good({ "content-type": "text/plain" }), "h\u00e9llo"));
  using client = await connected(server.url);
  let packets = 0;
  client.socket.on("data", () => packets++);
  client.send(GET);
  const text = await client.has(/llo$/);
  assert.match(text, /content-length: 6\r\n/);
  assert.equal(packets, 1);
});

Deno.test("HttpAnswer.answer() is read whole by a client that still sends 20 MB, and the connection ends after it", async () => {
  await using server = await startAnswering(({ answer }) =>
    answer.answer({ ...good(), status: 413 }, "too large. ".repeat(1_000))
  );
  using client = await connected(server.url);
  client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${20 << 20}\r\n\r\n`);
  client.send(new Uint8Array(20 << 20));
  const text = await client.has(/(too large\. ){1000}$/);
  assert.match(text, /^HTTP\/1\.1 413 /);
  assert.match(text, /connection: close\r\n/i);
  assert.equal(await client.ended, "ended");
});

Deno.test("HttpAnswer.answer() resets no client that sends on after it, and reads only then", async () => {
  const answered = gate();
  await using server = await startAnswering(({ answer }) => {
    void answer.answer({ ...good(), status: 413 }, "too large");
    answered.open();
  });
  using client = await connected(server.url, { reads: false });
  client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${20 << 20}\r\n\r\n`);
  await answered.passed;
  await isPending(client.ended, 50);
  for (let n = 0; n < 5; n++) {
    await new Promise<void>((resolve, reject) =>
      client.socket.write(new Uint8Array(100_000), (error) => error ? reject(error) : resolve())
    );
    await isPending(client.ended, 5);
  }
  client.socket.resume();
  await client.has(/too large$/);
  assert.equal(await client.ended, "ended");
});
