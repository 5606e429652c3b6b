import { type ForwardProxies, type ForwardProxy, proxyFor } from "../wire/forward_proxy.ts";
import type { Config } from "../config/config.ts";
import { PROXY_VARIABLES } from "../config/forward_proxies.ts";

/** Shorter than upstreams keep an idle connection: few calls are sent into one that is closing. */
const POOL_IDLE_MS = 30_000;

/** Those of one process that serves calls or accounts for batches. */
export function upstreamClients(
  { upstream: { caCertificates }, forwardProxies }: Pick<Config, "upstream" | "forwardProxies">,
): HttpClients {
  return httpClients({
    // One HTTP/2 connection would refuse calls beyond the upstream's limit of streams.
    http2: false,
    poolIdleTimeout: POOL_IDLE_MS,
    caCerts: caCertificates === null ? [] : [caCertificates],
  }, forwardProxies);
}

type ClientOptions = Parameters<typeof Deno.createHttpClient>[0];

/** Requests to upstream and control plane, each directly or through the proxy set for it. */
export interface HttpClients {
  /** Callers say `redirect: "manual"`: another host might need another proxy. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Past all proxies, as the machine's own services want to be asked. */
  readonly fetchDirect: (url: string, init: RequestInit) => Promise<Response>;
  readonly close: () => void;
}

/** One pool of connections for direct requests, and one for each proxy, all with these options. */
export function httpClients(options: ClientOptions, proxies: ForwardProxies): HttpClients {
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
    fetchDirect: (url, init) => fetch(url, { ...init, client: direct }),
    close: () => {
      for (const client of [direct, ...proxied.values()]) client.close();
    },
  };
}

/**
 * A client that follows its options and ignores the environment's proxies.
 *
 * The runtime reads the environment when it makes a client (Deno 2.9.6, held by a test).
 * `HTTP_PROXY` turns a direct client into a proxied one. `NO_PROXY`, which it reads only in part,
 * turns a proxied one into a direct one. So this function removes the variables during that
 * synchronous call. They stay for other fetches of the runtime, such as a package.
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
