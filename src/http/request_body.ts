import type { IncomingMessage } from "node:http";

/** Of the connection. */
const ENDS = ["end", "close"] as const;

const broken = new WeakSet<IncomingMessage>();

/** What follows a request's head is no body. The reader of the body gets an error, and answers. */
export function breakBody(incoming: IncomingMessage): void {
  broken.add(incoming);
  incoming.emit("aborted");
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? "0") > 0;
}

/**
 * The body of a request as it comes, at its reader's pace; null if the request has none. It breaks
 * if the client leaves before the body's end. `onRead` is called before the first byte is read.
 */
export function requestBody(incoming: IncomingMessage, onRead: () => void): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  if (!hasBody(incoming)) return null;
  const { socket } = incoming;
  let hasBegun = false;
  let isOver = false;
  let over = () => {};

  function begin(controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>): void {
    const end = () => {
      if (isOver) return;
      isOver = true;
      over();
      if (incoming.complete) controller.close();
      else controller.error(new Error("the client ended its request before the body's end"));
    };
    if (socket.readableEnded || socket.destroyed || broken.has(incoming)) return end();
    onRead();
    incoming.on("data", (chunk: Uint8Array<ArrayBuffer>) => {
      if (isOver) return;
      controller.enqueue(chunk);
      incoming.pause();
    });
    for (const event of ["end", "aborted", "close"]) incoming.once(event, end);
    for (const event of ENDS) socket.on(event, end);
    over = () => ENDS.forEach((event) => socket.off(event, end));
  }

  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (!hasBegun) begin(controller);
      hasBegun = true;
      incoming.resume();
    },
    cancel() {
      isOver = true;
      over();
    },
  }, { highWaterMark: 0 });
}
