/**
 * A receiver of telemetry that takes everything and keeps nothing.
 *
 * deno run -A bench/otlp_sink.ts PORT
 */
Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.args[0]) }, async (request) => {
  await request.arrayBuffer();
  return new Response(null, { headers: { "content-type": request.headers.get("content-type") ?? "" } });
});
