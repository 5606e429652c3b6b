/**
 * The least that a relay on Deno can do, and so the floor for llmproxy: no authentication, no
 * record. With `untouched` the answer's body never enters JavaScript. Each of the others passes
 * every chunk through JavaScript once: that is the cost of access to the bytes, without looking at
 * them.
 *
 * deno run -A bench/relay.ts PORT UPSTREAM_PORT [untouched|transform|pull|bytes|byob]
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
