import { timeLimit } from "../async/deadline.ts";
import { askUpstream } from "../batches/own_request.ts";
import type { Deps } from "../call/deps.ts";
import type { Config, Secrets } from "../config/config.ts";
import type { Observe } from "../domain/observe.ts";
import { cacheValueOf } from "../pricing/cache_value.ts";
import type { PriceList } from "../pricing/price_list.ts";
import { priceOf } from "../pricing/price_of.ts";
import { BILLINGS } from "../providers/billings.ts";
import { CLIENTS } from "../providers/clients.ts";
import * as dialects from "../providers/providers.ts";
import { mayNotList } from "../upstream/aws.ts";
import { UpstreamTable } from "../upstream/upstream_table.ts";
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
  readonly live: Live;
  readonly clients: HttpClients;
  readonly upstreams: UpstreamTable;
}

/** How long the upstream may take to say whether a credential is good. */
const CHECK_MS = 5_000;
const USER_AGENT = `llmproxy/${VERSION}`;
/** How long an unstreamed answer is still read after its client disconnected. */
const DRAIN_AFTER_LEFT_MS = 60_000;

/** The upstreams and their prices, for calls and for message batches. */
export function callParts(
  { live, clients, upstreams }: Omit<UpstreamParts, "config">,
): Pick<Deps, "upstreams" | "clients" | "priceOf" | "fetch"> {
  return {
    upstreams,
    clients: CLIENTS,
    priceOf: (priced, at) => live.pricing.priceOf(priced, at),
    fetch: plainFetch(clients.fetch),
  };
}

/** The upstreams and credentials in force, of this process. */
export function upstreamTable(
  { config, live, clients, system: { now, elapsed }, observe }: Omit<UpstreamParts, "upstreams"> & {
    readonly system: Pick<ServerSystem, "now" | "elapsed">;
    readonly observe: Pick<Observe, "note">;
  },
): UpstreamTable {
  return new UpstreamTable({
    ...{ now, elapsed, observe, dialects, userAgent: USER_AGENT, drainAfterLeftMs: DRAIN_AFTER_LEFT_MS },
    idleMs: config.upstream.idleMs,
    patienceMs: config.upstream.waitMs,
    fetch: clients.fetch,
    fetchDirect: clients.fetchDirect,
    all: () => live.secrets.upstreams,
    check: async (upstream, credential) => {
      using limit = timeLimit(CHECK_MS, () => new Error("the upstream did not answer in time"));
      const answer = await askUpstream(upstream.provider.checkPath, {
        ...{ upstream, credential, signal: limit.signal },
        fetch: clients.fetch,
      });
      await answer.body?.cancel();
      return mayNotList(answer) ? null : answer.status;
    },
  });
}

export function pricingBy(prices: PriceList) {
  return { list: prices, priceOf: priceOf(prices, BILLINGS), cacheValueOf: cacheValueOf(prices, BILLINGS) };
}
