/** A raw HTTP/1.1 client on a socket of its own, for requests that no proper client would send. */
import type { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";

export interface RawAnswer {
  readonly status: number;
  /** By lower-cased name; the last of several. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** Head and body as they came, decoded as UTF-8. */
  readonly text: string;
}

export interface RawOptions {
  /** How many answers are waited for; fewer come where the server closes first. */
  readonly answers?: number;
  /** Closes our side for writing behind the last piece. */
  readonly isHalfClosed?: boolean;
  readonly deadlineMs?: number;
}

type Piece = string | Uint8Array;
export type Pieces = Iterable<Piece> | AsyncIterable<Piece>;

/**
 * Writes the pieces as they are (strings as UTF-8) and gives the answers that came until there were
 * enough or the server closed. A server that answers before it has read everything may reset the
 * connection: what came before is given.
 */
export function rawCall(url: string, pieces: Pieces, options: RawOptions = {}): Promise<readonly RawAnswer[]> {
  const { answers = 1, isHalfClosed = false, deadlineMs = 10_000 } = options;
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true, allowHalfOpen: true });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`Waited ${deadlineMs} ms for ${answers} answers; only this came: ${latin1(bytes).slice(0, 500)}`));
    }, deadlineMs);
    let bytes: Uint8Array = new Uint8Array();
    function finish(): void {
      clearTimeout(timer);
      socket.destroy();
      resolve(answersIn(bytes));
    }
    socket.on("data", (chunk: Buffer) => {
      bytes = joined(bytes, chunk);
      if (answersIn(bytes).length >= answers) finish();
    });
    socket.on("end", finish);
    socket.on("error", finish);
    socket.on("close", finish);
    written(socket, pieces).then(() => isHalfClosed && socket.end(), reject);
  });
}

/**
 * A request with its head spelled out: `lines` are header lines as they are, the body is added as
 * it is.
 */
export function rawRequest(
  requestLine: string,
  { lines = [], body = "" }: { readonly lines?: readonly string[]; readonly body?: Piece } = {},
): readonly Piece[] {
  return [`${[requestLine, ...lines].join("\r\n")}\r\n\r\n`, ...(body.length === 0 ? [] : [body])];
}

/** The bytes in chunked framing, in chunks of that many. */
export function* chunked(body: Uint8Array, chunkBytes: number): Generator<Piece> {
  for (let at = 0; at < body.length; at += chunkBytes) {
    const chunk = body.subarray(at, at + chunkBytes);
    yield `${chunk.length.toString(16)}\r\n`;
    yield chunk;
    yield "\r\n";
  }
  yield "0\r\n\r\n";
}

async function written(socket: Socket, pieces: Pieces): Promise<void> {
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for await (const piece of pieces) {
    if (socket.destroyed) return;
    if (!socket.write(piece)) await Promise.race([closed, new Promise((resolve) => socket.once("drain", resolve))]);
  }
}

/** All whole answers that the bytes hold; one without a length goes to the end of the bytes. */
function answersIn(bytes: Uint8Array): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = latin1(bytes);
  while (true) {
    const headEnd = rest.indexOf("\r\n\r\n");
    if (headEnd < 0) return answers;
    const [first = "", ...lines] = rest.slice(0, headEnd).split("\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? 0);
    const headers = new Map(lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }));
    const behind = rest.slice(headEnd + 4);
    const end = bodyEnd(behind, headers);
    if (end === null) return answers;
    const body = headers.has("transfer-encoding") ? dechunked(behind.slice(0, end)) : behind.slice(0, end);
    answers.push({ status, headers, body: utf8(body), text: utf8(rest.slice(0, headEnd + 4 + end)) });
    rest = behind.slice(end);
  }
}

/** Where the body ends, as the headers frame it; null where it is not whole yet. */
function bodyEnd(behind: string, headers: ReadonlyMap<string, string>): number | null {
  if (headers.has("transfer-encoding")) {
    const end = /(?:^|\r\n)0\r\n\r\n/.exec(behind);
    return end === null ? null : end.index + end[0].length;
  }
  const length = Number(headers.get("content-length") ?? 0);
  return behind.length < length ? null : length;
}

function dechunked(text: string): string {
  let body = "";
  for (let at = 0;;) {
    const lineEnd = text.indexOf("\r\n", at);
    const size = parseInt(text.slice(at, lineEnd), 16);
    if (lineEnd < 0 || !(size > 0)) return body;
    body += text.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

function utf8(bytesAsLatin1: string): string {
  return new TextDecoder().decode(Uint8Array.from(bytesAsLatin1, (character) => character.charCodeAt(0)));
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
