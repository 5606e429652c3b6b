/** What the fake upstream can be told to answer, and what it answers by itself. */
import { gzipSync } from "node:zlib";
import { errorBody, type FakeMessage, firstUserText, messageBody, messageEvents, usageOf } from "./fake_messages.ts";
import type { RequestHead } from "./http1_requests.ts";

/**
 * One request, as it came. It is there from its head on; `isWhole` says that its body has come too.
 * Times: `performance.now()`.
 */
export interface SeenCall extends RequestHead {
  readonly connectionId: number;
  readonly receivedAt: number;
  readonly isWhole: boolean;
  /** Without its framing; empty where it was longer than `keepBodyBytes`. */
  readonly body: Uint8Array;
  readonly bodyBytes: number;
  readonly bodySha256: string;
  /** The answer's body as far as it was written, without its framing; only if `keepsAnswers`. */
  readonly sent: Uint8Array;
  /** The ids that the answer to this call carries, unless a script says otherwise. */
  readonly requestId: string;
  readonly messageId: string;
  /** When the answer was written to its end. */
  readonly answeredAt: number | null;
  /** When the client's side of the connection closed, where that was before the answer's end. */
  readonly closedAt: number | null;
  /** Aborted at `closedAt`. */
  readonly gone: AbortSignal;
  /** All values of that header, in any case, joined by a comma; null if there is no such header. */
  header(name: string): string | null;
  /** The body as JSON (gunzipped if it is compressed), or null if it is not JSON. */
  json(): unknown;
}

export type Pieces = Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>;

/**
 * One answer. Each piece of the body is one write (and one chunk). A piece that does not come yet
 * is a stall.
 */
export interface Answer {
  readonly status?: number;
  /** `request-id` and the framing are added where they are not given. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string | Pieces;
  /**
   * `chunked` for pieces and `length` for the rest unless given. `close` is delimited by the
   * connection's end.
   */
  readonly framing?: "length" | "chunked" | "close";
  /** Declares another length than the body has. */
  readonly contentLength?: number;
  /**
   * `tidy` unless given; `cut` closes the connection without the terminator, `reset` by RST; both
   * deliver the body first.
   */
  readonly ending?: "tidy" | "cut" | "reset";
  /**
   * Answers when the head has come, without waiting for the request's body. Only where the script
   * is no function.
   */
  readonly isEarly?: boolean;
}

/**
 * `stall`: no answer, ever. `close` and `reset`: the connection ends instead of an answer.
 * `default`: `defaultAnswer`.
 */
export type Script = Answer | "default" | "stall" | "close" | "reset";
export type Scripting = Script | ((call: SeenCall) => Script | Promise<Script>);

const encoder = new TextEncoder();

/**
 * What the real API would answer: messages with the usage of `usageOf`, streamed where asked, and
 * the other routes.
 */
export function defaultAnswer(call: SeenCall): Answer {
  const path = call.target.slice(Math.max(0, call.target.indexOf("/v1/"))).split("?")[0]!;
  const route = `${call.method === "HEAD" ? "GET" : call.method} ${path}`;
  const found = ROUTES.find(([pattern]) => pattern.test(route));
  return found === undefined ? failing(404)(call) : found[1](call, path.split("/").at(-1)!);
}

/** The default message to a call, with another count of deltas, and streamed at that pace. */
export function streamed(
  { deltas = 3, paceMs = 0, ...rest }: { readonly deltas?: number; readonly paceMs?: number } & Omit<Partial<Answer>, "body"> =
    {},
): (call: SeenCall) => Answer {
  return (call) => {
    const events = messageEvents({ ...messageTo(call), deltas });
    return { ...eventStream(paceMs === 0 ? events : paced(events, { paceMs, gone: call.gone })), ...rest };
  };
}

/** A 200 of that SSE text, whole or in pieces. */
export function eventStream(body: Answer["body"]): Answer {
  return { headers: { "content-type": "text/event-stream; charset=utf-8" }, body, framing: "chunked" };
}

export function json(body: unknown): Answer {
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** Anthropic's error JSON of that status. */
export function failing(
  status: number,
  { message = `fake error ${status}`, headers = {} }: {
    readonly message?: string;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): (call: SeenCall) => Answer {
  return (call) => ({
    status,
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(errorBody(status, { message, requestId: call.requestId })),
  });
}

/**
 * The answer, compressed unasked, in pieces of that size. Its body must not be
 * asynchronous.
 */
export function gzipped(answer: Answer, { chunkBytes }: { readonly chunkBytes: number }): Answer {
  const pieces = piecesOf(answer.body);
  if (Symbol.asyncIterator in pieces) throw new TypeError("Cannot compress pieces that are still to come");
  const whole = gzipSync(bytesOf([...pieces]));
  return {
    ...answer,
    headers: { ...answer.headers, "content-encoding": "gzip" },
    body: cut(whole, chunkBytes),
    framing: "chunked",
  };
}

/** The same bytes in pieces of that size. */
export function cut(bytes: Uint8Array, chunkBytes: number): Uint8Array[] {
  return Array.from(
    { length: Math.ceil(bytes.length / chunkBytes) },
    (_, n) => bytes.subarray(n * chunkBytes, (n + 1) * chunkBytes),
  );
}

/** The pieces, so many milliseconds apart; ends early where the client has gone. */
export async function* paced(
  pieces: Iterable<string>,
  { paceMs, gone }: { readonly paceMs: number; readonly gone: AbortSignal },
): AsyncGenerator<string> {
  let isFirst = true;
  for (const piece of pieces) {
    if (!isFirst) await pause(paceMs, gone);
    if (gone.aborted) return;
    isFirst = false;
    yield piece;
  }
}

/** The pieces, with a wait before the one of that number until the promise resolves. */
export async function* heldBefore<Piece extends string | Uint8Array>(
  pieces: Iterable<Piece>,
  { number, until }: { readonly number: number; readonly until: Promise<unknown> },
): AsyncGenerator<Piece> {
  let n = 0;
  for (const piece of pieces) {
    if (n++ === number) await until;
    yield piece;
  }
  if (n <= number) await until;
}

/** The message that `defaultAnswer` gives to this call. */
export function messageTo(call: SeenCall): FakeMessage {
  const body = call.json() as { model?: unknown } | null;
  return { id: call.messageId, model: String(body?.model ?? "claude-fake"), usage: usageOf(firstUserText(body)), deltas: 3 };
}

const ROUTES: readonly (readonly [RegExp, (call: SeenCall, id: string) => Answer])[] = [
  [/^POST \/v1\/messages$/, (call) => {
    const isStreamed = (call.json() as { stream?: unknown } | null)?.stream === true;
    return isStreamed ? streamed()(call) : json(messageBody(messageTo(call)));
  }],
  [/^POST \/v1\/messages\/count_tokens$/, (call) => json({ input_tokens: firstUserText(call.json()).length })],
  [/^GET \/v1\/models$/, () => json(page([model("claude-opus-4-8"), model("claude-haiku-4-5")]))],
  [/^GET \/v1\/models\/[^/]+$/, (_, id) => json(model(id))],
  [/^POST \/v1\/messages\/batches$/, (call) => json(batch(`msgbatch_${call.messageId}`))],
  [/^GET \/v1\/messages\/batches$/, () => json(page([batch("msgbatch_1")]))],
  [/^(GET \/v1\/messages\/batches\/[^/]+|POST \/v1\/messages\/batches\/[^/]+\/cancel)$/, (_, id) => json(batch(id))],
  [/^POST \/v1\/files$/, (call) => json(file(`file_${call.messageId}`, call.bodyBytes))],
  [/^GET \/v1\/files$/, () => json(page([file("file_1", 1)]))],
  [/^GET \/v1\/files\/[^/]+$/, (_, id) => json(file(id, 1))],
];

function page(data: readonly { readonly id: string }[]) {
  return { data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}

function model(id: string) {
  return { type: "model", id, display_name: id, created_at: "2026-01-01T00:00:00Z" };
}

function file(id: string, sizeBytes: number) {
  const rest = { mime_type: "application/octet-stream", created_at: "2026-01-01T00:00:00Z", downloadable: false };
  return { type: "file", id, filename: "fake.bin", size_bytes: sizeBytes, ...rest };
}

function batch(id: string) {
  const counts = { processing: 1, succeeded: 0, errored: 0, canceled: 0, expired: 0 };
  const times = { created_at: "2026-01-01T00:00:00Z", expires_at: "2026-01-02T00:00:00Z", ended_at: null };
  const rest = { archived_at: null, cancel_initiated_at: null, results_url: null };
  return { type: "message_batch", id, processing_status: "in_progress", request_counts: counts, ...times, ...rest };
}

export function isWhole(body: Answer["body"]): body is Uint8Array | string {
  return typeof body === "string" || body instanceof Uint8Array;
}

export function piecesOf(body: Answer["body"]): Pieces {
  return isWhole(body) ? [body] : body;
}

export function bytesOf(pieces: readonly (Uint8Array | string)[]): Uint8Array {
  const parts = pieces.map((piece) => typeof piece === "string" ? encoder.encode(piece) : piece);
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function pause(ms: number, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      gone.removeEventListener("abort", done);
      resolve();
    }
    gone.addEventListener("abort", done, { once: true });
  });
}
