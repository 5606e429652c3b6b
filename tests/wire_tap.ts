/** Stands between clients and a server, passes every byte, and shows the exchanges that passed. */
import { Buffer } from "node:buffer";
import { connect, createServer, type Socket } from "node:net";
import { bytesOf } from "./fake_answers.ts";
import { type RequestHead, RequestParser } from "./http1_requests.ts";
import { ReplyParser } from "./raw_connection.ts";

/** One request and what was answered, as both were on the wire, without their framing. */
export interface Exchange {
  readonly request: RequestHead;
  readonly requestBody: Uint8Array;
  /** 0: no answer began. */
  readonly status: number;
  /** By lower-cased name; the last of several. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  /** The server ended the connection before the framing said that the body is whole. */
  readonly isBroken: boolean;
  /** The client left before the answer was whole. */
  readonly isLeft: boolean;
}

export interface WireTap extends AsyncDisposable {
  readonly url: string;
  /** In the order in which their requests came, connection by connection. */
  readonly exchanges: () => readonly Exchange[];
  readonly forget: () => void;
}

interface Tapped {
  readonly toServer: Uint8Array[];
  readonly toClient: Uint8Array[];
  /** Who ended the connection. */
  end: "server" | "client" | null;
  /** So many exchanges are forgotten. Clients use connections again. */
  forgotten: number;
}

export async function startWireTap(targetUrl: string): Promise<WireTap> {
  const { hostname, port } = new URL(targetUrl);
  const sockets = new Set<Socket>();
  const connections: Tapped[] = [];
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const tapped: Tapped = { toServer: [], toClient: [], end: null, forgotten: 0 };
    connections.push(tapped);
    const onward = connect({ host: hostname, port: Number(port), noDelay: true, allowHalfOpen: true });
    sockets.add(client).add(onward);
    client.on("data", (bytes: Buffer) => {
      tapped.toServer.push(new Uint8Array(bytes));
      onward.write(bytes);
    });
    onward.on("data", (bytes: Buffer) => {
      tapped.toClient.push(new Uint8Array(bytes));
      client.write(bytes);
    });
    // No client here closes one direction only, so what the server sends now meets a closed socket.
    function clientLeft(): void {
      tapped.end ??= "client";
      onward.resetAndDestroy();
    }
    function serverEnded(): void {
      tapped.end ??= "server";
      client.end();
    }
    client.on("end", clientLeft).on("error", clientLeft).on("close", () => sockets.delete(client));
    onward.on("end", serverEnded).on("error", serverEnded).on("close", () => sockets.delete(onward));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    exchanges: () => connections.flatMap((tapped) => exchangesOf(tapped).slice(tapped.forgotten)),
    forget: () => {
      for (const tapped of connections) tapped.forgotten = exchangesOf(tapped).length;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function exchangesOf({ toServer, toClient, end }: Tapped): readonly Exchange[] {
  let rest: Buffer = Buffer.from(bytesOf(toClient));
  return requestsIn(toServer).map(({ head, body }) => {
    const parser = new ReplyParser(head.method === "HEAD");
    parser.push(rest);
    rest = parser.behind();
    const isCut = !parser.isWhole;
    return {
      request: head,
      requestBody: bytesOf(body),
      ...parser.reply(isCut && end === "server"),
      isLeft: isCut && end === "client",
    };
  });
}

function requestsIn(pieces: readonly Uint8Array[]) {
  const requests: { readonly head: RequestHead; readonly body: Uint8Array[] }[] = [];
  const parser = new RequestParser({
    head: (head) => void requests.push({ head, body: [] }),
    body: (bytes) => void requests.at(-1)!.body.push(bytes),
    ended: () => {},
    malformed: (reason) => {
      throw new Error(`a client sent no request: ${reason}`);
    },
  });
  for (const piece of pieces) {
    parser.push(piece);
    parser.next();
  }
  parser.next();
  return requests;
}
