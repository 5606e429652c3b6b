import { type ForwardProxies, type ForwardProxy, proxyFor } from "../wire/forward_proxy.ts";
import { PROXY_VARIABLES } from "../config/forward_proxies.ts";

type ClientOptions = Parameters<typeof Deno.createHttpClient>[0];

/** Requests to the upstream and to the control plane, each directly or through the proxy that the settings name for it. */
export interface HttpClients {
  /** Follows no redirect to a host for which another proxy would be right: callers say `redirect: "manual"`. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly close: () => void;
}

/** One pool of connections for direct requests, and one for each proxy. `options` are for all of them. */
export function httpClients(
  options: ClientOptions,
  { proxies }: { readonly proxies: ForwardProxies },
): HttpClients {
  const direct = clientOf(options);
  const proxied = new Map<ForwardProxy, Deno.HttpClient>();
  for (const proxy of [proxies.http, proxies.https]) {
    if (proxy === null || proxied.has(proxy)) continue;
    const { url, credentials } = proxy;
    proxied.set(proxy, clientOf({ ...options, proxy: credentials === null ? { url } : { url, basicAuth: credentials } }));
  }
  function clientFor(url: string): Deno.HttpClient {
    const proxy = proxied.size === 0 ? null : proxyFor(url, proxies);
    return (proxy === null ? undefined : proxied.get(proxy)) ?? direct;
  }
  return {
    fetch: (url, init) => fetch(url, { ...init, client: clientFor(url) }),
    close: () => {
      for (const client of [direct, ...proxied.values()]) client.close();
    },
  };
}

/**
 * A client that does what it is told and nothing that the environment says.
 *
 * The runtime reads the variables of the environment when it makes a client (Deno 2.9.6, held by a test): `HTTP_PROXY` turns
 * a direct client into a proxied one, and `NO_PROXY`, of which it knows a part, a proxied one into a direct one. So they are
 * taken away for the length of that synchronous call. They stay for what else the runtime fetches, such as a package.
 */
export function clientOf(options: ClientOptions): Deno.HttpClient {
  const held = PROXY_VARIABLES.map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const [name] of held) Deno.env.delete(name);
    return Deno.createHttpClient(options);
  } finally {
    for (const [name, text] of held) if (text !== undefined) Deno.env.set(name, text);
  }
}
