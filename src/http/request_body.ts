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
    const fail = () => {
      if (isOver) return;
      isOver = true;
      over();
      controller.error(new Error("the client ended its request before the body's end"));
    };
    // Of a whole body a part may still wait to be read.
    const failIfCut = () => incoming.complete || fail();
    const isLost = incoming.destroyed || (!incoming.complete && (socket.readableEnded || broken.has(incoming)));
    if (isLost) return fail();
    onRead();
    incoming.on("data", (chunk: Uint8Array<ArrayBuffer>) => {
      if (isOver) return;
      controller.enqueue(chunk);
      incoming.pause();
    });
    incoming.once("end", () => {
      if (isOver || !incoming.complete) return fail();
      isOver = true;
      over();
      controller.close();
    });
    incoming.once("aborted", failIfCut);
    incoming.once("close", fail);
    for (const event of ENDS) socket.on(event, failIfCut);
    over = () => ENDS.forEach((event) => socket.off(event, failIfCut));
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
