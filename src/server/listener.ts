import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { HeadFault } from "../http/head_refusal.ts";
import { endSlowly } from "../http/last_words.ts";
import { breakBody } from "../http/request_body.ts";
import type { Address, SettingName } from "../config/settings.ts";

export interface ListenerOptions {
  readonly setting: SettingName;
  readonly address: Address;
  /** Other processes may listen there, too: the kernel chooses one for each connection. */
  readonly isShared?: boolean;
  /** How long the head of a request may take, and the first byte of a new connection. */
  readonly headMs: number;
  /** How long a connection may be idle between requests. */
  readonly idleMs: number;
  /** Further connections are closed at once. */
  readonly maxConnections: number;
  readonly handle: (incoming: IncomingMessage, outgoing: ServerResponse, expects: boolean) => void;
  /** What came is no request: returns the whole answer. */
  readonly refuseHead: (fault: HeadFault) => string;
  /** An operator should know this. */
  readonly onTrouble: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** An HTTP server that listens. */
export interface Listener {
  readonly address: Deno.NetAddr;
  /** How many are open, and how many may be. */
  readonly connections: () => number;
  readonly maxConnections: number;
  /**
   * Accepts no more connections, closes idle ones, and each other one after its answer. Resolves
   * when none is left.
   */
  readonly shutdown: () => Promise<void>;
}

const BACKLOG = 1_024;
/** Requests that wait for the one before them on their connection. */
const MOST_WAITING = 32;
/** The request line and all headers together, bytes. */
const MAX_HEAD_BYTES = 64 * 1_024;
/** How late a deadline may be noticed: each check wakes an idle proxy. */
const CHECKING_MS = 5_000;
/** The first probe of a silent connection: NAT gateways forget one after two to six minutes. */
const KEEP_ALIVE_MS = 60_000;
/** Connections that are refused are told of once in so long. */
const TELL_MS = 60_000;

/** Resolves when it listens. Rejects with an error for the operator. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { headMs, idleMs, maxConnections, handle, onTrouble } = options;
  const server = createServer({
    headersTimeout: headMs,
    // Bodies have a deadline of their own.
    requestTimeout: 0,
    keepAliveTimeout: idleMs,
    connectionsCheckingInterval: Math.min(CHECKING_MS, headMs, idleMs),
    maxHeaderSize: MAX_HEAD_BYTES,
    requireHostHeader: false,
    noDelay: true,
  });
  server.maxHeadersCount = 0;
  // A client that closes its half still gets its answer. Node does not document this switch.
  Object.assign(server, { httpAllowHalfOpen: true });
  let isClosing = false;
  const sockets = new Set<Socket>();
  /** The latest request of each connection that is at one. */
  const exchanges = new Map<Socket, Exchange>();
  const refused = new WeakSet<Socket>();
  /** How many bytes of each connection were requests that are answered. */
  const answered = new WeakMap<Socket, number>();

  function serve(incoming: IncomingMessage, outgoing: ServerResponse, expects: boolean): void {
    const { socket } = incoming;
    const before = exchanges.get(socket);
    const place = before === undefined ? 0 : before.place + 1;
    if (place > MOST_WAITING) return void socket.destroy();
    exchanges.set(socket, { incoming, outgoing, place });
    outgoing.once("close", () => {
      answered.set(socket, socket.bytesRead);
      if (exchanges.get(socket)?.outgoing === outgoing) exchanges.delete(socket);
    });
    const begin = () => {
      // Behind a last answer nothing may be done (RFC 9112, 9.6).
      if (socket.destroyed || socket.writableEnded) return;
      if (isClosing) outgoing.shouldKeepAlive = false;
      handle(incoming, outgoing, expects);
    };
    if (before === undefined) begin();
    else before.outgoing.once("close", begin);
  }
  server.on("request", (incoming, outgoing) => serve(incoming, outgoing, false));
  server.on("checkContinue", (incoming, outgoing) => serve(incoming, outgoing, true));
  server.on("checkExpectation", (incoming, outgoing) => serve(incoming, outgoing, false));
  server.on("connect", (_incoming, socket) => refuse(socket as Socket, "path_unknown"));
  server.on("clientError", (error: Error & { readonly code?: string }, socket) => {
    const incoming = exchanges.get(socket as Socket)?.incoming;
    // Otherwise the parser fails again at every further packet.
    socket.removeAllListeners("data").resume();
    if (incoming?.complete === false) breakBody(incoming);
    else if (error.code === "ECONNRESET") socket.destroy();
    else refuse(socket as Socket, HEAD_ERRORS[error.code ?? ""] ?? "head_malformed");
  });
  server.on("connection", (socket) => {
    // A connection's error is told by its end; without a listener it would end the process.
    socket.on("error", () => {});
    // The server's own limit tells no one (Deno 2.9.6).
    if (sockets.size >= maxConnections) return drop(socket);
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      exchanges.delete(socket);
    });
    // The server itself closes the connection then (Deno 2.9.6).
    socket.prependOnceListener("end", () => {
      const isInHead = !exchanges.has(socket) && socket.bytesRead > (answered.get(socket) ?? 0);
      if (isInHead) refuse(socket, "head_malformed");
    });
    // The server's own option for this does nothing (Deno 2.9.6).
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
  });

  /** Answers after the request that the connection is at. */
  function refuse(socket: Socket, fault: HeadFault): void {
    if (refused.has(socket)) return;
    refused.add(socket);
    const end = () => {
      // A client that sent nothing gets nothing: it is a connection kept in reserve.
      if (!socket.writable || (fault === "head_timeout" && socket.bytesRead === 0)) socket.destroy();
      else endSlowly(socket, options.refuseHead(fault));
    };
    const exchange = exchanges.get(socket);
    if (exchange === undefined) end();
    else exchange.outgoing.once("close", end);
  }

  let toldAt = -Infinity;
  let dropped = 0;
  function drop(socket: Socket): void {
    socket.destroy();
    dropped++;
    if (performance.now() - toldAt < TELL_MS) return;
    toldAt = performance.now();
    onTrouble("connections are refused: LLMPROXY_MAX_CONNECTIONS are open", { maxConnections, refused: dropped });
  }

  await opened(server, options).catch((cause) => {
    throw cannotListen(cause, options);
  });
  server.on("error", (error) => onTrouble("a connection could not be accepted", { error }));

  const { address, port: chosen } = server.address() as AddressInfo;
  return {
    address: { transport: "tcp", hostname: address, port: chosen },
    connections: () => sockets.size,
    maxConnections,
    shutdown: () => {
      isClosing = true;
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      for (const { outgoing } of exchanges.values()) outgoing.shouldKeepAlive = false;
      // The server itself leaves those open that have sent no request yet.
      for (const socket of sockets) if (!exchanges.has(socket) && !socket.writableEnded) socket.destroy();
      return closed;
    },
  };
}

interface Exchange {
  /** How many requests of the connection are before it. */
  readonly place: number;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/** By Node's codes; any other is a malformed request. */
const HEAD_ERRORS: Readonly<Record<string, HeadFault>> = {
  HPE_HEADER_OVERFLOW: "head_too_large",
  ERR_HTTP_REQUEST_TIMEOUT: "head_timeout",
};

/** An error for the operator. */
export function cannotListen(
  cause: unknown,
  { setting, address: { hostname, port } }: Pick<ListenerOptions, "setting" | "address">,
): Error {
  const at = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Error(`Cannot listen on ${at}: ${reason}. ${setting} must name a free address of this machine`, { cause });
}

function opened(server: Server, { address: { hostname, port }, isShared = false }: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: hostname, port, backlog: BACKLOG, reusePort: isShared }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
