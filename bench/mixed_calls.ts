/** The calls of the mixed load: which there are, and how their clients behave. */
import { Buffer } from "node:buffer";
import { NUMBER_HEADER } from "../tests/chaos/calls.ts";
import { type Ask, askText, LOAD_HEADER, scriptOf } from "./answers.ts";
import { questionsOf, TURN_DIGITS } from "./questions.ts";

/** `early`, `head` or `body SHARE`: when the upstream resets its connection. */
export const FAULT_HEADER = "x-bench-fault";

const BEHAVIOURS = {
  whole: { weight: 60, act: whole },
  leavesBefore: { weight: 5, act: leavesBefore },
  leavesWithin: { weight: 6, act: leavesWithin },
  leavesAfter: { weight: 4, act: leavesAfter },
  upstreamResets: { weight: 10, act: upstreamResets },
  readsSlowly: { weight: 2, act: readsSlowly },
  stopsReading: { weight: 2, act: stopsReading },
  halfHead: { weight: 5, act: halfHead },
  halfBody: { weight: 6, act: halfBody },
} as const satisfies Record<string, { readonly weight: number; readonly act: (call: Call, to: Callee) => Promise<void> }>;

export type Behaviour = keyof typeof BEHAVIOURS;
export const BEHAVIOUR_NAMES = Object.keys(BEHAVIOURS) as Behaviour[];

/** More than the kernel keeps for a reader that stops. */
const LARGE: Ask = { kind: "burst", events: 60_000 };
const LENGTHS = [6, 6, 20, 20, 100, 100, 300, 300, 1_000, 3_000] as const;
/** Of bodies, with how often each comes. */
const SIZES = [[1_200, 35], [10_000, 30], [50_000, 15], [200_000, 12], [1_000_000, 6], [5_000_000, 1.4], [
  20_000_000,
  0.6,
]] as const;
/** Larger bodies ask for streams, so that the bench holds them once. */
const UNSTREAMED_BYTES = 1_000_000;
const PACED_LENGTHS = [20, 100, 300, 1_000] as const;
const PACED_PER_SECOND = 25;
const READ_BYTES = 64 * 1024;
const SLOW_READ_BYTES = 16 * 1024;
const SLOW_PAUSE_MS = 30;
const STOPPED_MS = 20_000;
const STALLED_MS = 8_000;
const EARLY_MS = 60;
const SESSIONS = 200;

export interface Call {
  readonly number: number;
  readonly behaviour: Behaviour;
  readonly ask: Ask;
  readonly bodyBytes: number;
  /** From 0 to 1: the moment at which something happens. */
  readonly moment: number;
}

export interface Callee {
  readonly port: number;
  readonly token: string;
  readonly client: Deno.HttpClient;
}

/** The next call: the same numbers from `random` make the same call. */
export function nextCall(number: number, random: () => number): Call {
  const behaviour = pick(BEHAVIOUR_NAMES.map((name) => [name, BEHAVIOURS[name].weight] as const), random());
  const bodyBytes = pick(SIZES, random());
  const kind = random();
  const length = LENGTHS[Math.floor(random() * LENGTHS.length)]!;
  const isLarge = behaviour === "readsSlowly" || behaviour === "stopsReading";
  return { number, behaviour, bodyBytes, ask: isLarge ? LARGE : askFrom({ kind, length, bodyBytes }), moment: random() };
}

/** Makes the texts of all bodies, which takes seconds. */
export function prepareBodies(): void {
  for (const [bodyBytes] of SIZES) {
    questionsOf({ ask: LARGE, bodyBytes });
    if (bodyBytes <= UNSTREAMED_BYTES) questionsOf({ ask: { kind: "unary" }, bodyBytes });
  }
}

export async function make(call: Call, to: Callee): Promise<void> {
  await BEHAVIOURS[call.behaviour].act(call, to);
}

function askFrom(
  { kind, length, bodyBytes }: { readonly kind: number; readonly length: number; readonly bodyBytes: number },
): Ask {
  if (kind < 0.4 && bodyBytes <= UNSTREAMED_BYTES) return { kind: "unary" };
  if (kind < 0.6) return { kind: "burst", events: length };
  if (kind < 0.8) return { kind: "stream", events: length };
  const events = PACED_LENGTHS.findLast((one) => one <= length) ?? PACED_LENGTHS[0];
  return { kind: "paced", events, perSecond: PACED_PER_SECOND };
}

function pick<T>(choices: readonly (readonly [T, number])[], at: number): T {
  let left = at * choices.reduce((sum, [, weight]) => sum + weight, 0);
  return (choices.find(([, weight]) => (left -= weight) < 0) ?? choices.at(-1)!)[0];
}

const lengths = new Map<string, number>();

function answerBytes(ask: Ask): number {
  const key = askText(ask);
  const length = lengths.get(key) ?? scriptOf(ask).body.length;
  lengths.set(key, length);
  return length;
}

function headersOf({ number, ask }: Call, token: string): Record<string, string> {
  return {
    "content-type": "application/json",
    "user-agent": "claude-cli/2.1.0 (external, cli)",
    "anthropic-version": "2023-06-01",
    "x-api-key": token,
    "x-claude-code-session-id": `7f9c24e8-3b12-4fef-91e0-${String(number % SESSIONS).padStart(TURN_DIGITS, "0")}`,
    [NUMBER_HEADER]: String(number),
    [LOAD_HEADER]: askText(ask),
  };
}

function bodyOf({ number, ask, bodyBytes }: Call): Buffer<ArrayBuffer> {
  const body = Buffer.alloc(bodyBytes);
  questionsOf({ ask, bodyBytes }).write(number, body);
  return body;
}

async function whole(call: Call, to: Callee): Promise<void> {
  const answer = await post(call, to, {});
  const { byteLength } = await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  const expected = answerBytes(call.ask);
  if (byteLength !== expected) throw new Error(`${byteLength} bytes instead of ${expected}`);
}

async function upstreamResets(call: Call, to: Callee): Promise<void> {
  const fault = call.moment < 0.2 ? "early" : call.moment < 0.4 ? "head" : `body ${((call.moment - 0.4) / 0.6).toFixed(3)}`;
  const answer = await post(call, to, { [FAULT_HEADER]: fault });
  const isWhole = await answer.arrayBuffer().then(() => true, () => false);
  if (answer.ok && isWhole) throw new Error("an answer that the upstream broke ended whole");
}

function post(call: Call, { port, token, client }: Callee, more: Readonly<Record<string, string>>): Promise<Response> {
  const headers = { ...headersOf(call, token), ...more };
  return fetch(`http://127.0.0.1:${port}/v1/messages`, { method: "POST", headers, body: bodyOf(call), client });
}

function leavesBefore(call: Call, to: Callee): Promise<void> {
  return onSocket(to, async (socket) => {
    await write(socket, headOf(call, to), bodyOf(call));
    await pause(call.moment * EARLY_MS);
  });
}

function leavesWithin(call: Call, to: Callee): Promise<void> {
  return onSocket(to, async (socket) => {
    await write(socket, headOf(call, to), bodyOf(call));
    await read(socket, { bytes: call.moment * answerBytes(call.ask) });
  });
}

/** At once after the last bytes, which may come while the proxy still looks after the call. */
function leavesAfter(call: Call, to: Callee): Promise<void> {
  return onSocket(to, async (socket) => {
    await write(socket, headOf(call, to), bodyOf(call));
    await read(socket, { bytes: Infinity });
  });
}

function readsSlowly(call: Call, to: Callee): Promise<void> {
  return onSocket(to, async (socket) => {
    await write(socket, headOf(call, to), bodyOf(call));
    await read(socket, { bytes: Infinity, pieceBytes: SLOW_READ_BYTES, pauseMs: SLOW_PAUSE_MS });
  });
}

function stopsReading(call: Call, to: Callee): Promise<void> {
  return onSocket(to, async (socket) => {
    await write(socket, headOf(call, to), bodyOf(call));
    await read(socket, { bytes: READ_BYTES });
    await pause(call.moment * STOPPED_MS);
  });
}

function halfHead(call: Call, to: Callee): Promise<void> {
  return onSocket(to, async (socket) => {
    const head = headOf(call, to);
    await write(socket, head.subarray(0, Math.floor(head.length * call.moment)));
    await pause(call.moment * STALLED_MS);
  });
}

function halfBody(call: Call, to: Callee): Promise<void> {
  return onSocket(to, async (socket) => {
    const body = bodyOf(call);
    await write(socket, headOf(call, to), body.subarray(0, Math.floor(body.length * call.moment)));
    await pause(call.moment * STALLED_MS);
  });
}

function headOf(call: Call, { port, token }: Callee): Buffer<ArrayBuffer> {
  const headers = { host: `127.0.0.1:${port}`, ...headersOf(call, token), connection: "close", "content-length": call.bodyBytes };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST /v1/messages HTTP/1.1\r\n${lines.join("")}\r\n`);
}

/** A client that leaves does not care how its connection ends. */
async function onSocket({ port }: Callee, act: (socket: Deno.TcpConn) => Promise<void>): Promise<void> {
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    await act(socket);
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe)) throw error;
  } finally {
    socket.close();
  }
}

async function write(socket: Deno.TcpConn, ...pieces: readonly Uint8Array[]): Promise<void> {
  for (const bytes of pieces) for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}

/** Reads so many bytes, or to the end. */
async function read(
  socket: Deno.TcpConn,
  { bytes, pieceBytes = READ_BYTES, pauseMs = 0 }: {
    readonly bytes: number;
    readonly pieceBytes?: number;
    readonly pauseMs?: number;
  },
): Promise<void> {
  const buffer = new Uint8Array(pieceBytes);
  for (let got = 0; got < bytes;) {
    const count = await socket.read(buffer);
    if (count === null) return;
    got += count;
    if (pauseMs > 0) await pause(pauseMs);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
