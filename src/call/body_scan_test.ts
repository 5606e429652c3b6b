import assert from "node:assert/strict";
import { Fault } from "../domain/fault.ts";
import { nextTurn } from "../wire/event_loop_budget.ts";
import { BodyScan } from "./body_scan.ts";

const MB = 1024 * 1024;
const WANTED = { maxDecodedBytes: 32 * MB, owned: { keys: ["file_id"], prefixes: ["file_"] }, keys: ["model", "messages"] };

function bodyOf(bytes: number): Uint8Array {
  const message = `{"content":[{"file_id":"file_1"}],"role":"user"},`;
  return new TextEncoder().encode(`{"model":"m","messages":[${message.repeat(bytes / message.length)}{}]}`);
}

Deno.test("BodyScan.readWhole() looks at 256 KB at a time, and other work has its turn after 2 MB, or after 256 KB of names", async () => {
  const body = bodyOf(3 * MB);
  const PIECES = Math.ceil(body.length / (MB / 4));
  const sizes: number[] = [];
  let inARow = 0;
  const watched = Object.assign(body.slice(), {
    subarray(from: number, to: number) {
      // The scanner goes first, and eight pieces of it count as one. The search for names follows.
      inARow += sizes.length < PIECES ? 1 / 8 : 1;
      // A timer that is set here may come behind the one that lets the next piece in, and that may
      // follow seven eighths of a turn.
      assert.ok(inARow < 3, `${inARow} pieces in a row`);
      setTimeout(() => inARow = 0, 0);
      const piece = body.subarray(from, to);
      sizes.push(piece.length);
      return piece;
    },
  });
  const scan = new BodyScan("", WANTED);
  const { found } = await scan.readWhole(watched);
  assert.equal(found.get("model")?.value, "m");
  assert.deepEqual([found.get("messages")?.start, found.get("messages")?.end], [24, body.length - 1]);
  assert.deepEqual(scan.takeIds(), ["file_1"]);
  assert.ok(Math.max(...sizes) < MB / 4 + 10);
  await nextTurn();
});

Deno.test("BodyScan.readWhole() looks at bodies of 10 KB, one in a turn, without waiting for a turn", async () => {
  const body = bodyOf(10_000);
  for (let n = 0; n < 100; n++) {
    let turns = 0;
    const timer = setTimeout(() => turns++, 0);
    await new BodyScan("", WANTED).readWhole(body);
    clearTimeout(timer);
    assert.equal(turns, 0);
    await nextTurn();
  }
});

Deno.test("BodyScan.readWhole() refuses a whole body that it cannot see into", async () => {
  const odd = [["rot13", '{"model":"m"}'], ["gzip", '{"model":"m"}'], ["", '\0{"model":"m"}']] as const;
  for (const [coding, text] of odd) {
    const reading = new BodyScan(coding, WANTED).readWhole(new TextEncoder().encode(text));
    await assert.rejects(reading, (error) => error instanceof Fault && error.code === "body_opaque");
  }
});
