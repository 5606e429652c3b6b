import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { BodyError, declaredLength, hashRange, LEAST_BYTES_A_CALL, limitBody, readBody, streamOf } from "./body.ts";
import { ByteBudget } from "./budget.ts";
import { IdleTimeout } from "./idle_timeout.ts";
import { nextTurn } from "./event_loop_budget.ts";

const MB = 1024 * 1024;

function chunked(...chunks: Uint8Array<ArrayBuffer>[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(chunks);
}

function options(over: Partial<Parameters<typeof readBody>[1]> = {}): Parameters<typeof readBody>[1] {
  const budget = new ByteBudget({ totalBytes: 4 * MB, perHolderBytes: 2 * MB });
  return { declared: null, maxBytes: MB, deadlineMs: 5_000, budget, holder: "s", look: () => {}, ...over };
}

async function problemOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(() => null, (error) => error);
  assert.ok(error instanceof BodyError, String(error));
  return error.problem;
}

Deno.test("readBody() holds every byte, shows each chunk once and frees its room once", async () => {
  const seen: number[] = [];
  const budget = new ByteBudget({ totalBytes: 4 * MB, perHolderBytes: 2 * MB });
  const body = await readBody(
    chunked(new Uint8Array(10), new Uint8Array(100_000)),
    options({ budget, look: (chunk) => seen.push(chunk.length) }),
  );
  assert.deepEqual(seen, [10, 100_000]);
  assert.equal(body.length, 100_010);
  assert.ok(budget.heldBytes >= 100_010);
  assert.equal((await new Response(streamOf(body)).bytes()).length, 100_010);
  body.release();
  body.release();
  assert.equal(budget.heldBytes, 0);
});

Deno.test("readBody() looks at no more than 256 KB at a time, however quickly a body comes", async () => {
  let bytesThisTurn = 0;
  let most = 0;
  let isRead = false;
  const body = readBody(
    chunked(...Array.from({ length: 16 }, () => new Uint8Array(64 * 1024))),
    options({ look: (chunk) => most = Math.max(most, bytesThisTurn += chunk.length) }),
  ).finally(() => isRead = true);
  while (!isRead) {
    bytesThisTurn = 0;
    await nextTurn();
  }
  assert.equal((await body).length, MB);
  // What another test has left of its turn may come on top.
  assert.ok(most <= MB / 4 + 64 * 1024, String(most));
});

Deno.test("readBody() gathers what comes in small chunks, so that a body costs no more than its bytes", async () => {
  const sent = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);
  const sizes = [1, 1, 5_000, 3, 70_000, 1, 2, 4_096, 4_097];
  const pieces = [...sizes, ...Array.from({ length: 1_000 }, () => 1)];
  let at = 0;
  const chunks = pieces.map((size) => sent.slice(at, at += size));
  const body = await readBody(chunked(...chunks, sent.slice(at)), options());
  assert.deepEqual(await new Response(streamOf(body)).bytes(), sent);
  assert.ok(body.chunks.length < 20, `${body.chunks.length} chunks`);
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
  assert.equal(await problemOf(readBody(broken, options())), "cut");
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

Deno.test("hashRange() hashes exactly the range, at every cut of the chunks", async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(5_000));
  const expected = createHash("sha256").update(bytes.subarray(123, 4_321)).digest("hex");
  for (const size of [1, 7, 123, 4_096, 5_000]) {
    const chunks = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
    const held = { chunks, length: bytes.length, sent: () => {}, release: () => {} };
    assert.equal(await hashRange(held, { start: 123, end: 4_321 }), expected);
  }
});

Deno.test("declaredLength() reads a plain number only", () => {
  assert.equal(declaredLength(new Headers({ "content-length": "12" })), 12);
  assert.equal(declaredLength(new Headers({ "content-length": "9007199254740993" })), 2 ** 53);
  for (const odd of ["", "-1", "1e3", "12, 12", "0x10"]) {
    assert.equal(declaredLength(new Headers({ "content-length": odd })), null);
  }
});
