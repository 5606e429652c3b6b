import type { IncomingMessage, ServerResponse } from "node:http";
import { settlesWithin } from "../async/deadline.ts";
import type { Deps } from "../call/deps.ts";
import { Refusals } from "../call/refusals.ts";
import { Sessions, SESSIONS_DEFAULTS } from "../call/sessions.ts";
import { rawPath } from "../call/target.ts";
import { Stops } from "../call/stops.ts";
import { TokenWatch } from "../call/token_watch.ts";
import type { Traffic } from "../call/traffic.ts";
import type { TellOperator } from "../domain/events.ts";
import type { Ledger } from "../domain/ledger.ts";
import type { Limits } from "../domain/limits.ts";
import type { Observe } from "../domain/observe.ts";
import { type Readiness, worse } from "../domain/operations.ts";
import type { Batches } from "../domain/owned.ts";
import type { SandboxOf } from "../domain/sandbox.ts";
import type { SessionRecords } from "../domain/sessions.ts";
import { type ProxyHandler, proxyHandler } from "../http/proxy.ts";
import { agentserverSandboxOf } from "../identity/agentserver.ts";
import { sandboxOf } from "../identity/sandbox_of.ts";
import { CallEstimates } from "../limits/estimates.ts";
import { loopsOf } from "../limits/loops.ts";
import * as dialects from "../providers/providers.ts";
import { cachedOwners, type OwnedPlaces } from "../stores/shipping/cached_owners.ts";
import type { Budget } from "../wire/budget.ts";
import { listen, type Listener, type ListenerOptions } from "./listener.ts";
import type { ServerSystem } from "./system.ts";
import { callParts, type UpstreamParts } from "./upstream_parts.ts";

export interface FrontParts extends UpstreamParts {
  readonly system: Pick<ServerSystem, "now" | "elapsed" | "newId" | "openFileLimit">;
  readonly instanceId: string;
  readonly observe: Observe;
  readonly traffic: Traffic;
  readonly budget: Budget;
  readonly ledger: Ledger;
  readonly limits: Limits;
  readonly tell: TellOperator;
  readonly owned: OwnedPlaces;
  readonly sessions: SessionRecords;
  readonly batches: Batches;
  /** Of local tokens. */
  readonly localSandboxOf: SandboxOf;
  /** Without the drain of this process. */
  readonly readiness: () => Readiness;
}

/** The side that sandboxes call: one for each process that listens to them. */
export interface Front {
  readonly deps: Deps;
  /** Of the process: that of its parts, until it drains. */
  readonly readiness: () => Readiness;
  readonly listen: (place: FrontPlace) => Promise<Listener>;
  /**
   * Refuses calls, then connections, waits for running calls, and cuts the rest. Waits no longer
   * once `hurry` resolves.
   */
  readonly stop: (listener: Listener, hurry: Promise<void>) => Promise<void>;
  /** Counts the last refusals. The ledger ends after it. */
  readonly end: () => Promise<void>;
}

export interface FrontPlace {
  /** Instead of the setting's. */
  readonly port?: number;
  /** Other processes listen there too, and the kernel chooses one for each connection. */
  readonly isShared?: boolean;
  readonly maxConnections: number | null;
  /** The admin API, if it is on the same listener. */
  readonly admins?: Pick<ListenerOptions, "handle"> | null;
}

/** People watch refusals come on the dashboard. */
const FLUSH_REFUSALS_MS = 1_000;
/** How often to look whose tokens the control plane is asked about again, while they have calls. */
const TOKEN_ROUND_MS = 250;
/**
 * Less than 2 s pass from a change at the control plane to the cut. A process asks it 48 times a
 * second at most; with more running tokens, each has to wait longer for its turn.
 */
const TOKEN_WATCH = { maxAgeMs: 1_500, most: 12 };
/** How long cut calls may take to write their rows. */
const CUT_MS = 2_000;
/** The admin API's paths on the proxy's listener, if `LLMPROXY_ADMIN_ADDR` is `same`. */
const ADMIN_PATH = /^\/(?:internal|metrics|dashboard)(?:\/|$)/;
/** For databases, files and the admin listener's connections. */
const OTHER_FILES = 100;
/** If the system does not say how many files may be open. */
const UNKNOWN_LIMIT = 1_024;

/** Puts a front together; it does not listen yet. */
export function openFront(parts: FrontParts): Front {
  const { config: { proxy, drain, agentserver }, system, observe, traffic } = parts;
  const deps = depsOf(parts);
  const flushing = setInterval(() => deps.refusals.flush(deps.ledger), FLUSH_REFUSALS_MS);
  Deno.unrefTimer(flushing);
  const watch = new TokenWatch({ ...deps, ...TOKEN_WATCH });
  const watching = agentserver === null ? undefined : setInterval(() => void watch.round(), TOKEN_ROUND_MS);
  if (watching !== undefined) Deno.unrefTimer(watching);
  const readiness = (): Readiness => {
    if (traffic.isDraining) return { status: "unavailable", reason: "draining" };
    return worse(parts.readiness(), parts.upstreams.readiness());
  };
  const { handle, refuseHead } = proxyHandler({
    deps,
    dialects: Object.values(dialects),
    allowedPaths: proxy.allowPaths,
    readiness,
    stallMs: proxy.stallMs,
  });
  return {
    deps,
    readiness,
    listen: ({ port = proxy.address.port, isShared = false, maxConnections, admins = null }) =>
      listen({
        ...{ setting: "LLMPROXY_LISTEN_ADDR", address: { ...proxy.address, port }, isShared },
        ...{ headMs: proxy.headMs, idleMs: proxy.keepAliveMs },
        maxConnections: maxConnections ?? connectionsFor(system.openFileLimit()),
        onTrouble: (message, fields) => observe.note("warn", message, fields),
        refuseHead,
        handle: admins === null
          ? handle
          : (incoming, outgoing, expects) => handlerOf(incoming, handle, admins.handle)(incoming, outgoing, expects),
      }),
    async stop(listener, hurry) {
      traffic.drain();
      observe.note("info", "draining", { inFlight: traffic.inFlight });
      await settlesWithin(hurry, drain.leadMs);
      const over = Promise.all([listener.shutdown(), traffic.idle()]);
      await settlesWithin(Promise.race([over, hurry]), drain.runningMs);
      traffic.cut();
      await settlesWithin(over, CUT_MS);
    },
    async end() {
      clearInterval(flushing);
      clearInterval(watching);
      await deps.refusals.flush(deps.ledger);
    },
  };
}

type Handle = (incoming: IncomingMessage, outgoing: ServerResponse, expects: boolean) => void;

function handlerOf(incoming: IncomingMessage, proxy: ProxyHandler["handle"], admin: Handle): Handle {
  return ADMIN_PATH.test(rawPath({ url: incoming.url ?? "" })) ? admin : proxy;
}

/** Each call needs a connection to the upstream too. */
function connectionsFor(openFiles: number | null): number {
  return Math.max(1, Math.floor(((openFiles ?? UNKNOWN_LIMIT) - OTHER_FILES) / 2));
}

function depsOf(parts: FrontParts): Deps {
  const { config: { proxy, agentserver, limits }, system: { now, elapsed, newId }, clients, ledger, owned, observe } = parts;
  const ofCalls = callParts(parts);
  return {
    ...ofCalls,
    ...{ instanceId: parts.instanceId, budget: parts.budget, batches: parts.batches, traffic: parts.traffic },
    stops: new Stops(parts.traffic),
    sandboxOf: sandboxOf({
      local: parts.localSandboxOf,
      agentserver: agentserver === null ? null : agentserverSandboxOf({ ...agentserver, fetch: clients.fetch, now, observe }),
    }),
    ledger,
    owners: cachedOwners({ ledger, ...owned }),
    sessions: new Sessions({ ...SESSIONS_DEFAULTS, records: parts.sessions, windowMs: proxy.inferSessionMs, elapsed }),
    observe,
    refusals: new Refusals(parts.instanceId),
    now,
    elapsed,
    newId,
    bodyDeadlineMs: proxy.bodyMs,
    limits: parts.limits,
    estimates: new CallEstimates({ by: limits.reserve, priceOf: ofCalls.priceOf }),
    loops: loopsOf({ calls: limits.loopCalls, pauseMs: limits.pauseMs, tell: parts.tell }),
    unpriced: limits.unpriced,
    brokenStream: proxy.brokenStream,
    traceHeader: proxy.traceHeader.toLowerCase(),
    clientIpHeader: proxy.clientIpHeader?.toLowerCase() ?? null,
  };
}
