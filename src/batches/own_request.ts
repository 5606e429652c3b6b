import type { Credential, Upstream } from "../domain/upstream.ts";
import type { Fetch } from "../wire/plain_fetch.ts";

/**
 * A GET that the proxy makes for itself. Rejects with fetch's error, or if nothing can be had to
 * pay with.
 */
export async function askUpstream(
  path: string,
  { upstream, credential, fetch, signal }: {
    readonly upstream: Pick<Upstream, "provider" | "paymentOf" | "userAgent">;
    readonly credential: Credential;
    readonly fetch: Fetch;
    readonly signal: AbortSignal;
  },
): Promise<Response> {
  const url = credential.baseUrl + path;
  const headers: (readonly [string, string])[] = [
    ...upstream.provider.defaultHeaders,
    ["accept", "*/*"],
    ["accept-encoding", "identity"],
    ["user-agent", upstream.userAgent],
  ];
  const paying = await upstream.paymentOf(credential).headersFor({ method: "GET", url, headers, body: null });
  return await fetch(url, { headers: [...headers, ...paying] as [string, string][], redirect: "manual", signal });
}
