import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { BodyError, declaredLength, hashOf, LEAST_BYTES_A_CALL, limitBody, readBody, sentOnce } from "./body.ts";
import { ByteBudget } from "./budget.ts";
import { IdleTimeout } from "./idle_timeout.ts";

const MB = 1024 * 1024;

function chunked(...chunks: Uint8Array<ArrayBuffer>[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(chunks);
}

function options(over: Partial<Parameters<typeof readBody>[1]> = {}): Parameters<typeof readBody>[1] {
  const budget = new ByteBudget({ totalBytes: 4 * MB, perHolderBytes: 2 * MB });
  return { declared: null, maxBytes: MB, deadlineMs: 5_000, budget, holder: "s", ...over };
}

async function problemOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(() => null, (error) => error);
  assert.ok(error instanceof BodyError, String(error));
  return error.problem;
}

Deno.test("readBody() holds every byte and frees its room once", async () => {
  const budget = new ByteBudget({ totalBytes: 4 * MB, perHolderBytes: 2 * MB });
  const sent = Uint8Array.from({ length: 100_010 }, (_, i) => i % 251);
  const body = await readBody(chunked(sent.slice(0, 10), sent.slice(10)), options({ budget }));
  assert.deepEqual(body.bytes, sent);
  assert.equal(body.length, 100_010);
  assert.ok(budget.heldBytes >= 100_010);
  body.release();
  body.release();
  assert.equal(budget.heldBytes, 0);
});

Deno.test("readBody() puts a body together from chunks of any size, and holds no more memory than it took from the budget", async () => {
  const sent = Uint8Array.from({ length: 1_500_000 }, (_, i) => i % 251);
  const sizes = [1, 1, 5_000, 3, 70_000, 1, 2, 4_096, 4_097, 1_200_000];
  const pieces = [...sizes, ...Array.from({ length: 1_000 }, () => 1)];
  let at = 0;
  const chunks = pieces.map((size) => sent.slice(at, at += size));
  chunks.push(sent.slice(at));
  for (const declared of [null, sent.length]) {
    const over = options({ declared, maxBytes: 2 * MB });
    const body = await readBody(chunked(...chunks), over);
    assert.deepEqual(body.bytes, sent);
    assert.ok(body.bytes.buffer.byteLength <= over.budget.heldBytes, `${body.bytes.buffer.byteLength} bytes of memory`);
  }
});

Deno.test("readBody() reads one of Node's streams", async () => {
  const body = await readBody(
    ReadableStream.from(Readable.from([Buffer.from("ab"), Buffer.from("c")])),
    options({ declared: 3 }),
  );
  assert.equal(new TextDecoder().decode(body.bytes), "abc");
  const broken = new Readable({ read: () => broken.destroy(new Error("gone")) });
  assert.equal(await problemOf(readBody(ReadableStream.from(broken), options())), "cut");
});

Deno.test("readBody() takes no memory for a declared length of which nothing has come", async () => {
  const over = options({ declared: 512 * MB, maxBytes: 512 * MB });
  const budget = new ByteBudget({ totalBytes: 512 * MB, perHolderBytes: 512 * MB });
  const silent = Promise.withResolvers<void>();
  const source = (async function* () {
    yield new Uint8Array(10);
    await silent.promise;
  })();
  const before = Deno.memoryUsage().external;
  const body = readBody(ReadableStream.from(source), { ...over, budget });
  assert.equal(budget.heldBytes, 512 * MB);
  assert.ok(Deno.memoryUsage().external - before < 4 * MB);
  silent.resolve();
  assert.equal(await problemOf(body), "cut");
  assert.equal(budget.heldBytes, 0);
});

Deno.test("readBody() refuses a declared length over the limit without reading", async () => {
  const unread = new ReadableStream<Uint8Array<ArrayBuffer>>({ pull: () => assert.fail("read") }, { highWaterMark: 0 });
  assert.equal(await problemOf(readBody(unread, options({ declared: MB + 1 }))), "too_large");
});

Deno.test("readBody() refuses a body that grows over the limit, and holds nothing then", async () => {
  const over = options();
  assert.equal(await problemOf(readBody(chunked(new Uint8Array(MB), new Uint8Array(1)), over)), "too_large");
  assert.equal(over.budget.heldBytes, 0);
});

Deno.test("readBody() refuses at once if the holder has no room left", async () => {
  const budget = new ByteBudget({ totalBytes: 4 * MB, perHolderBytes: MB });
  await readBody(chunked(new Uint8Array(MB / 2)), options({ budget, declared: MB / 2 }));
  assert.equal(await problemOf(readBody(chunked(), options({ budget, declared: MB }))), "no_room");
  const undeclared = chunked(new Uint8Array(400_000), new Uint8Array(400_000));
  assert.equal(await problemOf(readBody(undeclared, options({ budget }))), "no_room");
  assert.equal(budget.heldBytes, MB / 2);
});

Deno.test("readBody() gives up on a body that does not come within the deadline", async () => {
  const silent = new ReadableStream<Uint8Array<ArrayBuffer>>();
  assert.equal(await problemOf(readBody(silent, options({ deadlineMs: 10 }))), "too_slow");
});

Deno.test("readBody() tells a body that broke from one that ended", async () => {
  const broken = new ReadableStream<Uint8Array<ArrayBuffer>>({ pull: (controller) => controller.error(new Error("gone")) });
  assert.equal(await problemOf(readBody(ReadableStream.from(broken), options())), "cut");
});

Deno.test("limitBody() passes bytes on in order and fails if the body grows over its limit or falls silent", async () => {
  const idle = new IdleTimeout({ ms: 60_000, elapsed: () => 0, onIdle: () => assert.fail() });
  const limits = { maxBytes: 10, deadlineMs: 10, idle };
  const passed = limitBody(chunked(new Uint8Array([1, 2]), new Uint8Array([3])), { ...limits, onProblem: () => assert.fail() });
  assert.deepEqual([...await new Response(passed).bytes()], [1, 2, 3]);
  const problems: string[] = [];
  const onProblem = (error: BodyError) => problems.push(error.problem);
  await assert.rejects(new Response(limitBody(chunked(new Uint8Array(11)), { ...limits, onProblem })).bytes());
  await assert.rejects(new Response(limitBody(new ReadableStream(), { ...limits, onProblem })).bytes());
  assert.deepEqual(problems, ["too_large", "too_slow"]);
  idle.end();
});

Deno.test("readBody() keeps an answer's room when the body is sent, and frees all when the call is over", async () => {
  const budget = new ByteBudget({ totalBytes: 4 * MB, perHolderBytes: 2 * MB });
  const body = await readBody(chunked(new Uint8Array(MB)), options({ budget }));
  assert.ok(budget.heldBytes >= MB);
  body.sent();
  body.sent();
  assert.equal(budget.heldBytes, LEAST_BYTES_A_CALL);
  body.release();
  body.sent();
  assert.equal(budget.heldBytes, 0);
});

Deno.test("hashOf() hashes the bytes it is given, however many", async () => {
  const bytes = new Uint8Array(3 * MB + 5);
  for (let at = 0; at < bytes.length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  for (const [start, end] of [[0, 0], [123, 4_321], [1, bytes.length], [0, MB], [0, 2 * MB + 1]]) {
    const range = bytes.subarray(start, end);
    assert.equal(await hashOf(range), createHash("sha256").update(range).digest("hex"));
  }
});

Deno.test("sentOnce() goes out with its length, whole, and never a second time if a reused connection closes", async () => {
  for (const length of [1, 3_000_000]) {
    const sent = Uint8Array.from({ length }, (_, i) => i % 251);
    let calls = 0;
    const seen: { readonly headers: IncomingHttpHeaders; readonly body: Buffer }[] = [];
    const server = createServer(async (request, response) => {
      calls++;
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      seen.push({ headers: request.headers, body: Buffer.concat(chunks) });
      if (calls === 1) response.end("ok");
      else request.socket.destroy();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = Deno.createHttpClient({ http2: false });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const post = () => fetch(url, { method: "POST", body: sentOnce(sent), client });
    assert.equal(await (await post()).text(), "ok");
    await assert.rejects(post(), TypeError);
    client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    assert.equal(calls, 2);
    for (const { headers, body } of seen) {
      assert.equal(headers["content-length"], String(length));
      assert.equal(headers["transfer-encoding"], undefined);
      assert.equal(headers["content-type"], undefined);
      assert.ok(body.equals(sent));
    }
  }
});

Deno.test("declaredLength() reads a plain number only", () => {
  assert.equal(declaredLength(new Headers({ "content-length": "12" })), 12);
  assert.equal(declaredLength(new Headers({ "content-length": "9007199254740993" })), 2 ** 53);
  for (const odd of ["", "-1", "1e3", "12, 12", "0x10"]) {
    assert.equal(declaredLength(new Headers({ "content-length": odd })), null);
  }
});
