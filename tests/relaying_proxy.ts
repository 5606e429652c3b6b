/** Forward proxies on loopback that pass on what comes and show what they saw of it. */
import { createServer, type IncomingMessage, request as requestOf } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";

export interface Relayed {
  readonly method: string;
  /** The absolute URL that it was asked for, or host and port of a tunnel (CONNECT). */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
}

export interface RelayingProxy extends AsyncDisposable {
  /** Host and port. */
  readonly host: string;
  readonly relayed: readonly Relayed[];
}

export async function startRelayingProxy(): Promise<RelayingProxy> {
  const relayed: Relayed[] = [];
  const server = createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    relayed.push({ method, url, headers });
    const { "proxy-authorization": _, ...passed } = headers;
    const onward = requestOf(url, { method, headers: passed }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  const tunnels = new Set<Socket>();
  server.on("connect", ({ method = "", url = "", headers }: IncomingMessage, socket: Socket) => {
    relayed.push({ method, url, headers });
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    tunnels.add(socket);
    join(socket, url);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    relayed,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        for (const socket of tunnels) socket.destroy();
      }),
  };
}

export interface SocksProxy extends AsyncDisposable {
  /** Host and port. */
  readonly host: string;
  /** Whom each connection was for, and who asked: `user:password@host:port`. */
  readonly asked: readonly string[];
}

/** A SOCKS 5 proxy (RFC 1928) that wants a name and a password (RFC 1929), and takes any. */
export async function startSocksProxy(): Promise<SocksProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    const steps = [
      () => socket.write(Uint8Array.of(5, 2)),
      (said: Uint8Array) => {
        const password = 3 + said[1]!;
        asked.push(`${textOf(said.subarray(2, 2 + said[1]!))}:${textOf(said.subarray(password))}`);
        socket.write(Uint8Array.of(1, 0));
      },
      (said: Uint8Array) => {
        const port = said.at(-2)! * 256 + said.at(-1)!;
        const host = said[3] === 3 ? textOf(said.subarray(5, 5 + said[4]!)) : said.subarray(4, 8).join(".");
        asked.push(`${asked.pop()}@${host}:${port}`);
        socket.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
        socket.removeAllListeners("data");
        join(socket, `${host}:${port}`);
      },
    ];
    socket.on("data", (said: Uint8Array) => steps.shift()!(said));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function join(socket: Socket, target: string): void {
  const { hostname, port } = new URL(`http://${target}`);
  const onward = connect(Number(port), hostname);
  socket.pipe(onward).pipe(socket);
  for (const end of [socket, onward]) {
    end.on("error", () => end.destroy());
    end.on("close", () => (end === socket ? onward : socket).destroy());
  }
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Passes bytes on to one port, such as a database's, until it is told to let nothing through. */
export interface TcpRelay extends AsyncDisposable {
  readonly port: number;
  /** Chunks that came from clients so far. */
  readonly sent: () => number;
  /** Breaks all connections and takes no new ones. */
  cut(): void;
  /** From now on new connections pass again. */
  mend(): void;
}

export async function startTcpRelay(targetPort: number): Promise<TcpRelay> {
  const sockets = new Set<Socket>();
  let isCut = false;
  let sent = 0;
  const server = createTcpServer((socket) => {
    socket.on("error", () => socket.destroy());
    if (isCut) return void socket.destroy();
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", () => sent++);
    join(socket, `127.0.0.1:${targetPort}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  function cut(): void {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  }
  return {
    port: (server.address() as AddressInfo).port,
    sent: () => sent,
    cut,
    mend: () => void (isCut = false),
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}
