/**
 * A fetch to the URL's own host and port even where HTTP_PROXY is set: what goes to the proxy of this machine carries the admin
 * token, which is nobody else's. The body is read whole. For http URLs only.
 */
export async function directFetch(url: string, init: RequestInit): Promise<Response> {
  const { hostname, port } = new URL(url);
  const address = { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || 80 };
  using client = Deno.createHttpClient({ proxy: { transport: "tcp", ...address } });
  const answer = await fetch(url, { ...init, client });
  const body = await answer.arrayBuffer();
  return new Response(body.byteLength === 0 ? null : body, { status: answer.status, headers: answer.headers });
}
