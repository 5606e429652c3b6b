import assert from "node:assert/strict";
import { type Asked, bytes, good, startAnswering } from "../../tests/answering_server.ts";
import { connected } from "../../tests/raw_client.ts";
import { gate, isPending, waitFor } from "../../tests/wait.ts";
import { requestBody } from "../http/request_body.ts";
import { listen } from "./listener.ts";

const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

function whole({ answer, number }: Asked): Promise<void> {
  return answer.answer(good(), `<${number}>`);
}

Deno.test("listen() answers pipelined requests in their order, though the first takes longest", async () => {
  const held = gate();
  await using server = await startAnswering(async (asked) => {
    if (asked.number === 1) await held.passed;
    await whole(asked);
  });
  using client = await connected(server.url);
  client.send(GET.repeat(3));
  assert.ok(await isPending(client.has(/</), 30));
  held.open();
  const text = await client.has(/<3>$/);
  assert.deepEqual([...text.matchAll(/x-llmproxy-request-id: (.*)\r/g)].map(([, id]) => id), ["ar-1", "ar-2", "ar-3"]);
  assert.deepEqual(text.match(/<\d>/g), ["<1>", "<2>", "<3>"]);
});

Deno.test("listen() begins no request before the answer before it is over, and a break ends no other answer", async () => {
  const held = gate();
  const begun: number[] = [];
  await using server = await startAnswering(async (asked) => {
    begun.push(asked.number);
    if (asked.number === 1) await held.passed;
    if (asked.number < 3) return await whole(asked);
    asked.answer.begin(good());
    await asked.answer.break();
  });
  using client = await connected(server.url);
  client.send(GET.repeat(4));
  await waitFor(() => begun.length > 0, { what: "the first request" });
  assert.ok(await isPending(waitFor(() => begun.length > 1, { what: "the second" }), 30));
  held.open();
  await client.ended;
  assert.deepEqual([begun, client.text().match(/<\d>/g)], [[1, 2, 3], ["<1>", "<2>"]]);
});

Deno.test("listen() begins nothing behind an answer that says connection: close, and no probe lands in an answer", async () => {
  const begun: number[] = [];
  const held = gate();
  await using server = await startAnswering(async (asked) => {
    begun.push(asked.number);
    if (asked.number === 1) await held.passed;
    await asked.answer.answer(good(asked.number === 2 ? { connection: "close" } : {}), `<${asked.number}>`);
  });
  using client = await connected(server.url);
  client.send(GET.repeat(3));
  client.socket.end();
  await client.has(/102 Processing[^]*102 Processing/);
  held.open();
  await client.ended;
  assert.match(
    client.text(),
    /^(HTTP\/1\.1 102 Processing\r\n\r\n)+HTTP\/1\.1 200 [^]*<1>(HTTP\/1\.1 102 Processing\r\n\r\n)*HTTP\/1\.1 200 [^]*<2>$/,
  );
  assert.deepEqual(begun, [1, 2]);
});

Deno.test("listen() closes a connection on which too many requests wait", async () => {
  const begun: number[] = [];
  await using server = await startAnswering(async ({ answer, number }) => {
    begun.push(number);
    await answer.over;
  });
  using client = await connected(server.url);
  client.send(GET.repeat(100));
  await client.ended;
  assert.deepEqual(begun, [1]);
});

Deno.test("listen() refuses what is no request behind a good one, after the good one's answer", async () => {
  const held = gate();
  await using server = await startAnswering(async (asked) => {
    await held.passed;
    await whole(asked);
  });
  using client = await connected(server.url);
  client.send(`${GET}nonsense\r\n\r\n`);
  await isPending(client.ended, 30);
  held.open();
  await client.ended;
  assert.match(client.text(), /^HTTP\/1\.1 200 OK[^]*<1>HTTP\/1\.1 400 Bad Request[^]*head_malformed$/);
});

Deno.test("listen() breaks the body of a pipelined request whose chunks are malformed, though an answer before it has ended", async () => {
  const held = gate();
  await using server = await startAnswering(async (asked) => {
    const { incoming, answer, number } = asked;
    if (number === 1) return await whole(asked);
    await held.passed;
    const text = await new Response(requestBody(incoming, () => {})).text().catch(() => "broken");
    await answer.answer(good(), `<${text}>`);
  });
  using client = await connected(server.url);
  client.send(`${GET}POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
  await client.has(/<1>$/);
  client.send("zz\r\n");
  await isPending(client.ended, 30);
  held.open();
  await client.has(/ar-2[^]*<broken>$/);
});

for (const [what, ending] of [["ends", "\r\n\r\n"], ["does not end", ""]]) {
  Deno.test(`listen() refuses a head that is too large and ${what} while it is sent: its client reads the whole refusal`, async () => {
    await using server = await startAnswering(whole);
    using client = await connected(server.url);
    const refused = client.has(/^HTTP\/1\.1 400 [^]*head_too_large$/);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nx-large: ");
    for (let n = 0; n < 50; n++) {
      await new Promise<void>((resolve, reject) =>
        client.socket.write("l".repeat(20_000), (error) => error ? reject(error) : resolve())
      );
    }
    client.send(ending!);
    await refused;
    assert.equal(await client.ended, "ended");
  });
}

Deno.test("listen() keeps a connection between requests for idleMs, and then closes it without a word", async () => {
  await using server = await startAnswering(whole, { idleMs: 300 });
  using client = await connected(server.url);
  for (const number of [1, 2, 3]) {
    client.send(GET);
    await client.has(new RegExp(`<${number}>$`));
  }
  const from = performance.now();
  assert.equal(await client.ended, "ended");
  assert.ok(performance.now() - from > 200);
  assert.match(client.text(), /<3>$/);
});

Deno.test("listen() keeps a connection whose answer takes longer than idleMs and headMs", async () => {
  await using server = await startAnswering(async ({ answer }) => {
    answer.begin(good());
    await isPending(answer.over, 450);
    await answer.end(bytes("whole"));
  }, { idleMs: 100, headMs: 100 });
  using client = await connected(server.url);
  client.send(GET);
  await client.has(/whole\r\n0\r\n\r\n$/);
});

const HEADS: Readonly<Record<string, { readonly before?: string; readonly sent: string }>> = {
  "half of a first head": { sent: "GET / HTTP/1.1\r\nHo" },
  "one byte": { sent: "G" },
  "half of a later head": { before: GET, sent: "GET / HTTP/1.1\r\nHo" },
};
for (const [what, { before, sent }] of Object.entries(HEADS)) {
  Deno.test(`listen() refuses ${what} with head_timeout after headMs, and ends the connection`, async () => {
    await using server = await startAnswering(whole, { headMs: 200 });
    using client = await connected(server.url);
    if (before !== undefined) {
      client.send(before);
      await client.has(/<1>$/);
    }
    const from = performance.now();
    client.send(sent);
    assert.equal(await client.ended, "ended");
    assert.ok(performance.now() - from > 150);
    assert.match(client.text(), /HTTP\/1\.1 400 [^]*connection: close\r\n\r\nhead_timeout$/);
  });
}

for (const before of [0, 1, 2]) {
  Deno.test(`listen() refuses half of a head whose client then closes its half, after ${before} requests, and no client that only closes`, async () => {
    await using server = await startAnswering(whole);
    for (
      const [sent, answer] of [["GET / HTTP/1.1\r\nHo", /(^|>)HTTP\/1\.1 400 [^]*head_malformed$/], ["", /^$|<\d>$/]] as const
    ) {
      using client = await connected(server.url);
      for (let n = 0; n < before; n++) {
        const { length } = client.text();
        client.send(GET);
        await waitFor(() => /<\d>$/.test(client.text().slice(length)), { what: "an answer" });
      }
      client.send(sent);
      client.socket.end();
      assert.equal(await client.ended, "ended");
      assert.match(client.text(), answer);
    }
  });
}

Deno.test("listen() closes a new connection that is silent for headMs, without an answer", async () => {
  await using server = await startAnswering(whole, { headMs: 200 });
  using client = await connected(server.url);
  assert.equal(await client.ended, "ended");
  assert.equal(client.text(), "");
});

Deno.test("listen() closes connections over maxConnections and says so once, while calls go on, and serves when there is room again", async () => {
  const held = gate();
  await using server = await startAnswering(async (asked) => {
    await held.passed;
    await whole(asked);
  }, { maxConnections: 3 });
  const running = await Promise.all([1, 2, 3].map(() => connected(server.url)));
  for (const client of running) client.send(GET);
  await isPending(running[0]!.ended, 20);
  for (let n = 0; n < 5; n++) {
    using further = await connected(server.url);
    further.send(GET);
    await further.ended;
    assert.equal(further.text(), "");
  }
  held.open();
  for (const client of running) await client.has(/<\d>$/);
  assert.deepEqual(server.troubles, ["connections are refused: LLMPROXY_MAX_CONNECTIONS are open"]);
  running[0]![Symbol.dispose]();
  await waitFor(async () => {
    using again = await connected(server.url);
    again.send(GET);
    return await Promise.race([again.has(/<\d>$/), again.ended.then(() => false as const)]);
  }, { what: "a connection to be served again" });
  for (const client of running) client[Symbol.dispose]();
});

Deno.test("Listener.shutdown() closes idle, silent and half-heard connections at once, running ones after their answer, and accepts no more", async () => {
  const held = gate();
  await using server = await startAnswering(async (asked) => {
    if (asked.number > 2) asked.answer.begin(good());
    if (asked.number > 1) await held.passed;
    if (asked.number > 2) await asked.answer.end(bytes("<3>"));
    else await whole(asked);
  });
  using idle = await connected(server.url);
  idle.send(GET);
  await idle.has(/<1>$/);
  using silent = await connected(server.url);
  using half = await connected(server.url);
  half.send("GET / HTTP/1.1\r\nHo");
  using before = await connected(server.url);
  before.send(GET);
  using within = await connected(server.url);
  await isPending(held.passed, 20);
  within.send(GET);
  await within.has(/ar-3/);
  const over = server.listener.shutdown();
  await assertWithin(200, idle.ended);
  await assertWithin(200, silent.ended);
  await assertWithin(200, half.ended);
  await assert.rejects(connected(server.url));
  assert.ok(await isPending(Promise.race([over, before.ended, within.ended]), 20));
  held.open();
  await Promise.all([before.ended, within.ended, over]);
  assert.match(before.text(), /connection: close\r\n[^]*<2>$/i);
  assert.match(within.text(), /<3>\r\n0\r\n\r\n$/);
});

Deno.test("Listener.shutdown() ends a connection after the answer that it is at, though its client asks again", async () => {
  const held = gate();
  await using server = await startAnswering(async (asked) => {
    if (asked.number === 1) await held.passed;
    await whole(asked);
  });
  using client = await connected(server.url);
  client.send(GET);
  await isPending(client.ended, 20);
  const over = server.listener.shutdown();
  client.send(GET);
  held.open();
  await over;
  await client.ended;
  assert.match(client.text(), /connection: close/i);
  assert.match(client.text(), /<1>/);
});

Deno.test("listen() has TCP keep-alive on at its connections, after 60 s", async () => {
  await using server = await startAnswering(whole);
  using client = await connected(server.url);
  client.send(GET);
  await client.has(/<1>$/);
  const filter = ["sport", "=", `:${server.listener.address.port}`];
  const { stdout } = await new Deno.Command("ss", { args: ["-Htno", "state", "established", ...filter] }).output()
    .catch((cause) => {
      throw new Error("Cannot run ss: install the package iproute2", { cause });
    });
  assert.match(new TextDecoder().decode(stdout), /timer:\(keepalive,(59|60|1min)/);
});

Deno.test("listen() rejects with a sentence for the operator if the address is taken or is not of this machine", async () => {
  await using server = await startAnswering(whole);
  const { port } = server.listener.address;
  for (
    const [address, reason] of [
      [
        { hostname: "127.0.0.1", port },
        /^Error: Cannot listen on 127\.0\.0\.1:\d+: .*(in use|EADDRINUSE).*\. LLMPROXY_ADMIN_ADDR must name/,
      ],
      [{ hostname: "192.0.2.1", port: 0 }, /^Error: Cannot listen on 192\.0\.2\.1:0: .*LLMPROXY_ADMIN_ADDR must name/],
    ] as const
  ) {
    const options = { headMs: 1_000, idleMs: 1_000, maxConnections: 1, handle() {}, refuseHead: () => "", onTrouble() {} };
    await assert.rejects(listen({ setting: "LLMPROXY_ADMIN_ADDR", address, ...options }), reason);
  }
});

/** Fails unless it settles in time. */
async function assertWithin(ms: number, work: Promise<unknown>): Promise<void> {
  assert.ok(!await isPending(work, ms), `not within ${ms} ms`);
}
