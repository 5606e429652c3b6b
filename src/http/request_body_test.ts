import assert from "node:assert/strict";
import { type AnsweringServer, type Asked, bytes, good, startAnswering } from "../../tests/answering_server.ts";
import { connected } from "../../tests/raw_client.ts";
import { gate, isPending, waitFor } from "../../tests/wait.ts";
import { requestBody } from "./request_body.ts";

const CHUNKED = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

const PIECE = new Uint8Array(64 * 1024);

function sized(length: number): string {
  return `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
}

/** Answers with what it read, or with the error. */
async function echoing({ incoming, answer }: Asked): Promise<void> {
  const body = requestBody(incoming, () => {});
  const text = body === null ? "no body" : await new Response(body).text().catch((error) => `broken: ${error.message}`);
  await answer.answer(good(), `<${text}>`);
}

const BODIES: Readonly<Record<string, readonly [request: string, body: string]>> = {
  "is null for a GET": ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "no body"],
  "is null for a length of 0": [sized(0), "no body"],
  "is the bytes of a length": [`${sized(5)}hello`, "hello"],
  "is the bytes of all chunks": [`${CHUNKED}3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\ntrailer: z\r\n\r\n`, "hello"],
  "is empty for an empty last chunk alone": [`${CHUNKED}0\r\n\r\n`, ""],
};
for (const [name, [request, body]] of Object.entries(BODIES)) {
  Deno.test(`requestBody() ${name}, whole or in pieces, and the next request is read after it`, async () => {
    await using server = await startAnswering(echoing);
    using client = await connected(server.url);
    client.send(request);
    await client.has(new RegExp(`<${body}>$`));
    for (const character of request) client.send(character);
    await client.has(new RegExp(`ar-2[^]*<${body}>$`));
    assert.doesNotMatch(client.text(), /connection: close/i);
  });
}

const LARGE = "x".repeat(300_000);
const CUT_SHORT: Readonly<Record<string, readonly [request: string, body: string]>> = {
  "a small body": [`${sized(5)}hello`, "hello"],
  "a large body": [sized(LARGE.length) + LARGE, LARGE],
  "a large chunked body": [`${CHUNKED}${LARGE.length.toString(16)}\r\n${LARGE}\r\n0\r\n\r\n`, LARGE],
  "a body with nonsense behind it": [`${sized(5)}hellononsense\r\n\r\n`, "hello"],
};
for (const [what, [request, body]] of Object.entries(CUT_SHORT)) {
  Deno.test(`requestBody() has all of ${what} whose client has closed its half before the first byte was read`, async () => {
    const held = gate();
    let seen: string | null = null;
    await using server = await startAnswering(async ({ incoming, answer }) => {
      await held.passed;
      seen = await new Response(requestBody(incoming, () => {})).text().catch(String);
      await answer.answer(good(), "<done>");
    });
    using client = await connected(server.url);
    client.send(request);
    client.socket.end();
    await isPending(client.ended, 50);
    held.open();
    await client.has(/<done>/);
    assert.equal(seen, body);
  });
}

Deno.test("requestBody() reads at its reader's pace: a client cannot send more than a few buffers ahead", async () => {
  const read = Promise.withResolvers<void>();
  const total = 40 << 20;
  let received = 0;
  let bytesRead = () => 0;
  await using server = await startAnswering(async ({ incoming, answer }) => {
    bytesRead = () => incoming.socket.bytesRead;
    const reader = requestBody(incoming, () => {})!.getReader();
    received += (await reader.read()).value!.length;
    await read.promise;
    for (let part = await reader.read(); !part.done; part = await reader.read()) received += part.value.length;
    await answer.answer(good(), `<${received}>`);
  });
  using client = await connected(server.url);
  client.send(sized(total));
  for (let sent = 0; sent < total; sent += PIECE.length) client.send(PIECE);
  await waitFor(() => received > 0, { what: "the first chunk" });
  let waiting = -1;
  await waitFor(async () => {
    const before = waiting;
    await isPending(client.ended, 50);
    waiting = bytesRead();
    return waiting === before;
  }, { what: "the client to be held back" });
  assert.ok(waiting < total / 2, `${waiting} bytes were read ahead`);
  read.resolve();
  await client.has(new RegExp(`<${total}>$`));
});

Deno.test("requestBody() calls onRead once, before the first byte is read and not earlier", async () => {
  const log: string[] = [];
  await using server = await startAnswering(async ({ incoming, answer, goOn, expects }) => {
    const body = requestBody(incoming, () => {
      log.push("asked");
      goOn();
    })!;
    log.push(expects ? "expects" : "sends");
    await isPending(answer.over, 30);
    log.push("reads");
    await answer.answer(good(), `<${await new Response(body).text()}>`);
  });
  using client = await connected(server.url);
  client.send(sized(10).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
  await client.has(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  client.send("hello");
  client.send("hello");
  await client.has(/<hellohello>$/);
  assert.deepEqual(log, ["expects", "reads", "asked"]);
  assert.equal(client.text().match(/100 Continue/g)?.length, 1);
});

const CUTS: Readonly<Record<string, readonly [request: string, end: (client: Awaited<ReturnType<typeof connected>>) => void]>> = {
  "its client closes its half before the end": [`${sized(10)}hello`, ({ socket }) => socket.end()],
  "its client closes its half within a chunk": [`${CHUNKED}a\r\nhello`, ({ socket }) => socket.end()],
  "a chunk has no size": [CHUNKED, ({ send }) => send("zz\r\nhello")],
  "a later chunk has no size": [`${CHUNKED}5\r\nhello\r\n`, ({ send }) => send("-1\r\nhello")],
};
for (const [name, [request, end]] of Object.entries(CUTS)) {
  for (const isRead of [true, false]) {
    Deno.test(`requestBody() breaks if ${name}, ${isRead ? "while" : "before"} it is read, and its reader can answer`, async () => {
      const broken = Promise.withResolvers<void>();
      const began = Promise.withResolvers<void>();
      await using server = await startAnswering(async (asked) => {
        began.resolve();
        if (!isRead) await broken.promise;
        await echoing(asked);
      });
      using client = await connected(server.url);
      client.send(request);
      await began.promise;
      end(client);
      if (!isRead) await isPending(client.ended, 30);
      broken.resolve();
      assert.match(
        await client.has(/<.*>$/),
        /^HTTP\/1\.1 200 OK[^]*ar-1[^]*<broken: the client ended its request before the body's end>$/,
      );
      await client.ended;
    });
  }
}

for (const how of ["destroy", "resetAndDestroy"] as const) {
  Deno.test(`requestBody() breaks if its client leaves before the end (${how})`, async () => {
    const broke = Promise.withResolvers<unknown>();
    const began = Promise.withResolvers<void>();
    await using server = await startAnswering(async ({ incoming, answer }) => {
      const reader = requestBody(incoming, () => {})!.getReader();
      await reader.read();
      began.resolve();
      await reader.read().then(broke.reject, broke.resolve);
      void answer.break();
    });
    using client = await connected(server.url);
    client.send(`${sized(10)}hello`);
    await began.promise;
    client.socket[how]();
    assert.match(String(await broke.promise), /before the body's end/);
  });
}

Deno.test("requestBody() leaves no listener on the connection, however its reader ends", async () => {
  const counts: number[] = [];
  async function counting(asked: Asked): Promise<void> {
    const { incoming, answer, number } = asked;
    if (number === 2) {
      const reader = requestBody(incoming, () => {})!.getReader();
      await reader.read();
      await reader.cancel();
      return await answer.answer(good(), "<cancelled>");
    }
    await echoing(asked);
    counts.push(incoming.socket.listenerCount("end") + incoming.socket.listenerCount("close"));
  }
  await using server: AnsweringServer = await startAnswering(counting);
  using client = await connected(server.url);
  for (const [number, request] of [`${sized(5)}hello`, `${sized(6)}hello!`, `${sized(5)}hello`, `${sized(5)}hello`].entries()) {
    client.send(bytes(request));
    await client.has(new RegExp(`ar-${number + 1}[^]*>$`));
  }
  await waitFor(() => counts.length === 3, { what: "three counts" });
  assert.deepEqual(counts, [counts[0], counts[0], counts[0]]);
});
