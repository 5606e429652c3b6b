import type { Credential, Upstream } from "../domain/upstream.ts";
import { baseUrlAt } from "../wire/located_url.ts";
import type { Fetch } from "../wire/plain_fetch.ts";

/**
 * A GET that the proxy makes for itself, at the first of the upstream's locations. Rejects with
 * fetch's error, or if nothing can be had to pay with.
 */
export async function askUpstream(
  path: string,
  { upstream, credential, fetch, signal }: {
    readonly upstream: Pick<Upstream, "provider" | "place" | "paymentOf" | "userAgent">;
    readonly credential: Credential;
    readonly fetch: Fetch;
    readonly signal: AbortSignal;
  },
): Promise<Response> {
  const { provider, place } = upstream;
  const baseUrl = provider.baseUrlFor?.(credential.baseUrl, path) ?? credential.baseUrl;
  const url = baseUrlAt(baseUrl, place.locations[0] ?? "") + path;
  const headers: (readonly [string, string])[] = [
    ...provider.defaultHeaders,
    ["accept", "*/*"],
    ["accept-encoding", "identity"],
    ["user-agent", upstream.userAgent],
  ];
  const paying = await upstream.paymentOf(credential).headersFor({ method: "GET", url, headers, body: null });
  return await fetch(url, { headers: [...headers, ...paying] as [string, string][], redirect: "manual", signal });
}
