import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from "prom-client";
import { type FaultCode, FAULTS } from "../domain/fault.ts";
import type { LookupOutcome } from "../domain/observe.ts";
import type { Sample } from "../domain/operations.ts";
import type { UsageReading } from "../domain/reading.ts";
import { cutClientString } from "../domain/text.ts";
import type { Closing, OpenCall } from "../domain/usage.ts";

/** Each row: the name, its help. Those about shipping are 0 without a shared database. */
const GAUGES = {
  ready: ["ready", "1 if /readyz answers 200, otherwise 0."],
  degraded: ["degraded", "1 if /readyz says degraded: calls are served, but an operator should look; otherwise 0."],
  clock: ["clock_seconds", "The machine's clock, in seconds since the epoch."],
  connections: ["connections", "Connections of clients that are open."],
  mostConnections: ["connections_max", "How many may be open: LLMPROXY_MAX_CONNECTIONS, or what the open-file limit allows."],
  spoolFill: ["spool_fill", "How full the spool is, from 0 to 1; of several the fullest. At 1 it takes no more calls."],
  freeDisk: ["disk_free_bytes", "Free space on the volume of the data directory."],
  inFlight: ["calls_in_flight", "Calls that have not sent their last byte or written their row yet."],
  openRows: ["open_rows", "Usage rows of calls that have not ended."],
  bufferedBytes: ["buffered_bytes", "Bytes of request bodies held in memory."],
  ledgerTrouble: ["ledger_trouble", "1 if calls cannot be recorded, otherwise 0."],
  ledgerBytes: ["ledger_bytes", "Disk space that the records on this machine take."],
  unshippedRows: ["unshipped_rows", "Closed rows that are not in the shared database yet."],
  oldestUnshippedSeconds: ["oldest_unshipped_seconds", "Age of the oldest unshipped row."],
  quarantinedRows: ["quarantined_rows", "Rows that the shared database refused because of what they hold."],
  upstreamWaiting: ["upstream_waiting_calls", "Calls that wait because the upstream's rate limit is reached."],
  upstreamHolds: ["upstream_rate_limits", "Models of a credential whose rate limit is reached."],
  workers: ["workers", "Processes that serve calls, as many as LLMPROXY_WORKERS says if all is well."],
  limits: ["limits", "Limits in force, without those of the settings."],
  limitsAlone: ["limits_alone", "1 if limits hold for this machine alone, because the store does not answer; otherwise 0."],
  callsWaiting: ["calls_waiting", "Calls that wait for a place among those that run (concurrent)."],
  batchesWaiting: ["batches_waiting", "Message batches, of all replicas, whose usage is not recorded yet."],
} as const;

const TOTALS = {
  shippedRows: ["shipped_rows_total", "Rows sent to the shared database, repeated ones included."],
  shipErrors: ["ship_errors_total", "Attempts to ship that failed because of the shared database."],
  batchLines: ["batch_lines_total", "Message batch results recorded, repeated ones included."],
  batchErrors: ["batch_errors_total", "Failed attempts to read a message batch."],
  batchesLost: ["batches_lost_total", "Message batches that were deleted before the proxy could read their usage."],
  workerRestarts: ["worker_restarts_total", "Processes that died and were started again; LLMPROXY_WORKERS is above 1."],
  logLinesDropped: ["log_lines_dropped_total", "Log lines dropped because nothing reads stdout."],
} as const;

/** Each row: the name, its labels, its help. */
const COUNTERS = {
  calls: [
    "calls_total",
    ["outcome", "status", "model", "upstream"],
    "Ended billed calls, by outcome, upstream status, served model and upstream.",
  ],
  unrecorded: ["unrecorded_calls_total", [], "Calls served without a row: the spool is full and LLMPROXY_SPOOL_FULL is serve."],
  cost: ["cost_usd_total", ["model"], "US dollars of priced calls, by served model. For bills ask /internal/usage: it is exact."],
  unpriced: ["unpriced_calls_total", ["model"], "Calls that have no price, by model."],
  partlyPriced: ["partly_priced_calls_total", ["model"], "Calls whose cost lacks some uses that have no price, by served model."],
  absurd: ["absurd_usage_calls_total", ["model"], "Calls whose upstream sent impossible token counts, by served model."],
  tokens: ["tokens_total", ["kind", "model"], "Tokens of ended calls, exact and estimated, by kind and served model."],
  refusals: ["refusals_total", ["fault"], "Requests that the proxy itself refused, by fault."],
  lookups: [
    "authority_lookups_total",
    ["authority", "outcome"],
    "Checks of proxy tokens, by authority and outcome. cached and grace did not ask the authority.",
  ],
  passed: ["passed_calls_total", ["route", "status"], "Calls passed on without a usage row, by route and upstream status."],
  lostSpans: ["lost_spans_total", [], "Spans that were dropped, because the receiver of telemetry did not take them."],
  unauthorized: [
    "upstream_unauthorized_total",
    [],
    "Upstream 401s, and AWS's 403s like them: the operator's own credential is bad.",
  ],
} as const;

/** Each row: the name, its labels, the upper bounds in seconds, its help. */
const HISTOGRAMS = {
  ttft: [
    "time_to_first_token_seconds",
    [],
    [0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 8, 12, 20, 30, 60, 120],
    "From a billed call's admission to its first content.",
  ],
  duration: [
    "call_duration_seconds",
    ["streaming"],
    [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200],
    "From a billed call's admission to its last byte.",
  ],
  overhead: [
    "overhead_seconds",
    [],
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    "Time that the proxy itself added to a billed call.",
  ],
  delay: [
    "event_loop_delay_seconds",
    [],
    [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2],
    "How late a timer fired: for that long the event loop was blocked.",
  ],
} as const;

/** Read at each scrape. */
export type Gauges = Readonly<Record<keyof typeof GAUGES | keyof typeof TOTALS, () => number>>;

export interface MetricsOptions {
  readonly gauges: Gauges;
  /** By the credential's id: whether it is out of use. */
  readonly credentialsOut: () => ReadonlyMap<string, boolean>;
  /** By the credential's id: why it is out of use, and when it is tried again. */
  readonly outages: () => ReadonlyMap<string, { readonly why: string; readonly retryInMs: number }>;
  /** By the credential's id and the kind of the upstream's limit: the share that is left. */
  readonly rooms: () => ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** The program's own. */
  readonly version: string;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
}

const TOKEN_KINDS: Readonly<Record<string, (reading: UsageReading) => number>> = {
  input: (reading) => reading.inputTokens,
  output: (reading) => reading.outputTokens,
  cache_creation: (reading) => reading.cacheCreationInputTokens,
  cache_read: (reading) => reading.cacheReadInputTokens,
};
const AUTHORITIES = ["agentserver", "local"] as const;
const OUTCOMES = ["cached", "known", "unknown", "grace", "unavailable"] as const satisfies readonly LookupOutcome[];
const NANO = 1e9;
const PREFIX = "llmproxy_";

/** Prometheus metrics in a registry of their own. No label is ever a client's words. */
export type Metrics = ReturnType<typeof newMetrics>;

export function newMetrics({ gauges, credentialsOut, outages, rooms, version, elapsed }: MetricsOptions) {
  const registry = new Registry();
  const models = new ModelLabels();
  const counters = countersIn(registry);
  const { ttft, duration, overhead, delay } = histogramsIn(registry);
  gaugesIn(registry, { gauges, version, elapsed });
  credentialGaugesIn(registry, { credentialsOut, outages, rooms });
  const authorities = authorityGaugesIn(registry, elapsed);
  // At zero from the start, so that a first event is a step and not a gap.
  for (const fault of Object.keys(FAULTS)) counters.refusals.inc({ fault }, 0);
  for (const authority of AUTHORITIES) for (const outcome of OUTCOMES) counters.lookups.inc({ authority, outcome }, 0);
  return {
    callEnded(
      closing: Closing,
      call: Pick<OpenCall, "streaming" | "upstream"> & { readonly overheadMs: number; readonly isRecorded: boolean },
    ) {
      if (!call.isRecorded) counters.unrecorded.inc();
      const model = models.labelOf(closing.reading.servedModel);
      const upstream = call.upstream ?? "";
      counters.calls.inc({ outcome: closing.outcome, status: statusLabel(closing.status), model, upstream });
      for (const [kind, countOf] of Object.entries(TOKEN_KINDS)) {
        const count = countOf(closing.reading);
        if (count > 0) counters.tokens.inc({ kind, model }, count);
      }
      if (closing.cost !== null && closing.cost > 0) counters.cost.inc({ model }, closing.cost / NANO);
      if (closing.ttft !== null) ttft.observe(closing.ttft / 1000);
      if (closing.duration !== null) duration.observe({ streaming: String(call.streaming) }, closing.duration / 1000);
      overhead.observe(Math.max(call.overheadMs, 0) / 1000);
    },
    unpriced: (model: string | null) => counters.unpriced.inc({ model: models.labelOf(model) }),
    partlyPriced: (model: string | null) => counters.partlyPriced.inc({ model: models.labelOf(model) }),
    absurdUsage: (model: string | null) => counters.absurd.inc({ model: models.labelOf(model) }),
    refused: (fault: FaultCode) => counters.refusals.inc({ fault }),
    /** `route` is one of the proxy's own names. */
    passed: (route: string, status: number) => counters.passed.inc({ route, status: statusLabel(status) }),
    lookedUp(authority: "agentserver" | "local", outcome: LookupOutcome) {
      counters.lookups.inc({ authority, outcome });
      if (outcome === "known" || outcome === "unknown") authorities.answered(authority);
      if (outcome === "unavailable") authorities.failed(authority);
    },
    spansLost: (count: number) => counters.lostSpans.inc(count),
    credentialRefused: () => counters.unauthorized.inc(),
    /** For the process that has the machine's metrics. */
    snapshot: (): Promise<MetricsSnapshot> => registry.getMetricsAsJSON(),
    /**
     * https://prometheus.io/docs/instrumenting/exposition_formats/
     * `others`: of the machine's other processes.
     */
    async text(others: readonly MetricsSnapshot[] = []) {
      const all = others.length === 0 ? registry : sumOf([await registry.getMetricsAsJSON(), ...others]);
      return { text: await all.metrics(), contentType: registry.contentType };
    },
    /** What `text` has, without histograms. */
    async samples(others: readonly MetricsSnapshot[] = []): Promise<readonly Sample[]> {
      const all = sumOf([await registry.getMetricsAsJSON(), ...others]);
      const counted = (await all.getMetricsAsJSON()).filter(({ type }) => String(type) !== "histogram");
      return counted.flatMap(({ name, values }) =>
        values.map(({ labels, value }) => ({ name: name.slice(PREFIX.length), labels: labels as Sample["labels"], value }))
      );
    },
    /** Stops watching the event loop. */
    end: watchEventLoop({ elapsed, inFlight: gauges.inFlight, tell: (seconds) => delay.observe(seconds) }),
  };
}

/** A process's metrics at one moment, as JSON. */
export type MetricsSnapshot = readonly { readonly name: string; readonly type: unknown }[];

/** The sums of what was counted. Gauges tell how a process is, so they are left out. */
export function countsOf(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  return sumOf(snapshots.map((snapshot) => snapshot.filter(({ type }) => type !== "gauge"))).getMetricsAsArray();
}

/** Gauges that say how to add them up are added up so, and all else is summed. */
function sumOf(snapshots: readonly MetricsSnapshot[]) {
  return AggregatorRegistry.aggregate([...snapshots]);
}

type Counters = { readonly [K in keyof typeof COUNTERS]: Counter<(typeof COUNTERS)[K][1][number]> };
type Histograms = { readonly [K in keyof typeof HISTOGRAMS]: Histogram<(typeof HISTOGRAMS)[K][1][number]> };

function countersIn(registry: Registry): Counters {
  const all = Object.entries(COUNTERS).map(([key, [name, labelNames, help]]) => {
    return [key, new Counter({ name: PREFIX + name, labelNames, help, registers: [registry] })];
  });
  return Object.fromEntries(all);
}

function histogramsIn(registry: Registry): Histograms {
  const all = Object.entries(HISTOGRAMS).map(([key, [name, labelNames, buckets, help]]) => {
    return [key, new Histogram({ name: PREFIX + name, labelNames, buckets: [...buckets], help, registers: [registry] })];
  });
  return Object.fromEntries(all);
}

function gaugesIn(
  registry: Registry,
  { gauges, version, elapsed }: Pick<MetricsOptions, "gauges" | "version" | "elapsed">,
): void {
  const startedAt = elapsed();
  const rows: (readonly [name: string, help: string, read: () => number])[] = [
    ["resident_memory_bytes", "Resident memory of all processes.", () => Deno.memoryUsage().rss],
    ["heap_used_bytes", "JavaScript heap in use.", () => Deno.memoryUsage().heapUsed],
    ["uptime_seconds", "Seconds since the process began to serve.", () => (elapsed() - startedAt) / 1000],
  ];
  for (const [key, [name, help]] of Object.entries(GAUGES)) rows.push([name, help, gauges[key as keyof Gauges]]);
  for (const [name, help, read] of rows) {
    new Gauge({
      name: PREFIX + name,
      help,
      aggregator: NOT_SUMMED.includes(name) ? "max" : "sum",
      registers: [registry],
      collect() {
        this.set(readSafely(read));
      },
    });
  }
  for (const [key, [name, help]] of Object.entries(TOTALS)) {
    new Counter({
      name: PREFIX + name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(readSafely(gauges[key as keyof Gauges]) || 0);
      },
    });
  }
  const labels = { version, deno: Deno.version.deno };
  const help = "Always 1; the labels tell the versions.";
  new Gauge({ name: "llmproxy_build_info", help, labelNames: Object.keys(labels), aggregator: "max", registers: [registry] })
    .set(labels, 1);
}

function credentialGaugesIn(
  registry: Registry,
  { credentialsOut, outages, rooms }: Pick<MetricsOptions, "credentialsOut" | "outages" | "rooms">,
): void {
  new Gauge({
    name: "llmproxy_credential_out",
    help: "1 if the upstream refuses the credential or it has no credit, and the others are used; otherwise 0.",
    labelNames: ["credential"],
    aggregator: "max",
    registers: [registry],
    collect() {
      this.reset();
      for (const [credential, isOut] of credentialsOut()) this.set({ credential }, isOut ? 1 : 0);
    },
  });
  new Gauge({
    name: "llmproxy_credential_retry_seconds",
    help: "Seconds until a credential that is out of use is tried again; why says what is wrong: refused or no_credit.",
    labelNames: ["credential", "why"],
    aggregator: "min",
    registers: [registry],
    collect() {
      this.reset();
      for (const [credential, { why, retryInMs }] of outages()) this.set({ credential, why }, Math.max(retryInMs, 0) / 1000);
    },
  });
  new Gauge({
    name: "llmproxy_upstream_room",
    help: "The share of an upstream rate limit that was left, from 0 to 1: the least that an answer of the last minute said.",
    labelNames: ["credential", "limit"],
    aggregator: "min",
    registers: [registry],
    collect() {
      this.reset();
      for (const [credential, kinds] of rooms()) for (const [limit, share] of kinds) this.set({ credential, limit }, share);
    },
  });
}

/** How long ago each authority last answered, and last could not be asked. */
function authorityGaugesIn(registry: Registry, elapsed: () => number) {
  const ageGauge = (name: string, help: string) => {
    const at = new Map<string, number>();
    new Gauge({
      name: PREFIX + name,
      help,
      labelNames: ["authority"],
      aggregator: "min",
      registers: [registry],
      collect() {
        for (const [authority, then] of at) this.set({ authority }, (elapsed() - then) / 1000);
      },
    });
    return (authority: string) => void at.set(authority, elapsed());
  };
  return {
    answered: ageGauge("authority_answer_age_seconds", "Seconds since the authority last answered a check of a token."),
    failed: ageGauge("authority_failure_age_seconds", "Seconds since a check of a token last got no answer."),
  };
}

/** Of several processes the largest counts. */
const NOT_SUMMED = ["uptime_seconds", "ledger_trouble", "spool_fill"];

/** A gauge that cannot be read must not cost the others. */
function readSafely(read: () => number): number {
  try {
    return read();
  } catch {
    return Number.NaN;
  }
}

function statusLabel(status: number | null): string {
  return status === null ? "none" : String(status);
}

/** Each model costs a time series for every combination of the other labels. */
export const MAX_MODEL_LABELS = 100;

/** Gives the first `MAX_MODEL_LABELS` models that the upstream served a label of their own. */
export class ModelLabels {
  readonly #seen = new Set<string>();

  /** The model itself; `none` if no answer named one; `other` from the hundred-and-first on. */
  labelOf(servedModel: string | null): string {
    if (servedModel === null || servedModel === "") return "none";
    const model = cutClientString(servedModel);
    if (this.#seen.has(model)) return model;
    if (this.#seen.size >= MAX_MODEL_LABELS) return "other";
    this.#seen.add(model);
    return model;
  }
}

/** A shorter stall may fall between two looks. */
const LOOK_EVERY_MS = 25;
/** Without calls no one waits, and looking costs an idle proxy a hundredth of a core. */
const IDLE_LOOK_EVERY_MS = 500;

interface Watch {
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
  readonly inFlight: () => number;
  readonly tell: (delaySeconds: number) => void;
}

/**
 * Tells how late a timer fires, in seconds. Returns a function that stops it. (Deno's
 * `monitorEventLoopDelay` does not measure stalls.)
 */
function watchEventLoop({ elapsed, inFlight, tell }: Watch): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;

  function lookAgain(): void {
    const pauseMs = inFlight() > 0 ? LOOK_EVERY_MS : IDLE_LOOK_EVERY_MS;
    const due = elapsed() + pauseMs;
    timer = setTimeout(() => {
      tell(Math.max(elapsed() - due, 0) / 1000);
      lookAgain();
    }, pauseMs);
    Deno.unrefTimer(timer);
  }

  lookAgain();
  return () => clearTimeout(timer);
}
