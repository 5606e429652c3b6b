import { clientOf } from "../server/http_clients.ts";

/**
 * A fetch that takes no proxy, whatever the environment says: what goes to the proxy of this machine carries the admin
 * token, which nobody else may have. The body is read as it comes, and its connection is closed behind it.
 */
export async function directFetch(url: string, init: RequestInit): Promise<Response> {
  const client = clientOf({});
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
