import assert from "node:assert/strict";
import { waitFor } from "../../tests/wait.ts";
import { LogWriter } from "./log_writer.ts";

const FLUSH_MS = 10_000;

Deno.test("LogWriter writes a lone line at once, and gathers what comes during a write into the next one", async () => {
  const sink = new Sink();
  const log = writerInto(sink);
  log.write("1\n");
  assert.deepEqual(sink.asked, ["1\n"]);
  log.write("2\n");
  log.write("3 é\n");
  assert.deepEqual(sink.asked, ["1\n"], "one write at a time");
  sink.take();
  await waitFor(() => sink.asked.length === 2, { what: "the next write" });
  assert.equal(sink.asked[1], "2\n3 é\n");
  sink.take();
  await log.flush(FLUSH_MS);
  assert.equal(sink.text, "1\n2\n3 é\n");
  assert.equal(log.dropped, 0);
});

Deno.test("LogWriter continues after the bytes that the output took", async () => {
  const sink = new Sink();
  const log = writerInto(sink);
  log.write("abcdef\n");
  sink.take(3);
  await waitFor(() => sink.asked.length === 2, { what: "the rest" });
  assert.equal(sink.asked[1], "def\n");
  sink.open();
  await log.flush(FLUSH_MS);
  assert.equal(sink.text, "abcdef\n");
});

Deno.test("LogWriter drops and counts lines over its bound, and tells once, after the lines it held", async () => {
  const sink = new Sink();
  const log = writerInto(sink, 20);
  for (let line = 0; line < 10; line++) log.write(`${line}234\n`);
  assert.equal(log.dropped, 6, "four lines of five characters fit into 20");
  sink.open();
  await log.flush(FLUSH_MS);
  log.write("after\n");
  await log.flush(FLUSH_MS);
  assert.equal(sink.text, "0234\n1234\n2234\n3234\ndropped 6\nafter\n");
  assert.equal(log.dropped, 6);
});

Deno.test("LogWriter takes lines again only when half of those it held are read, so that it rarely tells", async () => {
  const sink = new Sink();
  const long = "x".repeat(40_000);
  const log = writerInto(sink, 4 * long.length);
  for (const name of "abcdef") log.write(name + long.slice(2) + "\n");
  assert.equal(log.dropped, 2);
  sink.take();
  await waitFor(() => sink.asked.length === 2, { what: "the second write" });
  log.write("still dropped\n");
  assert.equal(log.dropped, 3);
  sink.take();
  await waitFor(() => sink.asked.length === 3, { what: "the third write" });
  log.write("taken\n");
  assert.equal(log.dropped, 3);
  sink.open();
  await log.flush(FLUSH_MS);
  assert.equal(sink.text.replaceAll(/x+/g, ""), "a\nb\nc\nd\ndropped 3\ntaken\n");
});

Deno.test("LogWriter: a flush without a reader ends within its time; with one it tells what was dropped", async () => {
  const sink = new Sink();
  const log = writerInto(sink, 20);
  for (let line = 0; line < 5; line++) log.write(`${line}234\n`);
  const before = performance.now();
  await log.flush(30);
  assert.ok(performance.now() - before >= 29);
  assert.equal(sink.text, "");
  sink.open();
  await log.flush(FLUSH_MS);
  assert.equal(sink.text, "0234\n1234\n2234\n3234\ndropped 1\n");
});

Deno.test("LogWriter tries again after a write that failed, without spinning, and loses nothing within its bound", async () => {
  for (const failure of ["throws", "rejects", "takes nothing"] as const) {
    let isBroken = true;
    let tries = 0;
    let text = "";
    const log = new LogWriter({
      write(bytes) {
        tries++;
        if (!isBroken) {
          text += new TextDecoder().decode(bytes);
          return Promise.resolve(bytes.length);
        }
        if (failure === "throws") throw new Error("EAGAIN");
        return failure === "rejects" ? Promise.reject(new Error("EPIPE")) : Promise.resolve(0);
      },
      droppedLine: (count) => `dropped ${count}\n`,
    });
    const start = performance.now();
    log.write("1\n");
    log.write("2\n");
    await waitFor(() => tries >= 3, { what: "more tries" });
    assert.ok(performance.now() - start >= 55, "20 and 40 ms between the first three");
    isBroken = false;
    await log.flush(FLUSH_MS);
    assert.equal(text, "1\n2\n", failure);
  }
});

Deno.test("LogWriter: a flush into an output that fails for good ends soon", async () => {
  const log = new LogWriter({ write: () => Promise.reject(new Error("EPIPE")), droppedLine: String });
  log.write("1\n");
  const start = performance.now();
  await log.flush(FLUSH_MS);
  assert.ok(performance.now() - start < 2_000);
});

/**
 * An output that takes bytes when it is told to, as a pipe does whose reader reads now and then.
 */
class Sink {
  readonly asked: string[] = [];
  text = "";
  #isOpen = false;
  #waiting: ((atMost: number) => void) | null = null;

  readonly write = (bytes: Uint8Array): Promise<number> => {
    this.asked.push(new TextDecoder().decode(bytes));
    const { promise, resolve } = Promise.withResolvers<number>();
    assert.equal(this.#waiting, null, "one write at a time");
    this.#waiting = (atMost) => {
      this.#waiting = null;
      const taken = bytes.subarray(0, atMost);
      this.text += new TextDecoder().decode(taken);
      resolve(taken.length);
    };
    if (this.#isOpen) this.take();
    return promise;
  };

  take(atMost = Infinity): void {
    this.#waiting?.(atMost);
  }

  open(): void {
    this.#isOpen = true;
    this.take();
  }
}

function writerInto({ write }: Sink, maxHeld?: number): LogWriter {
  return new LogWriter({ write, droppedLine: (count) => `dropped ${count}\n`, ...(maxHeld === undefined ? {} : { maxHeld }) });
}
