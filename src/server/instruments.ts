import type { BatchAccounts } from "../batches/accounts.ts";
import type { Traffic } from "../call/traffic.ts";
import type { Config } from "../config/config.ts";
import type { TelemetryHeaders } from "../config/telemetry.ts";
import type { Ledger } from "../domain/ledger.ts";
import type { Readiness } from "../domain/operations.ts";
import type { Observe } from "../domain/observe.ts";
import type { ShippingState } from "../stores/shipping/protocol.ts";
import type { CallTelemetry } from "../telemetry/call_telemetry.ts";
import { type Logger, newLogger } from "../telemetry/log.ts";
import { type Metrics, newMetrics } from "../telemetry/metrics.ts";
import { newObserve } from "../telemetry/observe.ts";
import type { UpstreamTable } from "../upstream/upstream_table.ts";
import type { Budget } from "../wire/budget.ts";
import type { Limiting } from "./limiting.ts";
import type { Listener } from "./listener.ts";
import type { ServerSystem } from "./system.ts";
import type { Live } from "./upstream_parts.ts";
import { VERSION } from "./version.ts";
import { secretsOfUpstream } from "../domain/upstream.ts";

/**
 * The parts that the metrics look at; the log and the metrics exist before some of them. A part
 * that this process does not have counts as 0: the metrics of a machine are sums over its
 * processes.
 */
export interface Gauged {
  traffic?: Traffic;
  budget?: Budget;
  ledger?: Ledger;
  listener?: Listener;
  /** Of the machine. */
  readiness?: () => Readiness;
  /** On the volume of the data directory; null if the system does not tell. */
  freeBytes?: () => number | null;
  shipping?: () => ShippingState;
  batches?: BatchAccounts | null;
  limiting?: Limiting;
  credentials?: UpstreamTable;
  workers?: { readonly running: () => number; readonly restarts: () => number };
}

/** A run of a process that serves calls. */
interface Run {
  readonly instanceId: string;
  /** Its number, if it is one of several. */
  readonly worker: number | null;
}

interface InstrumentsParts {
  readonly live: Live;
  readonly gauged: Gauged;
  /** Null: no call ends in this process. */
  readonly run: Run | null;
}

export interface Instruments {
  readonly metrics: Metrics;
  readonly observe: Observe;
  /** Sends the last telemetry, within a bound, and stops. */
  readonly end: () => Promise<void>;
}

/** The log, the metrics and the telemetry, one of each per process. */
export async function instruments(
  config: Pick<Config, "logLevel" | "forwardProxies" | "limits" | "telemetry" | "upstream">,
  system: Pick<ServerSystem, "now" | "elapsed" | "writeLog" | "logLinesDropped">,
  { live, gauged, run }: InstrumentsParts,
): Promise<Instruments> {
  const { now, elapsed } = system;
  const { http, https } = config.forwardProxies;
  const secretsNow = () => [
    ...live.secrets.upstreams.flatMap(secretsOfUpstream),
    live.adminToken(),
    live.secrets.viewerToken ?? "",
    live.secrets.oidcClientSecret ?? "",
    live.secrets.databaseUrl ?? "",
    live.secrets.webhookSecret ?? "",
    ...secretsIn(live.secrets.telemetryHeaders),
    config.limits.webhookUrl ?? "",
    http?.credentials?.password ?? "",
    https?.credentials?.password ?? "",
  ];
  // Each line of the log asks for them; a reload replaces `live.secrets`.
  const list = () => ({ of: live.secrets, adminToken: live.adminToken(), secrets: secretsNow() });
  let listed = list();
  const secrets = () => {
    if (listed.of !== live.secrets || listed.adminToken !== live.adminToken()) listed = list();
    return listed.secrets;
  };
  const logger = newLogger(config.logLevel, { write: system.writeLog, now, secrets });
  const shipping = () => gauged.shipping?.();
  const batches = () => gauged.batches?.state;
  const metrics = newMetrics({
    gauges: {
      ready: () => gauged.readiness === undefined || gauged.readiness().status === "unavailable" ? 0 : 1,
      degraded: () => gauged.readiness?.().status === "degraded" ? 1 : 0,
      // One process tells it for the machine.
      clock: () => gauged.readiness === undefined ? 0 : now() / 1000,
      connections: () => gauged.listener?.connections() ?? 0,
      mostConnections: () => gauged.listener?.maxConnections ?? 0,
      spoolFill: () => gauged.ledger === undefined ? 0 : fillOf(gauged.ledger),
      freeDisk: () => gauged.freeBytes === undefined ? 0 : gauged.freeBytes() ?? Number.NaN,
      inFlight: () => gauged.traffic?.inFlight ?? 0,
      openRows: () => gauged.ledger?.openCount() ?? 0,
      bufferedBytes: () => gauged.budget?.heldBytes ?? 0,
      ledgerTrouble: () => (gauged.ledger?.trouble() ?? null) === null ? 0 : 1,
      ledgerBytes: () => gauged.ledger?.usedBytes() ?? 0,
      unshippedRows: () => shipping()?.rows ?? 0,
      oldestUnshippedSeconds: () => Math.max(now() - (shipping()?.oldestCreatedAt ?? now()), 0) / 1000,
      quarantinedRows: () => shipping()?.quarantined ?? 0,
      shippedRows: () => shipping()?.shipped ?? 0,
      shipErrors: () => shipping()?.errors ?? 0,
      limits: () => gauged.limiting?.known().length ?? 0,
      limitsAlone: () => gauged.limiting?.admissions.isAlone ? 1 : 0,
      callsWaiting: () => gauged.limiting?.admissions.waiting ?? 0,
      batchesWaiting: () => batches()?.waiting ?? 0,
      batchLines: () => batches()?.lines ?? 0,
      batchErrors: () => batches()?.errors ?? 0,
      batchesLost: () => batches()?.lost ?? 0,
      logLinesDropped: system.logLinesDropped,
      upstreamWaiting: () => gauged.credentials?.state.waiting ?? 0,
      upstreamHolds: () => gauged.credentials?.state.holds ?? 0,
      workers: () => gauged.workers?.running() ?? 0,
      workerRestarts: () => gauged.workers?.restarts() ?? 0,
    },
    credentialsOut: () => gauged.credentials?.state.isOut ?? new Map(),
    outages: () => gauged.credentials?.state.outages ?? new Map(),
    rooms: () => gauged.credentials?.state.rooms ?? new Map(),
    version: VERSION,
    elapsed,
  });
  const telemetry = run === null ? null : await telemetryOf(config, { ...run, live, now, secrets, logger, metrics });
  return {
    metrics,
    observe: newObserve({ logger, metrics, telemetry, elapsed }),
    async end() {
      metrics.end();
      await telemetry?.end();
    },
  };
}

/** The packages of OpenTelemetry are loaded only if they are used. */
async function telemetryOf(
  { telemetry, upstream: { caCertificates } }: Pick<Config, "telemetry" | "upstream">,
  { logger, metrics, live, ...parts }: Run & {
    readonly live: Live;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly now: () => number;
    readonly secrets: () => readonly string[];
  },
): Promise<CallTelemetry | null> {
  if (telemetry === null) return null;
  const { startTelemetry } = await import("../telemetry/otel/start.ts");
  return startTelemetry(telemetry, {
    ...parts,
    version: VERSION,
    caCertificates,
    headers: () => live.secrets.telemetryHeaders,
    note: logger.log,
    spansLost: metrics.spansLost,
  });
}

/** A key, not a word such as `prod`: the log would lose that word everywhere. */
const SHORTEST_KEY = 8;

/** Keys in the headers for a receiver: each word of a value, as in `Bearer abc`. */
function secretsIn({ traces, metrics }: TelemetryHeaders): readonly string[] {
  return [...Object.values(traces), ...Object.values(metrics)].flatMap((value) => value.split(" "))
    .filter((word) => word.length >= SHORTEST_KEY);
}

/** Nothing is left if the volume has less than what calls must leave alone. */
function fillOf({ usedBytes, boundBytes }: Ledger): number {
  return boundBytes() <= 0 ? 1 : Math.min(usedBytes() / boundBytes(), 1);
}
