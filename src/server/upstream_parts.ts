import type { Deps } from "../call/deps.ts";
import type { Config, Secrets } from "../config/config.ts";
import type { Provider } from "../domain/provider.ts";
import { cacheValueOf } from "../pricing/cache_value.ts";
import type { PriceList } from "../pricing/price_list.ts";
import { priceOf } from "../pricing/price_of.ts";
import { plainFetch } from "../wire/plain_fetch.ts";
import type { HttpClients } from "./http_clients.ts";
import { VERSION } from "./version.ts";

/** What SIGHUP replaces while the proxy runs. */
export interface Live {
  secrets: Secrets;
  pricing: Pricing;
  readonly adminToken: () => string;
}

export type Pricing = ReturnType<typeof pricingBy>;

export interface UpstreamParts {
  readonly config: Config;
  readonly provider: Provider;
  readonly live: Live;
  readonly clients: HttpClients;
}

/** How long an unstreamed answer is still read after its client disconnected. */
const DRAIN_AFTER_LEFT_MS = 60_000;

/** The upstream and its prices, for calls and for message batches. */
export function upstreamOf(
  { config, provider, live, clients }: UpstreamParts,
): Pick<Deps, "provider" | "priceOf" | "fetch" | "upstream"> {
  return {
    provider,
    priceOf: (priced, at) => live.pricing.priceOf(priced, at),
    fetch: plainFetch(clients.fetch),
    upstream: {
      baseUrl: config.upstream.baseUrl,
      credential: () => live.secrets.credential,
      idleMs: config.upstream.idleMs,
      drainAfterLeftMs: DRAIN_AFTER_LEFT_MS,
      userAgent: `llmproxy/${VERSION}`,
    },
  };
}

export function pricingBy(prices: PriceList, { billing }: Provider) {
  return { list: prices, priceOf: priceOf(prices, billing), cacheValueOf: cacheValueOf(prices, billing) };
}
