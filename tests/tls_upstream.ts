/**
 * A fake upstream behind TLS that speaks HTTP/2 and HTTP/1.1, as the client prefers, and allows few
 * streams a connection.
 */
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { Socket } from "node:net";
import { generate } from "selfsigned";
import { messageEvents, usageOf } from "./fake_messages.ts";

export interface TlsUpstreamOptions {
  /** Text deltas in each stream. */
  readonly deltas: number;
  /** How long each stream takes, its events evenly spread. */
  readonly durationMs: number;
  readonly streamsPerConnection?: number;
}

export interface TlsUpstream extends AsyncDisposable {
  readonly url: string;
  /** The CA that signed its certificate, PEM. */
  readonly caPem: string;
  /** Calls that have come, by HTTP version. */
  readonly calls: { readonly "1.1": number; readonly "2.0": number };
  /** The most calls that were being answered at one time. */
  readonly mostInFlight: number;
}

/**
 * Every call, of whatever route, is answered with the SSE of one message; its usage is
 * `usageOf("tls")`.
 */
export async function startTlsUpstream(
  { deltas, durationMs, streamsPerConnection = 50 }: TlsUpstreamOptions,
): Promise<TlsUpstream> {
  const { caPem, key, cert } = await certificates();
  const calls = { "1.1": 0, "2.0": 0 };
  const sockets = new Set<Socket>();
  let [inFlight, mostInFlight, count] = [0, 0, 0];

  const settings = { maxConcurrentStreams: streamsPerConnection };
  const server = createSecureServer({ key, cert, allowHTTP1: true, settings }, (request, response) => {
    calls[request.httpVersion as "1.1" | "2.0"]++;
    mostInFlight = Math.max(mostInFlight, ++inFlight);
    response.once("close", () => inFlight--);
    const id = `msg_tls_${++count}`;
    request.once("end", () => {
      const events = messageEvents({ id, model: "claude-fake", usage: usageOf("tls"), deltas });
      stream(response, { events, requestId: `req_tls_${count}`, paceMs: durationMs / (events.length - 1) });
    });
    request.resume();
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, resolve));

  return {
    url: `https://localhost:${(server.address() as { port: number }).port}`,
    caPem,
    calls,
    get mostInFlight() {
      return mostInFlight;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function stream(
  response: Http2ServerResponse<Http2ServerRequest>,
  { events, requestId, paceMs }: { readonly events: readonly string[]; readonly requestId: string; readonly paceMs: number },
): void {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "request-id": requestId });
  let next = 0;
  function write(): void {
    response.write(events[next++]!);
    if (next < events.length) return;
    clearInterval(timer);
    response.end();
  }
  const timer = setInterval(write, paceMs);
  response.once("close", () => clearInterval(timer));
  write();
}

/**
 * A CA and a certificate of localhost that it signed: a certificate that is its own CA is refused
 * as a server's.
 */
export async function certificates(): Promise<{ readonly caPem: string; readonly key: string; readonly cert: string }> {
  const ca = await generate([{ name: "commonName", value: "llmproxy test CA" }], {
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, critical: true },
    ],
  });
  const leaf = await generate([{ name: "commonName", value: "localhost" }], {
    algorithm: "sha256",
    ca: { key: ca.private, cert: ca.cert },
    extensions: [
      { name: "basicConstraints", cA: false },
      { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }, { type: 7, ip: "127.0.0.1" }] },
    ],
  });
  return { caPem: ca.cert, key: leaf.private, cert: leaf.cert };
}
