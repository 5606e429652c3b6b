import assert from "node:assert/strict";
import { waitFor } from "../../tests/wait.ts";
import { FAULTS } from "../domain/fault.ts";
import { EMPTY_READING } from "../domain/reading.ts";
import type { Closing } from "../domain/usage.ts";
import {
  countsOf,
  type Gauges,
  MAX_MODEL_LABELS,
  type Metrics,
  type MetricsOptions,
  type MetricsSnapshot,
  ModelLabels,
  newMetrics,
} from "./metrics.ts";

const GAUGES: Gauges = {
  ready: () => 1,
  degraded: () => 0,
  clock: () => 1_800_000_000,
  connections: () => 21,
  mostConnections: () => 22,
  spoolFill: () => 0.25,
  freeDisk: () => 23,
  inFlight: () => 3,
  openRows: () => 2,
  bufferedBytes: () => 1_024,
  ledgerTrouble: () => 1,
  ledgerBytes: () => 8_192,
  unshippedRows: () => 5,
  oldestUnshippedSeconds: () => 1.5,
  quarantinedRows: () => 4,
  shippedRows: () => 70,
  shipErrors: () => 6,
  batchesWaiting: () => 8,
  batchLines: () => 900,
  batchErrors: () => 11,
  batchesLost: () => 12,
  logLinesDropped: () => 13,
  workers: () => 14,
  workerRestarts: () => 15,
  limits: () => 16,
  limitsAlone: () => 17,
  callsWaiting: () => 18,
  upstreamWaiting: () => 19,
  upstreamHolds: () => 20,
};

const CLOSING: Closing = {
  outcome: "completed",
  accuracy: "exact",
  status: 200,
  upstreamRequestId: "req_1",
  duration: 1_500,
  ttft: 400,
  cost: 12_345_678,
  unpricedUses: {},
  priceVersion: "2026-11-24",
  reading: {
    ...EMPTY_READING,
    servedModel: "claude-x",
    inputTokens: 10,
    outputTokens: 20,
    cacheCreationInputTokens: 30,
    cacheReadInputTokens: 40,
  },
};

Deno.test("newMetrics() counts an ended call by outcome, status and served model, with its tokens and times", async () => {
  using metrics = opened();
  metrics.callEnded(CLOSING, { streaming: true, upstream: "up", overheadMs: 4, isRecorded: true });
  metrics.callEnded(CLOSING, { streaming: true, upstream: "up", overheadMs: 4, isRecorded: true });
  const refused: Closing = { ...CLOSING, outcome: "upstream_error", status: 529, ttft: null, reading: EMPTY_READING };
  metrics.callEnded(refused, { streaming: false, upstream: "up", overheadMs: -1, isRecorded: true });
  metrics.callEnded({ ...refused, outcome: "client_left", status: null, duration: null }, {
    streaming: false,
    upstream: "up",
    overheadMs: 4,
    isRecorded: true,
  });
  const samples = await samplesOf(metrics);
  assert.equal(samples.get('llmproxy_calls_total{outcome="completed",status="200",model="claude-x",upstream="up"}'), 2);
  assert.equal(samples.get('llmproxy_calls_total{outcome="upstream_error",status="529",model="none",upstream="up"}'), 1);
  assert.equal(samples.get('llmproxy_calls_total{outcome="client_left",status="none",model="none",upstream="up"}'), 1);
  for (const [kind, count] of [["input", 20], ["output", 40], ["cache_creation", 60], ["cache_read", 80]]) {
    assert.equal(samples.get(`llmproxy_tokens_total{kind="${kind}",model="claude-x"}`), count);
  }
  assert.equal(samples.get("llmproxy_time_to_first_token_seconds_count"), 2);
  assert.equal(samples.get("llmproxy_time_to_first_token_seconds_sum"), 0.8);
  assert.equal(samples.get('llmproxy_time_to_first_token_seconds_bucket{le="0.25"}'), 0);
  assert.equal(samples.get('llmproxy_time_to_first_token_seconds_bucket{le="0.5"}'), 2);
  assert.equal(samples.get('llmproxy_call_duration_seconds_sum{streaming="true"}'), 3);
  assert.equal(samples.get('llmproxy_call_duration_seconds_count{streaming="false"}'), 1);
  assert.equal(samples.get("llmproxy_overhead_seconds_count"), 4);
  assert.equal(samples.get("llmproxy_overhead_seconds_sum"), 0.012);
});

Deno.test("newMetrics() counts refusals, passed calls, token checks and upstream 401s", async () => {
  using metrics = opened();
  const before = await samplesOf(metrics);
  for (const fault of Object.keys(FAULTS)) assert.equal(before.get(`llmproxy_refusals_total{fault="${fault}"}`), 0);
  assert.equal(before.get('llmproxy_authority_lookups_total{authority="agentserver",outcome="grace"}'), 0);
  assert.equal(before.get("llmproxy_upstream_unauthorized_total"), 0);
  metrics.refused("draining");
  metrics.passed("models", 200);
  metrics.lookedUp("agentserver", "grace");
  metrics.lookedUp("local", "known");
  metrics.credentialRefused();
  const after = await samplesOf(metrics);
  assert.equal(after.get('llmproxy_refusals_total{fault="draining"}'), 1);
  assert.equal(after.get('llmproxy_passed_calls_total{route="models",status="200"}'), 1);
  assert.equal(after.get('llmproxy_authority_lookups_total{authority="agentserver",outcome="grace"}'), 1);
  assert.equal(after.get('llmproxy_authority_lookups_total{authority="local",outcome="known"}'), 1);
  assert.equal(after.get("llmproxy_upstream_unauthorized_total"), 1);
});

Deno.test("newMetrics() reads its gauges at each scrape, and one that fails costs no other", async () => {
  let at = 1_000;
  const gauges = {
    ...GAUGES,
    openRows: () => {
      throw new Error("closed");
    },
  };
  using metrics = opened({ gauges, elapsed: () => at });
  at += 2_500;
  const samples = await samplesOf(metrics);
  assert.equal(samples.get("llmproxy_calls_in_flight"), 3);
  assert.equal(samples.get("llmproxy_buffered_bytes"), 1_024);
  assert.equal(samples.get("llmproxy_ledger_trouble"), 1);
  assert.equal(samples.get("llmproxy_uptime_seconds"), 2.5);
  assert.equal(samples.get("llmproxy_open_rows"), Number.NaN);
  assert.ok(samples.get("llmproxy_resident_memory_bytes")! > 1_000_000);
  assert.equal(samples.get(`llmproxy_build_info{version="1.2.3",deno="${Deno.version.deno}"}`), 1);
});

Deno.test("newMetrics() tells of each credential whether it is out, and forgets those that are gone; of several processes one is enough", async () => {
  let credentials = new Map([["a", false], ["b", true]]);
  using metrics = opened({ credentialsOut: () => credentials });
  const of = (samples: ReadonlyMap<string, number>) =>
    [...samples].filter(([name]) => name.startsWith("llmproxy_credential_out"));
  const both = [['llmproxy_credential_out{credential="a"}', 0], ['llmproxy_credential_out{credential="b"}', 1]];
  assert.deepEqual(of(await samplesOf(metrics)), both);
  using other = opened({ credentialsOut: () => new Map([["a", false], ["b", true], ["c", false]]) });
  const { text } = await other.text([await metrics.snapshot()]);
  assert.deepEqual(of(samplesIn(text)).map(([, value]) => value).toSorted(), [0, 0, 1]);
  credentials = new Map([["a", false]]);
  assert.deepEqual(of(await samplesOf(metrics)), both.slice(0, 1));
});

Deno.test("newMetrics() tells what is left of each credential's rate limits; of several processes the least counts", async () => {
  let rooms = new Map([["a", new Map([["requests", 0.5], ["tokens", 0]])]]);
  using metrics = opened({ rooms: () => rooms });
  const of = (samples: ReadonlyMap<string, number>) => [...samples].filter(([name]) => name.startsWith("llmproxy_upstream_room"));
  const [requests, tokens] = ["requests", "tokens"].map((limit) => `llmproxy_upstream_room{credential="a",limit="${limit}"}`);
  assert.deepEqual(of(await samplesOf(metrics)), [[requests, 0.5], [tokens, 0]]);
  using other = opened({ rooms: () => new Map([["a", new Map([["requests", 0.25]])]]) });
  const { text } = await other.text([await metrics.snapshot()]);
  assert.deepEqual(of(samplesIn(text)).map(([, value]) => value).toSorted(), [0, 0.25]);
  rooms = new Map();
  assert.deepEqual(of(await samplesOf(metrics)), []);
});

Deno.test("newMetrics() tells why a credential is out and when it is tried again, and forgets it", async () => {
  let outages = new Map([["b", { why: "no_credit", retryInMs: 30_000 }]]);
  using metrics = opened({ outages: () => outages });
  const name = 'llmproxy_credential_retry_seconds{credential="b",why="no_credit"}';
  assert.equal((await samplesOf(metrics)).get(name), 30);
  using other = opened({ outages: () => new Map([["b", { why: "no_credit", retryInMs: -5 }]]) });
  assert.equal(samplesIn((await other.text([await metrics.snapshot()])).text).get(name), 0);
  outages = new Map();
  assert.equal((await samplesOf(metrics)).has(name), false);
});

Deno.test("newMetrics() tells how long ago each authority answered and failed; of several processes the latest counts", async () => {
  let elapsed = 0;
  using metrics = opened({ elapsed: () => elapsed });
  const ages = (samples: ReadonlyMap<string, number>) => [...samples].filter(([name]) => name.includes("_age_seconds"));
  assert.deepEqual(ages(await samplesOf(metrics)), []);
  metrics.lookedUp("agentserver", "known");
  elapsed = 4_000;
  metrics.lookedUp("agentserver", "cached");
  metrics.lookedUp("agentserver", "grace");
  metrics.lookedUp("agentserver", "unavailable");
  elapsed = 10_000;
  const [answered, failed] = ["answer", "failure"].map((what) =>
    `llmproxy_authority_${what}_age_seconds{authority="agentserver"}`
  );
  assert.deepEqual(ages(await samplesOf(metrics)), [[answered, 10], [failed, 6]]);
  using other = opened({ elapsed: () => 1_000 });
  other.lookedUp("agentserver", "unknown");
  assert.deepEqual(ages(samplesIn((await other.text([await metrics.snapshot()])).text)), [[answered, 0], [failed, 6]]);
});

Deno.test("newMetrics() gives its values as samples, of all processes and without histograms", async () => {
  using metrics = opened();
  using other = opened();
  for (const each of [metrics, other]) {
    each.callEnded(CLOSING, { streaming: true, upstream: "up", overheadMs: 1, isRecorded: true });
  }
  const samples = await metrics.samples([await other.snapshot()]);
  const of = (name: string) => samples.filter((sample) => sample.name === name);
  assert.deepEqual(of("calls_total"), [{
    name: "calls_total",
    labels: { outcome: "completed", status: "200", model: "claude-x", upstream: "up" },
    value: 2,
  }]);
  assert.deepEqual(of("open_rows"), [{ name: "open_rows", labels: {}, value: 4 }]);
  assert.deepEqual(samples.filter(({ name }) => name.startsWith("time_to_first_token")), []);
});

Deno.test("newMetrics() bounds the number of series, however many models the upstream serves", async () => {
  using metrics = opened();
  for (let index = 0; index < 1_000; index++) {
    const reading = { ...CLOSING.reading, servedModel: `model-${index}"\n` };
    metrics.callEnded({ ...CLOSING, reading }, { streaming: true, upstream: "up", overheadMs: 0, isRecorded: true });
  }
  const samples = await samplesOf(metrics);
  const calls = [...samples].filter(([name]) => name.startsWith("llmproxy_calls_total"));
  assert.equal(calls.length, MAX_MODEL_LABELS + 1);
  assert.equal(calls.reduce((sum, [, count]) => sum + count, 0), 1_000);
});

Deno.test("newMetrics() names everything with its prefix, in the exposition format", async () => {
  using metrics = opened();
  const { text, contentType } = await metrics.text();
  assert.match(contentType, /^text\/plain; version=0\.0\.4/);
  for (const line of text.trim().split("\n").filter((each) => each !== "")) {
    assert.match(line, /^(# (HELP|TYPE) llmproxy_\w+ .+|llmproxy_\w+(\{.*\})? \S+)$/);
  }
});

Deno.test("newMetrics() adds up the metrics of several processes, and a dead one's counters still count", async () => {
  using one = opened();
  using other = opened();
  one.callEnded(CLOSING, { streaming: true, upstream: "up", overheadMs: 4, isRecorded: true });
  other.callEnded(CLOSING, { streaming: true, upstream: "up", overheadMs: 4, isRecorded: true });
  other.callEnded({ ...CLOSING, reading: { ...CLOSING.reading, servedModel: "other" } }, {
    streaming: false,
    upstream: "up",
    overheadMs: 4,
    isRecorded: true,
  });
  const sent = JSON.parse(JSON.stringify(await other.snapshot())) as MetricsSnapshot;
  const dead = countsOf([sent, sent]);
  const { text } = await one.text([dead, sent]);
  const samples = samplesIn(text);
  assert.equal(samples.get('llmproxy_calls_total{outcome="completed",status="200",model="claude-x",upstream="up"}'), 4);
  assert.equal(samples.get('llmproxy_calls_total{outcome="completed",status="200",model="other",upstream="up"}'), 3);
  assert.equal(samples.get('llmproxy_call_duration_seconds_bucket{le="2.5",streaming="true"}'), 4);
  assert.equal(samples.get("llmproxy_overhead_seconds_count"), 7);
  assert.equal(samples.get("llmproxy_calls_in_flight"), 6, "two processes live");
  assert.equal(samples.get("llmproxy_ledger_trouble"), 1, "it is 1 or 0");
  assert.equal(samples.get("llmproxy_spool_fill"), 0.25, "the fullest counts");
  assert.equal(samples.get('llmproxy_build_info{version="1.2.3",deno="' + Deno.version.deno + '"}'), 1);
});

Deno.test("newMetrics() sees the event loop being held up", async () => {
  using metrics = opened({ elapsed: () => performance.now() });
  const until = performance.now() + 130;
  while (performance.now() < until);
  const seen = async () => {
    const samples = await samplesOf(metrics);
    const late = samples.get('llmproxy_event_loop_delay_seconds_bucket{le="+Inf"}')! -
      samples.get('llmproxy_event_loop_delay_seconds_bucket{le="0.05"}')!;
    return late > 0;
  };
  await waitFor(seen, { what: "a delay of more than 50 ms" });
});

Deno.test("ModelLabels.labelOf() labels the first hundred models by name, and all later ones alike", () => {
  const labels = new ModelLabels();
  const given = new Set(Array.from({ length: 1_000 }, (_, index) => labels.labelOf(`model-${index}`)));
  assert.equal(given.size, MAX_MODEL_LABELS + 1);
  assert.equal(labels.labelOf("model-0"), "model-0");
  assert.equal(labels.labelOf("model-100"), "other");
});

Deno.test("ModelLabels.labelOf() says none if no answer named a model, and cuts a long name", () => {
  const labels = new ModelLabels();
  assert.deepEqual([labels.labelOf(null), labels.labelOf("")], ["none", "none"]);
  assert.equal(labels.labelOf("m".repeat(10_000)).length, 256);
});

function opened(given: Partial<MetricsOptions> = {}): Metrics & Disposable {
  const metrics = newMetrics({
    gauges: GAUGES,
    credentialsOut: () => new Map(),
    outages: () => new Map(),
    rooms: () => new Map(),
    version: "1.2.3",
    elapsed: () => 0,
    ...given,
  });
  return { ...metrics, [Symbol.dispose]: metrics.end };
}

/** Each sample under its name and labels. */
async function samplesOf(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  return samplesIn((await metrics.text()).text);
}

function samplesIn(text: string): ReadonlyMap<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), readNumber(line.slice(line.lastIndexOf(" ") + 1))]));
}

function readNumber(text: string): number {
  return text === "Nan" ? Number.NaN : Number(text);
}
