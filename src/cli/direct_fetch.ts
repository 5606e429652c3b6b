import { clientOf } from "../server/http_clients.ts";

/**
 * A fetch that ignores the environment's proxies: its requests carry the admin token, which no
 * other machine may see. The body is read as it comes, and closes its connection at the end.
 * `caCertificates`: PEM to trust besides the public ones.
 */
export async function directFetch(url: string, init: RequestInit, caCertificates: string | null = null): Promise<Response> {
  const client = clientOf(caCertificates === null ? {} : { caCerts: [caCertificates] });
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
