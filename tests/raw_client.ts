/**
 * A client on a bare socket: it writes what a test tells it to, keeps all that comes, and shows how
 * the connection ended.
 */
import type { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { waitFor } from "./wait.ts";

export interface RawClient extends Disposable {
  readonly socket: Socket;
  /** What came so far, as Latin-1. */
  readonly text: () => string;
  /** Writes that: strings as UTF-8. */
  readonly send: (piece: string | Uint8Array) => void;
  /** Resolves to all that came, as soon as that has. */
  readonly has: (sought: RegExp) => Promise<string>;
  /** Resolves when the server has ended the connection, or reset it. */
  readonly ended: Promise<"ended" | "reset">;
}

/** Connects. Our side stays open when the server closes. `reads`: false until `socket.resume`. */
export async function connected(
  url: string,
  { reads = true }: { readonly reads?: boolean } = {},
): Promise<RawClient> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true, allowHalfOpen: true });
  const pieces: string[] = [];
  const ended = new Promise<"ended" | "reset">((resolve) => {
    socket.once("end", () => resolve("ended"));
    socket.once("close", () => resolve("ended"));
    socket.on("error", (error: Error & { readonly code?: string }) => resolve(error.code === "ECONNRESET" ? "reset" : "ended"));
  });
  const opened = new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  socket.on("data", (bytes: Buffer) => void pieces.push(bytes.toString("latin1")));
  if (!reads) socket.pause();
  await opened;
  function text(): string {
    return pieces.join("");
  }
  return {
    socket,
    text,
    ended,
    send: (piece) => void socket.write(piece),
    has: (sought) =>
      waitFor(() => sought.test(text()) && text(), { what: `${sought}` }).catch((cause) => {
        throw new Error(`${cause.message}. This came: ${text().slice(0, 1_000)}`);
      }),
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
