/**
 * The least that a relay can do on Deno, and so the floor under everything else that is written in it: no look at the bytes,
 * no authentication, no record. The answer's body never enters JavaScript.
 *
 *     deno run -A bench/relay.ts PORT UPSTREAM_PORT
 */
const [port, upstreamPort] = Deno.args.map(Number);
const client = Deno.createHttpClient({ http2: false });

Deno.serve({ hostname: "127.0.0.1", port: port!, automaticCompression: false }, async (request) => {
  const { pathname, search } = new URL(request.url);
  const upstream = await fetch(`http://127.0.0.1:${upstreamPort}${pathname}${search}`, {
    method: request.method,
    headers: request.headers,
    body: request.body,
    client,
  });
  return new Response(upstream.body, { status: upstream.status, headers: upstream.headers });
});
