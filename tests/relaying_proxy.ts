/** A forward proxy on loopback that passes plain HTTP on and shows what came through it. */
import { createServer, type IncomingMessage, request as requestOf } from "node:http";
import type { AddressInfo } from "node:net";

export interface Relayed {
  readonly method: string;
  /** The absolute URL that it was asked for. */
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
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    relayed,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
