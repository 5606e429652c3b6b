import { timeLimit } from "../async/deadline.ts";
import { ownHeaders } from "../batches/results.ts";
import type { Deps } from "../call/deps.ts";
import type { Config, Secrets } from "../config/config.ts";
import type { Observe } from "../domain/observe.ts";
import type { Credential, Provider } from "../domain/provider.ts";
import type { Credentials } from "../domain/upstream.ts";
import { cacheValueOf } from "../pricing/cache_value.ts";
import type { PriceList } from "../pricing/price_list.ts";
import { priceOf } from "../pricing/price_of.ts";
import { BILLINGS } from "../providers/billings.ts";
import { CredentialPool } from "../upstream/credential_pool.ts";
import { plainFetch } from "../wire/plain_fetch.ts";
import type { HttpClients } from "./http_clients.ts";
import type { ServerSystem } from "./system.ts";
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
  readonly credentials: Credentials;
}

/** How long the upstream may take to say whether a credential is good. */
const CHECK_MS = 5_000;
const USER_AGENT = `llmproxy/${VERSION}`;
/** How long an unstreamed answer is still read after its client disconnected. */
const DRAIN_AFTER_LEFT_MS = 60_000;

/** The upstream and its prices, for calls and for message batches. */
export function upstreamOf(
  { config, provider, live, clients, credentials }: UpstreamParts,
): Pick<Deps, "provider" | "priceOf" | "fetch" | "upstream"> {
  return {
    provider,
    priceOf: (priced, at) => live.pricing.priceOf(priced, at),
    fetch: plainFetch(clients.fetch),
    upstream: {
      credentials,
      idleMs: config.upstream.idleMs,
      drainAfterLeftMs: DRAIN_AFTER_LEFT_MS,
      userAgent: USER_AGENT,
    },
  };
}

/** The credentials in force, of this process. */
export function credentialPool(
  { config, provider, live, clients, system: { now, elapsed }, observe }: Omit<UpstreamParts, "credentials"> & {
    readonly system: Pick<ServerSystem, "now" | "elapsed">;
    readonly observe: Pick<Observe, "note">;
  },
): CredentialPool {
  return new CredentialPool({
    ...{ now, elapsed, observe, waitMsOf: provider.waitMsOf, roomOf: provider.roomOf },
    patienceMs: config.upstream.waitMs,
    all: () => live.secrets.credentials,
    check: async (credential: Credential) => {
      using limit = timeLimit(CHECK_MS, () => new Error("the upstream did not answer in time"));
      const headers = ownHeaders(credential, { provider, userAgent: USER_AGENT });
      const asked = { headers, redirect: "manual", signal: limit.signal } as const;
      const answer = await clients.fetch(credential.baseUrl + provider.checkPath, asked);
      await answer.body?.cancel();
      return answer.status;
    },
  });
}

export function pricingBy(prices: PriceList) {
  return { list: prices, priceOf: priceOf(prices, BILLINGS), cacheValueOf: cacheValueOf(prices, BILLINGS) };
}
