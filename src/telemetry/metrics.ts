import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { type FaultCode, FAULTS } from "../domain/fault.ts";
import type { LookupOutcome } from "../domain/observe.ts";
import type { UsageReading } from "../domain/reading.ts";
import type { Closing } from "../domain/usage.ts";
import { watchEventLoop } from "./event_loop.ts";
import { ModelLabels } from "./model_labels.ts";

/** Read at each scrape. */
export interface Gauges {
  readonly inFlight: () => number;
  readonly openRows: () => number;
  readonly bufferedBytes: () => number;
  /** 1 where calls cannot be recorded, else 0. */
  readonly ledgerTrouble: () => number;
  readonly ledgerBytes: () => number;
  /** Of shipping to the shared database; zeros where there is none. */
  readonly unshippedRows: () => number;
  readonly oldestUnshippedSeconds: () => number;
  readonly quarantinedRows: () => number;
  readonly shippedRows: () => number;
  readonly shipErrors: () => number;
  /** Of the accounting of message batches. */
  readonly batchesWaiting: () => number;
  readonly batchLines: () => number;
  readonly batchErrors: () => number;
  readonly batchesLost: () => number;
  readonly logLinesDropped: () => number;
}

export interface MetricsOptions {
  readonly gauges: Gauges;
  /** The program's own. */
  readonly version: string;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
}

/** Prometheus metrics. No label is ever a client's words. */
export interface Metrics {
  readonly callEnded: (
    closing: Closing,
    more: { readonly streaming: boolean; readonly overheadMs: number; readonly isRecorded: boolean },
  ) => void;
  readonly unpriced: (model: string | null) => void;
  readonly partlyPriced: (model: string | null) => void;
  readonly absurdUsage: (model: string | null) => void;
  readonly refused: (fault: FaultCode) => void;
  /** `route` is one of the proxy's own names. */
  readonly passed: (route: string, status: number) => void;
  readonly lookedUp: (authority: "agentserver" | "local", outcome: LookupOutcome) => void;
  readonly credentialRefused: () => void;
  /** The text exposition format (https://prometheus.io/docs/instrumenting/exposition_formats/). */
  readonly text: () => Promise<{ readonly text: string; readonly contentType: string }>;
  /** Stops the watch over the event loop. */
  readonly end: () => void;
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

/** Upper bounds in seconds. */
const TTFT_BUCKETS = [0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 8, 12, 20, 30, 60, 120];
const DURATION_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200];
const OVERHEAD_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const DELAY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2];

/** A registry of its own, with what it must show from the start at zero, so that a first event is a step and not a gap. */
export function newMetrics({ gauges, version, elapsed }: MetricsOptions): Metrics {
  const registry = new Registry();
  const models = new ModelLabels();
  const { calls, unrecorded, cost, unpriced, partlyPriced, absurd, tokens, ttft, duration, overhead } = callMetrics(registry);
  const { refusals, passed, lookups, unauthorized } = edgeMetrics(registry);
  processGauges(registry, { gauges, version, elapsed });
  const delay = histogram(registry, "event_loop_delay_seconds", {
    help: "How late a timer came: so long the event loop served nobody.",
    buckets: DELAY_BUCKETS,
  });
  const endWatch = watchEventLoop(elapsed, (seconds) => delay.observe(seconds));
  return {
    callEnded(
      { outcome, status, reading, duration: durationMs, ttft: ttftMs, cost: nanoDollars },
      { streaming, overheadMs, isRecorded },
    ) {
      if (!isRecorded) unrecorded.inc();
      const model = models.labelOf(reading.servedModel);
      calls.inc({ outcome, status: statusLabel(status), model });
      for (const [kind, countOf] of Object.entries(TOKEN_KINDS)) {
        const count = countOf(reading);
        if (count > 0) tokens.inc({ kind, model }, count);
      }
      if (nanoDollars !== null && nanoDollars > 0) cost.inc({ model }, nanoDollars / NANO);
      if (ttftMs !== null) ttft.observe(ttftMs / 1000);
      if (durationMs !== null) duration.observe({ streaming: String(streaming) }, durationMs / 1000);
      overhead.observe(Math.max(overheadMs, 0) / 1000);
    },
    unpriced: (model) => unpriced.inc({ model: models.labelOf(model) }),
    partlyPriced: (model) => partlyPriced.inc({ model: models.labelOf(model) }),
    absurdUsage: (model) => absurd.inc({ model: models.labelOf(model) }),
    refused: (fault) => refusals.inc({ fault }),
    passed: (route, status) => passed.inc({ route, status: statusLabel(status) }),
    lookedUp: (authority, outcome) => lookups.inc({ authority, outcome }),
    credentialRefused: () => unauthorized.inc(),
    text: async () => ({ text: await registry.metrics(), contentType: registry.contentType }),
    end: endWatch,
  };
}

function callMetrics(registry: Registry) {
  return {
    calls: counter(registry, "calls_total", {
      help: "Billed calls that went upstream and have ended, by outcome, upstream status and served model.",
      labelNames: ["outcome", "status", "model"],
    }),
    unrecorded: counter(registry, "unrecorded_calls_total", {
      help: "Calls served without a row, because the spool is full and LLMPROXY_SPOOL_FULL says so.",
      labelNames: [],
    }),
    cost: counter(registry, "cost_usd_total", {
      help: "US dollars of the calls that have a price, by served model. For bills ask /internal/usage, which is exact.",
      labelNames: ["model"],
    }),
    unpriced: counter(registry, "unpriced_calls_total", { help: "Calls that have no price, by model.", labelNames: ["model"] }),
    partlyPriced: counter(registry, "partly_priced_calls_total", {
      help: "Calls of which some uses have no price and are not in their cost, by served model.",
      labelNames: ["model"],
    }),
    absurd: counter(registry, "absurd_usage_calls_total", {
      help: "Calls whose upstream named a token count that cannot be true, so that nothing is known of them, by served model.",
      labelNames: ["model"],
    }),
    tokens: counter(registry, "tokens_total", {
      help: "Tokens of ended calls, exact and estimated, by kind and served model.",
      labelNames: ["kind", "model"],
    }),
    ttft: histogram(registry, "time_to_first_token_seconds", {
      help: "From a billed call's admission to its first content.",
      buckets: TTFT_BUCKETS,
    }),
    duration: histogram(registry, "call_duration_seconds", {
      help: "From a billed call's admission to its last byte.",
      buckets: DURATION_BUCKETS,
      labelNames: ["streaming"],
    }),
    overhead: histogram(registry, "overhead_seconds", {
      help: "What the proxy itself added to a billed call.",
      buckets: OVERHEAD_BUCKETS,
    }),
  };
}

function edgeMetrics(registry: Registry) {
  const refusals = counter(registry, "refusals_total", { help: "What the proxy itself said no with.", labelNames: ["fault"] });
  for (const fault of Object.keys(FAULTS)) refusals.inc({ fault }, 0);
  const lookups = counter(registry, "authority_lookups_total", {
    help: "Look-ups of proxy tokens, by who was asked and how it ended; cached and grace asked nobody.",
    labelNames: ["authority", "outcome"],
  });
  for (const authority of AUTHORITIES) for (const outcome of OUTCOMES) lookups.inc({ authority, outcome }, 0);
  return {
    refusals,
    lookups,
    passed: counter(registry, "passed_calls_total", {
      help: "Calls that were passed on and have no usage row, by the proxy's route and upstream status.",
      labelNames: ["route", "status"],
    }),
    unauthorized: counter(registry, "upstream_unauthorized_total", {
      help: "Upstream 401s: the operator's own credential is bad.",
      labelNames: [],
    }),
  };
}

function processGauges(registry: Registry, { gauges, version, elapsed }: MetricsOptions): void {
  const startedAt = elapsed();
  const rows: readonly (readonly [string, string, () => number])[] = [
    ["calls_in_flight", "Calls whose last byte or row is still to come.", gauges.inFlight],
    ["open_rows", "Usage rows that are open.", gauges.openRows],
    ["buffered_bytes", "Bytes of request bodies that are held in memory.", gauges.bufferedBytes],
    ["ledger_trouble", "1 where calls cannot be recorded, else 0.", gauges.ledgerTrouble],
    ["ledger_bytes", "What the records of this machine take of its disk.", gauges.ledgerBytes],
    ["unshipped_rows", "Closed rows that the shared database does not have yet.", gauges.unshippedRows],
    [
      "oldest_unshipped_seconds",
      "Age of the oldest of them: how far the shared database is behind.",
      gauges.oldestUnshippedSeconds,
    ],
    ["quarantined_rows", "Rows that the shared database rejects because of their contents.", gauges.quarantinedRows],
    ["batches_waiting", "Message batches whose lines are still to be recorded, of all replicas.", gauges.batchesWaiting],
    ["resident_memory_bytes", "Resident memory of the process.", () => Deno.memoryUsage().rss],
    ["heap_used_bytes", "JavaScript heap in use.", () => Deno.memoryUsage().heapUsed],
    ["uptime_seconds", "Since the process began to serve.", () => (elapsed() - startedAt) / 1000],
  ];
  for (const [name, help, read] of rows) {
    new Gauge({
      name: `llmproxy_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(readSafely(read));
      },
    });
  }
  const totals: readonly (readonly [string, string, () => number])[] = [
    ["shipped_rows_total", "Rows that have been shipped to the shared database, repeated ones too.", gauges.shippedRows],
    ["ship_errors_total", "Tries to ship that failed for the state of the shared database.", gauges.shipErrors],
    ["batch_lines_total", "Lines of message batches that were recorded, repeated ones too.", gauges.batchLines],
    ["batch_errors_total", "Tries to read a message batch that failed.", gauges.batchErrors],
    ["batches_lost_total", "Message batches that were gone before their usage could be read.", gauges.batchesLost],
    ["log_lines_dropped_total", "Log lines that were dropped because nobody read stdout.", gauges.logLinesDropped],
  ];
  for (const [name, help, read] of totals) {
    new Counter({
      name: `llmproxy_${name}`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(readSafely(read) || 0);
      },
    });
  }
  const labels = { version, deno: Deno.version.deno };
  const build = new Gauge({
    name: "llmproxy_build_info",
    help: "Always 1; the labels say what runs.",
    labelNames: Object.keys(labels),
    registers: [registry],
  });
  build.set(labels, 1);
}

/** One gauge that cannot be read must not cost the others. */
function readSafely(read: () => number): number {
  try {
    return read();
  } catch {
    return Number.NaN;
  }
}

function counter<L extends string>(
  registry: Registry,
  name: string,
  options: { readonly help: string; readonly labelNames: readonly L[] },
): Counter<L> {
  return new Counter({ ...options, name: `llmproxy_${name}`, registers: [registry] });
}

function histogram<L extends string = never>(
  registry: Registry,
  name: string,
  options: { readonly help: string; readonly buckets: number[]; readonly labelNames?: readonly L[] },
): Histogram<L> {
  return new Histogram({ ...options, name: `llmproxy_${name}`, registers: [registry] });
}

function statusLabel(status: number | null): string {
  return status === null ? "none" : String(status);
}
