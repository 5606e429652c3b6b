/** An upstream whose answers are bytes: for framing that no proper server would send. */
import type { Buffer } from "node:buffer";
import { createServer, type Socket } from "node:net";

export interface RawUpstream extends AsyncDisposable {
  readonly url: string;
  /** The heads of all requests, as they came. */
  readonly heads: readonly string[];
  /** How many connections there have been. */
  readonly connections: number;
}

export interface RawScript {
  readonly bytes: string;
  /** The connection ends behind the bytes. */
  readonly closes: boolean;
}

/** `script` gets the number of the request, from 0, and its head. */
export async function startRawUpstream(script: (number: number, head: string) => RawScript): Promise<RawUpstream> {
  const heads: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    connections++;
    sockets.add(socket);
    let text = "";
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
      const head = text.slice(0, Math.max(text.indexOf("\r\n\r\n"), 0));
      const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
      const isChunked = /^transfer-encoding:/im.test(head);
      const isWhole = isChunked ? text.endsWith("0\r\n\r\n") : head !== "" && text.length >= head.length + 4 + length;
      if (!isWhole) return;
      text = "";
      heads.push(head);
      const { bytes: answer, closes } = script(heads.length - 1, head);
      if (closes) socket.end(answer, "utf8");
      else socket.write(answer, "utf8");
    });
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    heads,
    get connections() {
      return connections;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
