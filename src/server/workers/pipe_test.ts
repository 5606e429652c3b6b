import assert from "node:assert/strict";
import { MessagePipe, readMessages, writable } from "./pipe.ts";

Deno.test("MessagePipe carries messages whole and in order, and writes those together that come during a write", async () => {
  const { readable, writable: end } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = end.getWriter();
  const writes: number[] = [];
  const pipe = new MessagePipe<unknown>((bytes) => {
    writes.push(bytes.length);
    return writer.write(bytes);
  });
  const got: unknown[] = [];
  const reading = readMessages(readable, (message) => void got.push(message));
  const sent = [{ text: "line\nline \u2028 é" }, [null, 1.5], "x".repeat(100_000), { deep: { list: [] } }];
  const first = pipe.send(sent[0]);
  await Promise.resolve();
  await Promise.all([first, ...sent.slice(1).map((message) => pipe.send(message))]);
  await writer.close();
  await reading;
  assert.deepEqual(got, sent);
  assert.equal(writes.length, 2);
});

Deno.test("MessagePipe.send() rejects if the other process has gone, and readMessages() rejects for what is no message", async () => {
  const pipe = new MessagePipe<unknown>(() => Promise.reject(new Deno.errors.BrokenPipe("gone")));
  await assert.rejects(pipe.send({}), Deno.errors.BrokenPipe);
  await assert.rejects(pipe.send({}), Deno.errors.BrokenPipe);
  await assert.rejects(readMessages(ReadableStream.from([new TextEncoder().encode("no JSON\n")]), () => {}), SyntaxError);
});

Deno.test("writable() keeps a reply whose value is undefined", () => {
  assert.deepEqual(JSON.parse(JSON.stringify(writable({ id: 1, value: undefined }))), { id: 1, value: null });
  assert.deepEqual(writable({ id: 2, error: "x" }), { id: 2, error: "x" });
});
