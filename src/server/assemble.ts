import { BatchAccounts } from "../batches/accounts.ts";
import { Traffic } from "../call/traffic.ts";
import type { Config, Secrets } from "../config/config.ts";
import { type Actor, stampOf } from "../domain/audit.ts";
import type { TellOperator } from "../domain/events.ts";
import type { Observe } from "../domain/observe.ts";
import type { Readiness } from "../domain/operations.ts";
import type { OpenCall } from "../domain/usage.ts";
import { adminApp, type AdminBindings } from "../http/admin.ts";
import type { AdminDeps } from "../http/admin_route.ts";
import { type LocalTokens, localTokens } from "../identity/local_tokens.ts";
import { pricesInForce } from "../pricing/in_force.ts";
import type { PriceList } from "../pricing/price_list.ts";
import { freeBytesOf } from "../stores/sqlite/recording.ts";
import { upstreamsInForce } from "../upstream/in_force.ts";
import type { UpstreamTable } from "../upstream/upstream_table.ts";
import { ByteBudget } from "../wire/budget.ts";
import { proxyFor } from "../wire/forward_proxy.ts";
import { readOrMakeAdminToken } from "./admin_token.ts";
import { auditedCuts } from "./audited_cuts.ts";
import { type Front, openFront } from "./front.ts";
import { type HttpClients, upstreamClients } from "./http_clients.ts";
import { openIdSignIn } from "./openid_sign_in.ts";
import { operatorTold } from "./operator_told.ts";
import { importInto } from "./import_rows.ts";
import { type Limiting, LOOK_MS as LIMITS_LOOK_MS, startLimiting } from "./limiting.ts";
import { type Gauged, instruments } from "./instruments.ts";
import type { ListenerOptions } from "./listener.ts";
import { Repricer } from "./repricing.ts";
import { type StopButtons, stopButtonsOf } from "./stop_buttons.ts";
import { revokingRunning, StopWatch } from "./stop_watch.ts";
import { openStorage, type Storage } from "./storage.ts";
import { suspensionCopyIn } from "./suspension_copy.ts";
import type { ServerSystem } from "./system.ts";
import { callParts, type Live, pricingBy, upstreamTable } from "./upstream_parts.ts";
import { VERSION } from "./version.ts";
import { answersOf } from "./workers/parent.ts";
import { WorkerPool } from "./workers/pool.ts";

/** The parts of a proxy, put together; nothing listens yet. */
export interface Assembly {
  /** Null if workers listen. */
  readonly front: Front | null;
  /** Listens for sandboxes, here or in workers. */
  readonly serve: (admins: Pick<ListenerOptions, "handle"> | null) => Promise<Serving>;
  readonly admin: (request: Request, from: AdminBindings) => Response | Promise<Response>;
  readonly observe: Observe;
  readonly adminToken: () => string;
  /** Uses new secrets; calls under way keep theirs. */
  readonly rotate: (secrets: Secrets) => void;
  /** Uses new prices for calls that end from now on. False if they are the same. */
  readonly reprice: (prices: PriceList) => boolean;
  /** It listens now: starts what can wait, in a moment without calls. */
  readonly begin: () => void;
  /** Commits what waits and unlocks the data directory. */
  readonly end: () => Promise<void>;
}

/** The side that sandboxes call, while it listens. */
export interface Serving {
  readonly address: Deno.NetAddr;
  /** As `Front.stop`, or `WorkerPool.stop`. */
  readonly stop: (hurry: Promise<void>) => Promise<void>;
}

/** What the parts have in common. */
interface Common {
  readonly config: Config;
  readonly system: ServerSystem;
  readonly live: Live;
  readonly storage: Storage;
  readonly clients: HttpClients;
  readonly upstreams: UpstreamTable;
  readonly observe: Observe;
  readonly limiting: Limiting;
  readonly tell: TellOperator;
  /** Of the store, and of limits over all replicas. */
  readonly readiness: () => Readiness;
}

/** How long the store may take to find a local token. */
const TOKEN_LOOKUP_MS = 5_000;
/** How often to look for a moment without calls, and how many times. */
const LOOK_MS = 1_000;
const MOST_LOOKS = 60;

/**
 * Opens the data directory and puts the parts together. Rejects with `DataDirLocked`,
 * `SchemaTooNew` or an error of the disk.
 */
export async function assemble(config: Config, system: ServerSystem): Promise<Assembly> {
  const instanceId = system.newId();
  let keptToken = "";
  const live: Live = {
    secrets: {
      upstreams: config.upstreams,
      adminToken: config.admin.token,
      viewerToken: config.admin.viewerToken,
      oidcClientSecret: config.oidc?.clientSecret ?? null,
      databaseUrl: config.storage.database?.url ?? null,
      webhookSecret: config.limits.webhookSecret,
      telemetryHeaders: config.telemetryHeaders,
    },
    pricing: pricingBy(config.prices),
    adminToken: () => live.secrets.adminToken ?? keptToken,
  };
  const gauged: Gauged = {};
  const count = config.workers === "auto" ? system.cores() : config.workers;
  const run = count === 1 ? { instanceId, worker: null } : null;
  const { observe, metrics, end: endInstruments } = await instruments(config, system, { live, gauged, run });
  const pool = count === 1 ? null : new WorkerPool({ count, config, system, observe, live });
  const storage = await openStorage({
    ...system,
    ...{ config: config.storage, instanceId, observe },
    workers: pool === null ? null : { count, recording: pool.recording },
    prices: () => live.pricing.list,
  });
  if (config.admin.token === null) keptToken = readOrMakeAdminToken(config.storage.dataDir, system.randomBytes);
  noteForwardProxies(config, observe);
  const tokens = localTokens({ ...system, tokens: storage.tokens, observe, timeoutMs: TOKEN_LOOKUP_MS });
  const clients = upstreamClients(config);
  const operator = operatorTold(config.limits.webhookUrl, { live, clients, now: system.now, observe });
  const limiting = await startLimiting({
    ...config.limits,
    upstreamWaitMs: config.upstream.waitMs,
    tell: operator.tell,
    records: storage.limits,
    lookMs: config.storage.database === null ? null : LIMITS_LOOK_MS,
    now: system.now,
    newId: system.newId,
    observe,
    onChange: (limits) => pool?.limit(limits),
  });
  const readiness = () => {
    const ofStore = storage.readiness();
    return ofStore.status === "ok" ? limiting.trouble() ?? ofStore : ofStore;
  };
  const upstreams = upstreamTable({ config, live, clients, system, observe });
  const common: Common = {
    config,
    system,
    live,
    storage,
    clients,
    observe,
    limiting,
    readiness,
    upstreams,
    tell: operator.tell,
  };
  const batches = batchAccounts(common);
  Object.assign(gauged, { shipping: storage.shipping, batches, limiting, credentials: upstreams } satisfies Gauged);
  const side = pool === null
    ? frontHere(common, { instanceId, batches, tokens, gauged })
    : frontInWorkers(pool, common, { batches, gauged });
  Object.assign(gauged, { readiness: side.readiness, freeBytes: () => freeBytesOf(config.storage.dataDir) } satisfies Gauged);
  const copy = config.storage.database === null ? null : suspensionCopyIn(config.storage.dataDir);
  const stopWatch = new StopWatch({ ...system, records: storage.stops, buttons: side.buttons, copy, observe });
  await stopWatch.begin();
  const repricer = new Repricer(storage.caughtUp);
  const recordChange = changeRecorder(common);
  const admin = adminListener(common, {
    ...{ repricer, recordChange },
    tokens: revokingRunning(tokens, side.buttons),
    requests: auditedCuts(side.buttons, recordChange),
    draining: side.draining,
    suspensions: stopWatch,
    readiness: side.readiness,
    metrics: async () => await metrics.text(await pool?.metrics() ?? []),
    samples: async () => await metrics.samples(await pool?.metrics() ?? []),
  });
  void batches.run();
  let waiting: ReturnType<typeof setInterval> | undefined;
  return {
    ...side,
    admin: (request, from) => admin.fetch(request, from),
    observe,
    adminToken: live.adminToken,
    rotate: (fresh) => {
      live.secrets = fresh;
      storage.rotate(fresh.databaseUrl);
      pool?.rotate();
    },
    reprice: (prices) => {
      if (prices.version === live.pricing.list.version) return false;
      const change = (list: PriceList) => ({ priceVersion: list.version });
      const [before, after] = [change(live.pricing.list), change(prices)];
      live.pricing = pricingBy(prices);
      pool?.rotate();
      void recordChange({ action: "prices.read", target: "prices", workspaceId: null, before, after }, SIGNAL);
      return true;
    },
    begin() {
      if (!system.startsWorkers) return storage.begin();
      let looks = 0;
      waiting = setInterval(() => {
        if ((gauged.traffic?.inFlight ?? 0) > 0 && ++looks < MOST_LOOKS) return;
        clearInterval(waiting);
        storage.begin();
      }, LOOK_MS);
      Deno.unrefTimer(waiting);
    },
    end: async () => {
      clearInterval(waiting);
      await stopWatch.end();
      await repricer.end();
      await batches.end();
      await side.front?.end();
      await limiting.end();
      operator.end();
      await storage.end();
      await endInstruments();
      clients.close();
    },
  };
}

interface Side extends Pick<Assembly, "front" | "serve"> {
  readonly readiness: () => Readiness;
  readonly buttons: StopButtons;
  /** Aborts when it begins to drain. */
  readonly draining: AbortSignal;
}

/** Calls are served in this process. */
function frontHere(
  common: Common,
  { instanceId, batches, tokens, gauged }: {
    readonly instanceId: string;
    readonly batches: BatchAccounts;
    readonly tokens: LocalTokens;
    readonly gauged: Gauged;
  },
): Side {
  const { config, storage, limiting, readiness } = common;
  const ledger = storage.ledger!;
  const traffic = new Traffic();
  const budget = new ByteBudget({
    totalBytes: config.proxy.bodyBudgetBytes,
    perHolderBytes: config.proxy.bodyBudgetPerSandboxBytes,
  });
  Object.assign(gauged, { traffic, budget, ledger } satisfies Gauged);
  gauged.workers = { running: () => 1, restarts: () => 0 };
  const front = openFront({
    ...common,
    ...{ instanceId, budget, traffic, ledger, limits: limiting.limits },
    owned: storage.owned,
    sessions: storage.sessions,
    batches,
    localSandboxOf: tokens.sandboxOf,
    readiness,
  });
  return {
    front,
    readiness: front.readiness,
    draining: traffic.draining,
    buttons: stopButtonsOf(front.deps.stops, tokens),
    serve: async (admins) => {
      const listener = await front.listen({ admins, maxConnections: config.proxy.maxConnections });
      Object.assign(gauged, { listener } satisfies Gauged);
      return { address: listener.address, stop: (hurry) => front.stop(listener, hurry) };
    },
  };
}

/** Calls are served in several processes, and this one keeps what they share. */
function frontInWorkers(
  pool: WorkerPool,
  { storage, limiting, readiness: ofStore, tell }: Common,
  { batches, gauged }: { readonly batches: BatchAccounts; readonly gauged: Gauged },
): Side {
  gauged.workers = pool;
  const readiness = () => pool.readiness(ofStore());
  return {
    front: null,
    readiness,
    buttons: pool.buttons,
    draining: pool.draining,
    serve: async () => {
      const address = await pool.start({
        answers: answersOf({ ...storage, accounts: batches, limits: limiting.limits, tell }),
        limits: limiting.known,
        onWorkerEnd: (instanceId) => limiting.admissions.forgetHolder(instanceId),
        onCommit: storage.poke,
        readiness: ofStore,
        whyLost: storage.whyLost,
        firstBatchLookMs: batches.firstLookMs,
      });
      return { address, stop: (hurry) => pool.stop(hurry) };
    },
  };
}

const SIGNAL: Actor = { who: "signal", claimed: null, address: null };

/** For changes that cannot be in one transaction with their audit entry. */
function changeRecorder({ system, storage, observe }: Common): AdminDeps["recordChange"] {
  return async (change, by) => {
    const entry = { ...stampOf(by, system), ...change };
    await storage.audit.appendAudit(entry).catch((error) => {
      observe.note("error", "an administrative change could not be recorded in the audit", { ...entry, error });
    });
  };
}

/** The job that accounts for message batches, one per machine. */
function batchAccounts(common: Common): BatchAccounts {
  const { system: { now, elapsed, batchPace: pace }, storage, upstreams, observe } = common;
  const upstreamOf = (call: OpenCall) => upstreams.ofCall(call);
  return new BatchAccounts({ ...callParts(common), upstreamOf, records: storage.batches, pace, observe, now, elapsed });
}

/** The admin API, one per machine. */
function adminListener(
  common: Common,
  { repricer, ...parts }:
    & Pick<AdminDeps, "readiness" | "metrics" | "samples" | "tokens" | "requests" | "draining" | "suspensions" | "recordChange">
    & { readonly repricer: Repricer },
) {
  const { config, system: { now, newId }, live, storage, observe, limiting } = common;
  return adminApp({
    ...parts,
    version: VERSION,
    limits: limiting.admin,
    store: storage.store,
    audit: storage.audit,
    cacheValueOf: (call, missed) => live.pricing.cacheValueOf(call, missed),
    adminToken: live.adminToken,
    viewerToken: () => live.secrets.viewerToken,
    adminHosts: () => config.admin.hosts,
    oidc: openIdSignIn(config.oidc, common),
    isSecure: config.admin.isSecure,
    newId,
    reship: storage.reship,
    reprice: ({ isDryRun, ...span }) => {
      const { list } = live.pricing;
      const steps = repricer.start({ database: storage.rowsDatabase(), prices: list, span, isDryRun });
      return steps === null ? null : { priceVersion: list.version, steps };
    },
    upstreams: () => upstreamsInForce(live.secrets.upstreams),
    prices: () => pricesInForce(live.pricing.list, now()),
    exportUsage: storage.exportUsage,
    backUp: storage.backUp,
    importRows: importInto(storage.store, (priced, at) => live.pricing.priceOf(priced, at)),
    now,
    observe,
  });
}

/** Five variables decide which way calls take, so the log says which; without a proxy, nothing. */
function noteForwardProxies({ forwardProxies, upstreams, agentserver }: Config, observe: Observe): void {
  if (forwardProxies.http === null && forwardProxies.https === null) return;
  const wayTo = (url: string) => proxyFor(url, forwardProxies)?.url ?? "direct";
  const ways = new Set(upstreams.flatMap(({ credentials }) => credentials.map(({ baseUrl }) => wayTo(baseUrl))));
  observe.note("info", "the environment names a proxy: calls take this way", {
    upstream: [...ways].join(", "),
    controlPlane: agentserver === null ? undefined : wayTo(agentserver.url),
  });
}
