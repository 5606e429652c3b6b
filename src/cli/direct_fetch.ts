/**
 * A fetch to the URL's own host and port even where HTTP_PROXY is set: what goes to the proxy of this machine carries the admin
 * token, which is nobody else's. The body is read as it comes, and its connection closed behind it. For http URLs only.
 */
export async function directFetch(url: string, init: RequestInit): Promise<Response> {
  const { hostname, port } = new URL(url);
  const address = { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || 80 };
  const client = Deno.createHttpClient({ proxy: { transport: "tcp", ...address } });
  try {
    const answer = await fetch(url, { ...init, client });
    const { status, headers } = answer;
    if (answer.body !== null) return new Response(ReadableStream.from(readAndClose(answer.body, client)), { status, headers });
    client.close();
    return new Response(null, { status, headers });
  } catch (error) {
    client.close();
    throw error;
  }
}

async function* readAndClose(body: ReadableStream<Uint8Array>, client: Deno.HttpClient): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } finally {
    client.close();
  }
}
