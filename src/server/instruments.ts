import type { BatchAccounts } from "../batches/accounts.ts";
import type { Traffic } from "../call/traffic.ts";
import type { Config } from "../config/config.ts";
import type { Ledger } from "../domain/ledger.ts";
import type { Observe } from "../domain/observe.ts";
import type { ShippingState } from "../stores/shipping/protocol.ts";
import { newLogger } from "../telemetry/log.ts";
import { type Metrics, newMetrics } from "../telemetry/metrics.ts";
import { newObserve } from "../telemetry/observe.ts";
import type { CredentialPool } from "../upstream/credential_pool.ts";
import type { Budget } from "../wire/budget.ts";
import type { Limiting } from "./limiting.ts";
import type { ServerSystem } from "./system.ts";
import type { Live } from "./upstream_parts.ts";
import { VERSION } from "./version.ts";

/**
 * The parts that the metrics look at; the log and the metrics exist before some of them. A part
 * that this process does not have counts as 0: the metrics of a machine are sums over its
 * processes.
 */
export interface Gauged {
  traffic?: Traffic;
  budget?: Budget;
  ledger?: Ledger;
  shipping?: () => ShippingState;
  batches?: BatchAccounts | null;
  limiting?: Limiting;
  credentials?: CredentialPool;
  workers?: { readonly running: () => number; readonly restarts: () => number };
}

/** The log and the metrics, one of each per process. */
export function instruments(
  config: Pick<Config, "logLevel" | "forwardProxies" | "limits">,
  system: Pick<ServerSystem, "now" | "elapsed" | "writeLog" | "logLinesDropped">,
  { live, gauged }: { readonly live: Live; readonly gauged: Gauged },
): { readonly metrics: Metrics; readonly observe: Observe } {
  const { now, elapsed } = system;
  const { http, https } = config.forwardProxies;
  const logger = newLogger(config.logLevel, {
    write: system.writeLog,
    now,
    secrets: () => [
      ...live.secrets.credentials.map(({ secret }) => secret),
      live.adminToken(),
      live.secrets.viewerToken ?? "",
      live.secrets.oidcClientSecret ?? "",
      live.secrets.databaseUrl ?? "",
      live.secrets.webhookSecret ?? "",
      config.limits.webhookUrl ?? "",
      http?.credentials?.password ?? "",
      https?.credentials?.password ?? "",
    ],
  });
  const shipping = () => gauged.shipping?.();
  const batches = () => gauged.batches?.state;
  const metrics = newMetrics({
    gauges: {
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
    version: VERSION,
    elapsed,
  });
  return { metrics, observe: newObserve({ logger, metrics, elapsed }) };
}
