import { BatchAccounts } from "../batches/accounts.ts";
import type { Deps } from "../call/deps.ts";
import { Refusals } from "../call/refusals.ts";
import { Sessions, SESSIONS_DEFAULTS } from "../call/sessions.ts";
import { Traffic } from "../call/traffic.ts";
import type { Config, Secrets } from "../config/config.ts";
import type { Observe } from "../domain/observe.ts";
import type { Readiness } from "../domain/operations.ts";
import { NO_BATCHES } from "../domain/owned.ts";
import type { Provider } from "../domain/provider.ts";
import { adminApp } from "../http/admin.ts";
import { type ProxyHandler, proxyHandler } from "../http/proxy.ts";
import { agentserverSandboxOf } from "../identity/agentserver.ts";
import { type LocalTokens, localTokens } from "../identity/local_tokens.ts";
import { sandboxOf } from "../identity/sandbox_of.ts";
import { cacheValueOf } from "../pricing/cache_value.ts";
import type { PriceList } from "../pricing/price_list.ts";
import { priceOf } from "../pricing/price_of.ts";
import * as providers from "../providers/providers.ts";
import { newLogger } from "../telemetry/log.ts";
import { newMetrics } from "../telemetry/metrics.ts";
import { newObserve } from "../telemetry/observe.ts";
import { ByteBudget } from "../wire/budget.ts";
import { proxyFor } from "../wire/forward_proxy.ts";
import { plainFetch } from "../wire/plain_fetch.ts";
import { readOrMakeAdminToken } from "./admin_token.ts";
import { type HttpClients, httpClients } from "./http_clients.ts";
import { importInto } from "./import_rows.ts";
import { Repricer } from "./repricing.ts";
import { openStorage, type Storage } from "./storage.ts";
import type { ServerSystem } from "./system.ts";
import { VERSION } from "./version.ts";

/** The parts of a proxy, put together; nothing listens yet. */
export interface Assembly {
  readonly deps: Deps;
  readonly proxy: ProxyHandler;
  readonly admin: (request: Request) => Response | Promise<Response>;
  readonly observe: Observe;
  readonly adminToken: () => string;
  /** Uses new secrets; calls under way keep theirs. */
  readonly rotate: (secrets: Secrets) => void;
  /** Uses new prices for calls that end from now on. False if they are the same. */
  readonly reprice: (prices: PriceList) => boolean;
  /** Commits what waits and unlocks the data directory. */
  readonly end: () => Promise<void>;
}

/** What SIGHUP replaces while the proxy runs. */
interface Live {
  secrets: Secrets;
  pricing: Pricing;
  readonly adminToken: () => string;
}

type Pricing = ReturnType<typeof pricingBy>;

/** What the parts have in common. */
interface Common {
  readonly config: Config;
  readonly provider: Provider;
  readonly system: ServerSystem;
  readonly live: Live;
  readonly storage: Storage;
  readonly clients: HttpClients;
  readonly tokens: LocalTokens;
  readonly traffic: Traffic;
  readonly observe: Observe;
}

/** How long an unstreamed answer is still read after its client disconnected. */
const DRAIN_AFTER_LEFT_MS = 60_000;
/** Shorter than upstreams keep an idle connection: few calls are sent into one that is closing. */
const POOL_IDLE_MS = 30_000;
/** How long the store may take to find a local token. */
const TOKEN_LOOKUP_MS = 5_000;
const FLUSH_REFUSALS_MS = 5_000;

/**
 * Opens the data directory and puts the parts together. Rejects with `DataDirLocked`,
 * `SchemaTooNew` or an error of the disk.
 */
export async function assemble(config: Config, system: ServerSystem): Promise<Assembly> {
  const { newId, randomBytes } = system;
  const instanceId = newId();
  const traffic = new Traffic();
  const budget = new ByteBudget({
    totalBytes: config.proxy.bodyBudgetBytes,
    perHolderBytes: config.proxy.bodyBudgetPerSandboxBytes,
  });
  const provider: Provider = providers[config.upstream.provider];
  let keptToken = "";
  const live: Live = {
    secrets: {
      credential: config.upstream.credential,
      adminToken: config.admin.token,
      databaseUrl: config.storage.database?.url ?? null,
    },
    pricing: pricingBy(config.prices, provider),
    adminToken: () => live.secrets.adminToken ?? keptToken,
  };
  const gauged: Gauged = { traffic, budget, storage: null, batches: null };
  const { observe, metrics } = telemetry(config, system, { live, gauged });
  const storage = gauged.storage = await openStorage({ ...system, config: config.storage, instanceId, observe });
  if (config.admin.token === null) keptToken = readOrMakeAdminToken(config.storage.dataDir, randomBytes);
  noteForwardProxies(config, observe);
  const clients = httpClients({
    // One HTTP/2 connection would refuse calls beyond the upstream's limit of streams.
    http2: false,
    poolIdleTimeout: POOL_IDLE_MS,
    caCerts: config.upstream.caCertificates === null ? [] : [config.upstream.caCertificates],
  }, config.forwardProxies);
  const tokens = localTokens({ ...system, tokens: storage.tokens, observe, timeoutMs: TOKEN_LOOKUP_MS });
  const common: Common = { config, provider, system, live, storage, clients, tokens, traffic, observe };
  const batches = gauged.batches = batchAccounts(common);
  const deps = callDeps(common, { instanceId, budget, batches: batches ?? NO_BATCHES });
  const repricer = new Repricer(storage.caughtUp);
  const readiness = (): Readiness => traffic.isDraining ? { status: "unavailable", reason: "draining" } : storage.readiness();
  const admin = adminListener(common, { repricer, readiness, metrics: metrics.text });
  const flushing = setInterval(() => deps.refusals.flush(storage.ledger), FLUSH_REFUSALS_MS);
  Deno.unrefTimer(flushing);
  void batches?.run();
  return {
    deps,
    proxy: proxyHandler({ deps, allowedPaths: config.proxy.allowPaths, readiness, stallMs: config.proxy.stallMs }),
    admin: (request) => admin.fetch(request),
    observe,
    adminToken: live.adminToken,
    rotate: (fresh) => {
      live.secrets = fresh;
      storage.rotate(fresh.databaseUrl);
    },
    reprice: (prices) => {
      if (prices.version === live.pricing.list.version) return false;
      live.pricing = pricingBy(prices, provider);
      return true;
    },
    end: async () => {
      clearInterval(flushing);
      await repricer.end();
      await batches?.end();
      await deps.refusals.flush(storage.ledger);
      await storage.end();
      metrics.end();
      clients.close();
    },
  };
}

/** The parts that the metrics look at; the log and the metrics exist before some of them. */
interface Gauged {
  readonly traffic: Traffic;
  readonly budget: ByteBudget;
  storage: Storage | null;
  batches: BatchAccounts | null;
}

/** The log and the metrics, one of each per machine. */
function telemetry(config: Config, system: ServerSystem, { live, gauged }: { readonly live: Live; readonly gauged: Gauged }) {
  const { now, elapsed } = system;
  const { http, https } = config.forwardProxies;
  const logger = newLogger(config.logLevel, {
    write: system.writeLog,
    now,
    secrets: () => [
      live.secrets.credential.secret,
      live.adminToken(),
      live.secrets.databaseUrl ?? "",
      http?.credentials?.password ?? "",
      https?.credentials?.password ?? "",
    ],
  });
  const ledger = () => gauged.storage?.ledger;
  const shipping = () => gauged.storage?.shipping();
  const batches = () => gauged.batches?.state;
  const metrics = newMetrics({
    gauges: {
      inFlight: () => gauged.traffic.inFlight,
      openRows: () => ledger()?.openCount() ?? 0,
      bufferedBytes: () => gauged.budget.heldBytes,
      ledgerTrouble: () => ledger()?.trouble() === null ? 0 : 1,
      ledgerBytes: () => ledger()?.usedBytes() ?? 0,
      unshippedRows: () => shipping()?.rows ?? 0,
      oldestUnshippedSeconds: () => Math.max(now() - (shipping()?.oldestCreatedAt ?? now()), 0) / 1000,
      quarantinedRows: () => shipping()?.quarantined ?? 0,
      shippedRows: () => shipping()?.shipped ?? 0,
      shipErrors: () => shipping()?.errors ?? 0,
      batchesWaiting: () => batches()?.waiting ?? 0,
      batchLines: () => batches()?.lines ?? 0,
      batchErrors: () => batches()?.errors ?? 0,
      batchesLost: () => batches()?.lost ?? 0,
      logLinesDropped: system.logLinesDropped,
    },
    version: VERSION,
    elapsed,
  });
  return { metrics, observe: newObserve({ logger, metrics, elapsed }) };
}

/** The upstream and its prices, for calls and for message batches. */
function upstreamOf({ config, provider, live, clients }: Common): Pick<Deps, "provider" | "priceOf" | "fetch" | "upstream"> {
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

/** The job that accounts for message batches, one per machine; null if the provider has none. */
function batchAccounts(common: Common): BatchAccounts | null {
  const { provider: { batches: dialect }, system: { now, elapsed, batchPace: pace }, storage, observe } = common;
  if (dialect === undefined) return null;
  return new BatchAccounts({ ...upstreamOf(common), dialect, records: storage.batches, pace, observe, now, elapsed });
}

/** Everything that calls need: the parts of one listener. */
function callDeps(common: Common, parts: Pick<Deps, "instanceId" | "budget" | "batches">): Deps {
  const { config: { proxy, agentserver }, system: { now, elapsed, newId }, storage, clients, tokens, observe } = common;
  return {
    ...upstreamOf(common),
    ...parts,
    sandboxOf: sandboxOf({
      local: tokens.sandboxOf,
      agentserver: agentserver === null ? null : agentserverSandboxOf({ ...agentserver, fetch: clients.fetch, now, observe }),
    }),
    ledger: storage.ledger,
    owners: storage.owners,
    sessions: new Sessions({ ...SESSIONS_DEFAULTS, records: storage.sessions, windowMs: proxy.inferSessionMs, elapsed }),
    observe,
    refusals: new Refusals(parts.instanceId),
    traffic: common.traffic,
    now,
    elapsed,
    newId,
    limits: { bodyDeadlineMs: proxy.bodyMs },
    brokenStream: proxy.brokenStream,
    traceHeader: proxy.traceHeader.toLowerCase(),
    clientIpHeader: proxy.clientIpHeader?.toLowerCase() ?? null,
  };
}

type AdminDeps = Parameters<typeof adminApp>[0];

/** The admin API, one per machine. */
function adminListener(
  { config, system: { now }, live, storage, tokens, observe }: Common,
  { repricer, ...parts }: Pick<AdminDeps, "readiness" | "metrics"> & { readonly repricer: Repricer },
) {
  return adminApp({
    ...parts,
    store: storage.store,
    cacheValueOf: (call, missed) => live.pricing.cacheValueOf(call, missed),
    tokens,
    adminToken: live.adminToken,
    adminHosts: () => config.admin.hosts,
    reship: storage.reship,
    reprice: ({ isDryRun, ...span }) => {
      const { list } = live.pricing;
      const { provider } = config.upstream;
      const steps = repricer.start({ database: storage.rowsDatabase(), provider, prices: list, span, isDryRun });
      return steps === null ? null : { priceVersion: list.version, steps };
    },
    exportUsage: storage.exportUsage,
    backUp: storage.backUp,
    importRows: importInto(storage.store, (priced, at) => live.pricing.priceOf(priced, at)),
    now,
    observe,
  });
}

function pricingBy(prices: PriceList, { billing }: Provider) {
  return { list: prices, priceOf: priceOf(prices, billing), cacheValueOf: cacheValueOf(prices, billing) };
}

/** Five variables decide which way calls take, so the log says which; without a proxy, nothing. */
function noteForwardProxies({ forwardProxies, upstream, agentserver }: Config, observe: Observe): void {
  if (forwardProxies.http === null && forwardProxies.https === null) return;
  const wayTo = (url: string) => proxyFor(url, forwardProxies)?.url ?? "direct";
  observe.note("info", "the environment names a proxy: calls take this way", {
    upstream: wayTo(upstream.baseUrl),
    controlPlane: agentserver === null ? undefined : wayTo(agentserver.url),
  });
}
