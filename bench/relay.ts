/**
 * The least that a relay can do on Deno, and so the floor under everything else that is written in it: no authentication, no
 * record. Without a way of tapping the answer's body never enters JavaScript (`untouched`); each of the others hands every chunk
 * through JavaScript once, so that what a look at the bytes costs is seen without the look itself.
 *
 *     deno run -A bench/relay.ts PORT UPSTREAM_PORT [untouched|transform|pull|bytes|byob]
 */
import { type TapName, TAPS } from "./taps.ts";

const [port, upstreamPort] = Deno.args.map(Number);
const tap = TAPS[(Deno.args[2] ?? "untouched") as TapName];
const client = Deno.createHttpClient({ http2: false });

Deno.serve({ hostname: "127.0.0.1", port: port!, automaticCompression: false }, async (request) => {
  const { pathname, search } = new URL(request.url);
  const upstream = await fetch(`http://127.0.0.1:${upstreamPort}${pathname}${search}`, {
    method: request.method,
    headers: request.headers,
    body: request.body,
    client,
  });
  const body = upstream.body === null ? null : tap(upstream.body as ReadableStream<Uint8Array<ArrayBuffer>>);
  return new Response(body, { status: upstream.status, headers: upstream.headers });
});
