import type { Observe } from "../domain/observe.ts";
import { NO_BATCHES } from "../domain/owned.ts";
import { adminApp } from "../http/admin.ts";
import type { Readiness } from "../http/health.ts";
import { type Delivery, proxyHandler } from "../http/proxy.ts";
import { agentserverSandboxOf } from "../identity/agentserver.ts";
import { localTokens } from "../identity/local_tokens.ts";
import { sandboxOf } from "../identity/sandbox_of.ts";
import { BatchAccounts } from "../batches/accounts.ts";
import { Refusals } from "../call/refusals.ts";
import { Sessions, SESSIONS_DEFAULTS } from "../call/sessions.ts";
import { Traffic } from "../call/traffic.ts";
import type { Deps } from "../call/deps.ts";
import { cacheValueOf } from "../pricing/cache_value.ts";
import type { PriceList } from "../pricing/price_list.ts";
import { priceOf } from "../pricing/price_of.ts";
import type { Provider } from "../domain/provider.ts";
import * as providers from "../providers/providers.ts";
import { newLogger } from "../telemetry/log.ts";
import { newMetrics } from "../telemetry/metrics.ts";
import { newObserve } from "../telemetry/observe.ts";
import { ByteBudget } from "../wire/budget.ts";
import { proxyFor } from "../wire/forward_proxy.ts";
import { plainFetch } from "../wire/plain_fetch.ts";
import { readOrMakeAdminToken } from "./admin_token.ts";
import type { Config, Secrets } from "../config/config.ts";
import { httpClients } from "./http_clients.ts";
import type { ServerSystem } from "./system.ts";
import { Repricer } from "./repricing.ts";
import { takeInto } from "./import_rows.ts";
import { openStorage, type Storage } from "./storage.ts";
import { VERSION } from "./version.ts";

/** The parts of a proxy, put together; nobody listens yet. */
export interface Assembly {
  readonly deps: Deps;
  readonly proxy: (request: Request, delivery: Delivery) => Response | Promise<Response>;
  readonly admin: (request: Request) => Response | Promise<Response>;
  readonly observe: Observe;
  readonly adminToken: () => string;
  /** Takes newly read secrets into use; calls under way keep theirs. */
  readonly rotate: (secrets: Secrets) => void;
  /** Takes newly read prices into use for calls that end from now on. False where they are the same. */
  readonly reprice: (prices: PriceList) => boolean;
  /** Commits what waits and lets go of the data directory. */
  readonly end: () => Promise<void>;
}

/** How long an unstreamed answer is read on after its client left. */
const DRAIN_AFTER_LEFT_MS = 60_000;
/** Shorter than upstreams keep an idle connection, so that a call is seldom sent into one that is being closed. */
const POOL_IDLE_MS = 30_000;
/** How long a look-up of a local token may take. */
const TOKEN_LOOKUP_MS = 5_000;
const FLUSH_REFUSALS_MS = 5_000;

/** Opens the data directory and puts the parts together. Rejects with `DataDirLocked`, `SchemaTooNew` or an error of the disk. */
export async function assemble(config: Config, system: ServerSystem): Promise<Assembly> {
  const { now, elapsed, newId, randomBytes } = system;
  let secrets: Secrets = {
    credential: config.upstream.credential,
    adminToken: config.admin.token,
    databaseUrl: config.storage.database?.url ?? null,
  };
  let keptToken = "";
  const logger = newLogger(config.logLevel, {
    write: system.writeLog,
    now,
    secrets: () => [
      secrets.credential.secret,
      secrets.adminToken ?? keptToken,
      secrets.databaseUrl ?? "",
      ...proxyPasswords(config.forwardProxies),
    ],
  });
  const traffic = new Traffic();
  const budget = new ByteBudget({
    totalBytes: config.proxy.bodyBudgetBytes,
    perHolderBytes: config.proxy.bodyBudgetPerSandboxBytes,
  });
  const held: { storage: Storage | null; batches: BatchAccounts | null } = { storage: null, batches: null };
  const metrics = newMetrics({
    gauges: {
      inFlight: () => traffic.inFlight,
      openRows: () => held.storage?.ledger.openCount() ?? 0,
      bufferedBytes: () => budget.heldBytes,
      ledgerTrouble: () => held.storage?.ledger.trouble() === null ? 0 : 1,
      ledgerBytes: () => held.storage?.ledger.usedBytes() ?? 0,
      unshippedRows: () => held.storage?.shipping()?.rows ?? 0,
      oldestUnshippedSeconds: () => Math.max(now() - (held.storage?.shipping()?.oldestCreatedAt ?? now()), 0) / 1000,
      quarantinedRows: () => held.storage?.shipping()?.quarantined ?? 0,
      shippedRows: () => held.storage?.shipping()?.shipped ?? 0,
      shipErrors: () => held.storage?.shipping()?.errors ?? 0,
      batchesWaiting: () => held.batches?.state.waiting ?? 0,
      batchLines: () => held.batches?.state.lines ?? 0,
      batchErrors: () => held.batches?.state.errors ?? 0,
      batchesLost: () => held.batches?.state.lost ?? 0,
      logLinesDropped: system.logLinesDropped,
    },
    version: VERSION,
    elapsed,
  });
  const observe = newObserve({ logger, metrics, elapsed });
  const instanceId = newId();
  const storage = await openStorage({ config: config.storage, instanceId, observe, now, randomBytes });
  held.storage = storage;
  const { ledger, store } = storage;
  keptToken = config.admin.token === null ? readOrMakeAdminToken(config.storage.dataDir, randomBytes) : "";
  const adminToken = () => secrets.adminToken ?? keptToken;

  const clients = httpClients({
    // One HTTP/2 connection would carry all calls and refuse those beyond the upstream's bound on streams.
    http2: false,
    poolIdleTimeout: POOL_IDLE_MS,
    caCerts: config.upstream.caCertificates === null ? [] : [config.upstream.caCertificates],
  }, { proxies: config.forwardProxies });
  noteForwardProxies(config, observe);
  const provider: Provider = providers[config.upstream.provider];
  let pricing = pricingBy(config.prices, provider);
  const repricer = new Repricer();
  const tokens = localTokens({ tokens: storage.tokens, newId, randomBytes, now, observe, timeoutMs: TOKEN_LOOKUP_MS });
  const agentserver = config.agentserver;
  const upstream: Deps["upstream"] = {
    baseUrl: config.upstream.baseUrl,
    credential: () => secrets.credential,
    idleMs: config.upstream.idleMs,
    drainAfterLeftMs: DRAIN_AFTER_LEFT_MS,
    userAgent: `llmproxy/${VERSION}`,
  };
  const priceOfCall: Deps["priceOf"] = (priced, at) => pricing.priceOf(priced, at);
  const upstreamFetch = plainFetch(clients.fetch);
  const batches = provider.batches === undefined ? null : new BatchAccounts({
    dialect: provider.batches,
    records: storage.batches,
    provider,
    priceOf: priceOfCall,
    fetch: upstreamFetch,
    pace: system.batchPace,
    upstream,
    observe,
    now,
    elapsed,
  });
  held.batches = batches;
  const deps: Deps = {
    sandboxOf: sandboxOf({
      local: tokens.sandboxOf,
      agentserver: agentserver === null ? null : agentserverSandboxOf({ ...agentserver, fetch: clients.fetch, now, observe }),
    }),
    provider,
    priceOf: priceOfCall,
    ledger,
    owners: storage.owners,
    sessions: new Sessions({
      ...SESSIONS_DEFAULTS,
      records: storage.sessions,
      windowMs: config.proxy.inferSessionMs,
      elapsed,
    }),
    batches: batches ?? NO_BATCHES,
    observe,
    refusals: new Refusals(instanceId),
    traffic,
    fetch: upstreamFetch,
    now,
    elapsed,
    newId,
    instanceId,
    upstream,
    budget,
    limits: { bodyDeadlineMs: config.proxy.bodyMs },
    traceHeader: config.proxy.traceHeader.toLowerCase(),
    clientIpHeader: config.proxy.clientIpHeader?.toLowerCase() ?? null,
  };
  const readiness = (): Readiness => traffic.isDraining ? { status: "unavailable", reason: "draining" } : storage.readiness();
  const admin = adminApp({
    store,
    cacheValueOf: (call, missed) => pricing.cacheValueOf(call, missed),
    tokens,
    metrics: metrics.text,
    adminToken,
    adminHosts: () => config.admin.hosts,
    readiness,
    reship: storage.reship,
    reprice: ({ isDryRun, ...span }) => {
      const steps = repricer.start({
        database: storage.rowsDatabase(),
        provider: config.upstream.provider,
        prices: pricing.list,
        span,
        isDryRun,
      });
      return steps === null ? null : { priceVersion: pricing.list.version, steps };
    },
    exportUsage: storage.exportUsage,
    backUp: storage.backUp,
    importRows: takeInto(store, (priced, at) => pricing.priceOf(priced, at)),
    now,
    observe,
  });
  const flushing = setInterval(() => deps.refusals.flush(ledger), FLUSH_REFUSALS_MS);
  Deno.unrefTimer(flushing);
  void batches?.run();
  return {
    deps,
    proxy: proxyHandler({ deps, allowedPaths: config.proxy.allowPaths, readiness }),
    admin: (request) => admin.fetch(request),
    observe,
    adminToken,
    rotate: (fresh) => {
      secrets = fresh;
      storage.rotate(fresh.databaseUrl);
    },
    reprice: (prices) => {
      if (prices.version === pricing.list.version) return false;
      pricing = pricingBy(prices, provider);
      return true;
    },
    end: async () => {
      clearInterval(flushing);
      await repricer.end();
      await batches?.end();
      await deps.refusals.flush(ledger);
      await storage.end();
      metrics.end();
      clients.close();
    },
  };
}

/** Which way calls take is decided by five variables, so the log says what came of them. Without a proxy it says nothing. */
function noteForwardProxies({ forwardProxies, upstream, agentserver }: Config, observe: Observe): void {
  if (forwardProxies.http === null && forwardProxies.https === null) return;
  const wayTo = (url: string) => proxyFor(url, forwardProxies)?.url ?? "direct";
  observe.note("info", "the environment names a proxy: this is the way that calls take", {
    upstream: wayTo(upstream.baseUrl),
    controlPlane: agentserver === null ? undefined : wayTo(agentserver.url),
  });
}

function proxyPasswords({ http, https }: Config["forwardProxies"]): readonly string[] {
  return [http?.credentials?.password ?? "", https?.credentials?.password ?? ""];
}

function pricingBy(prices: PriceList, { billing }: Provider) {
  return { list: prices, priceOf: priceOf(prices, billing), cacheValueOf: cacheValueOf(prices, billing) };
}
