/**
 * The upstream of the benches, a process of its own. It writes prepared bytes to raw sockets, so
 * that it costs less than the relays. It understands only the requests of the benches, plain or
 * chunked, one at a time.
 *
 * deno run -A bench/upstream.ts PORT
 */
import { Buffer } from "node:buffer";
import { type Ask, askOf, askText, LOAD_HEADER, type Script, scriptOf } from "./answers.ts";
import { STAMP_DIGITS } from "./dialects.ts";

const READ_BYTES = 64 * 1024;
const TICK_MS = 2;

/**
 * An answer as it is written: the head, each event as an HTTP chunk, and the end. Without chunks
 * the head is the whole answer.
 */
interface Rendered {
  readonly ask: Ask;
  readonly head: Buffer<ArrayBuffer>;
  readonly chunks: readonly { readonly bytes: Buffer<ArrayBuffer>; readonly stampAt: number }[];
  readonly end: Buffer<ArrayBuffer>;
}

const rendered = new Map<string, Rendered>();
const encoder = new TextEncoder();
/** Callbacks that wait for a time, by tick. */
const waiting = new Map<number, (() => void)[]>();
let lastTick = tickNow();
/** Each paced answer gets the next phase, so that their events do not come in one burst. */
let pacedAnswers = 0;

async function converse(connection: Deno.TcpConn): Promise<void> {
  connection.setNoDelay();
  const buffer = Buffer.alloc(READ_BYTES);
  let request = new Request();
  try {
    for (let read = await connection.read(buffer); read !== null; read = await connection.read(buffer)) {
      request.push(buffer.subarray(0, read));
      if (!request.isWhole) continue;
      const { load } = request;
      request = new Request();
      await answer(connection, answerTo(load));
    }
  } finally {
    connection.close();
  }
}

const DEFAULT_LOAD = "anthropic unary";
const LAST_CHUNK = "\r\n0\r\n\r\n";

/** A request as it arrives. It keeps the head, and of the body only what tells its end. */
class Request {
  /** What the request asks for. */
  load = DEFAULT_LOAD;
  isWhole = false;
  #head = "";
  /** Bytes of the body to come; null: it is chunked. */
  #left: number | null = 0;
  #isHeadWhole = false;
  #tail = "";

  push(bytes: Buffer<ArrayBuffer>): void {
    const body = this.#isHeadWhole ? bytes : this.#takeHead(bytes);
    if (!this.#isHeadWhole) return;
    if (this.#left === null) {
      this.#tail = (this.#tail + body.toString("latin1", Math.max(0, body.length - LAST_CHUNK.length))).slice(-LAST_CHUNK.length);
      this.isWhole = this.#tail === LAST_CHUNK;
    } else {
      this.#left -= body.length;
      this.isWhole = this.#left <= 0;
    }
  }

  /** Returns what follows the head. */
  #takeHead(bytes: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
    const before = this.#head.length;
    this.#head += bytes.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end < 0) return bytes;
    this.#isHeadWhole = true;
    const head = this.#head.slice(0, end).toLowerCase();
    this.load = valueOf(head, LOAD_HEADER) ?? DEFAULT_LOAD;
    this.#left = valueOf(head, "transfer-encoding") === "chunked" ? null : Number(valueOf(head, "content-length") ?? 0);
    this.#head = "";
    return bytes.subarray(end + 4 - before);
  }
}

function valueOf(head: string, name: string): string | null {
  const at = head.indexOf(`\r\n${name}:`);
  if (at < 0) return null;
  const from = at + name.length + 3;
  const to = head.indexOf("\r\n", from);
  return head.slice(from, to < 0 ? undefined : to).trim();
}

async function answer(connection: Deno.TcpConn, { ask, head, chunks, end }: Rendered): Promise<void> {
  if (chunks.length === 0) return await writeWhole(connection, head);
  const period = ask.kind === "paced" ? 1000 / ask.perSecond / TICK_MS : 0;
  const phase = ask.kind === "paced" ? pacedAnswers++ % period : 0;
  const firstTick = tickNow() + phase;
  for (const [index, { bytes, stampAt }] of chunks.entries()) {
    if (period > 0 && index > 0) await tick(firstTick + Math.round(index * period));
    const stamped = period > 0 ? stampedNow(bytes, stampAt) : bytes;
    const isLast = index === chunks.length - 1;
    await writeWhole(connection, index === 0 ? Buffer.concat([head, stamped]) : isLast ? Buffer.concat([stamped, end]) : stamped);
  }
}

function stampedNow(bytes: Buffer<ArrayBuffer>, stampAt: number): Buffer<ArrayBuffer> {
  if (stampAt < 0) return bytes;
  const copy = Buffer.from(bytes);
  const microseconds = Math.round((performance.timeOrigin + performance.now()) * 1000);
  encoder.encodeInto(String(microseconds).padStart(STAMP_DIGITS, "0"), copy.subarray(stampAt));
  return copy;
}

async function writeWhole(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(at === 0 ? bytes : bytes.subarray(at));
}

function answerTo(load: string): Rendered {
  const known = rendered.get(load);
  if (known !== undefined) return known;
  const fresh = render(askOf(load));
  rendered.set(askText(fresh.ask), fresh);
  return fresh;
}

function render(ask: Ask): Rendered {
  const script = scriptOf(ask);
  const common = "HTTP/1.1 200 OK\r\nrequest-id: req_011CQmJ1q2W3e4R5t6Y7u8I9\r\nanthropic-organization-id: bench\r\n";
  if (ask.kind === "unary") {
    const head = `${common}content-type: application/json\r\ncontent-length: ${script.body.length}\r\n\r\n`;
    return { ask, head: Buffer.concat([Buffer.from(head), script.body]), chunks: [], end: Buffer.alloc(0) };
  }
  const head = `${common}content-type: ${script.contentType}\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n`;
  const end = Buffer.from("0\r\n\r\n");
  if (ask.kind !== "burst") return { ask, head: Buffer.from(head), chunks: chunksOf(script), end };
  const oneChunk = [Buffer.from(`${head}${script.body.length.toString(16)}\r\n`), script.body, Buffer.from("\r\n"), end];
  return { ask, head: Buffer.concat(oneChunk), chunks: [], end };
}

function chunksOf(script: Script): Rendered["chunks"] {
  return script.events.map(({ start, end, stampAt }) => {
    const size = Buffer.from(`${(end - start).toString(16)}\r\n`);
    const bytes = Buffer.concat([size, script.body.subarray(start, end), Buffer.from("\r\n")]);
    return { bytes, stampAt: stampAt < 0 ? -1 : stampAt - start + size.length };
  });
}

function tickNow(): number {
  return Math.floor(performance.now() / TICK_MS);
}

function tick(at: number): Promise<void> {
  if (at <= lastTick) return Promise.resolve();
  return new Promise((resolve) => {
    const those = waiting.get(at);
    if (those === undefined) waiting.set(at, [resolve]);
    else those.push(resolve);
  });
}

/** A late timer also wakes the ticks that it missed. */
function wake(): void {
  for (const now = tickNow(); lastTick < now;) {
    const those = waiting.get(++lastTick);
    waiting.delete(lastTick);
    for (const resolve of those ?? []) resolve();
  }
}

// Last, because it uses the class above.
if (import.meta.main) {
  setInterval(wake, TICK_MS);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: Number(Deno.args[0]) });
  console.log("listening");
  for await (const connection of listener) converse(connection).catch(() => {});
}
