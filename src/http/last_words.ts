import type { Socket } from "node:net";

/** A client may send on for so long; an earlier close would reset what it reads. */
const LINGER_MS = 2_000;

/** Sends the last words and closes for sending. What still comes is dropped. */
export function endSlowly(socket: Socket, last = ""): void {
  socket.end(last, () => {
    if (socket.readableEnded) socket.destroy();
  });
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("end", () => socket.destroy());
  socket.once("close", () => clearTimeout(timer));
  socket.resume();
}
