import assert from "node:assert/strict";
import { type AlertRule, readRules, RULES_PATH, rulesIn } from "./alert_rules.ts";
import { debianProgram } from "./debian_programs.ts";
import { run } from "./dev_process.ts";
import { anchorsOf, readPage } from "./documents.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const RULES = rulesIn(readRules());

/** Labels that Prometheus adds to every series that it scrapes. */
const SCRAPED = { instance: "proxy-1:8082", job: "llmproxy" };

interface Case {
  /** Series without the labels of the scrape, with promtool's notation of a value each minute. */
  readonly series: Readonly<Record<string, string>>;
  /** Minutes at which it does not fire yet, or no more, and one at which it does. */
  readonly quiet: readonly number[];
  readonly fires: number;
  /** Labels of the alert; those of the scrape if left out. */
  readonly labels?: Readonly<Record<string, string>>;
}

const INSTANCE = { instance: SCRAPED.instance };
const CALLS = (labels: string) => `llmproxy_calls_total{${labels},model="claude-x"}`;
const BUCKET = (le: string) => `llmproxy_overhead_seconds_bucket{le="${le}"}`;
const refused = (fault: string, values: string) => ({ [`llmproxy_refusals_total{fault="${fault}"}`]: values });

/** For each alert one course of its series in which it fires, and moments in which it must not. */
const CASES: Readonly<Record<string, Case>> = {
  LlmproxyDown: { series: { up: "1 1 0x10" }, quiet: [0, 3], fires: 4 },
  LlmproxyNotReady: { series: { llmproxy_ready: "1 1 0x10 1x5" }, quiet: [1, 4, 14], fires: 5 },
  LlmproxyDegraded: { series: { llmproxy_degraded: "0 1x20" }, quiet: [0, 10], fires: 11 },
  LlmproxyCannotRecord: { series: { llmproxy_ledger_trouble: "0 1x5" }, quiet: [0, 1], fires: 2 },
  LlmproxyUnrecordedCalls: { series: { llmproxy_unrecorded_calls_total: "0 0 3x20" }, quiet: [1, 14], fires: 3 },
  LlmproxyUpstreamErrors: {
    // 6 % of 100 calls a minute of one upstream, and nothing of a hundred times as many of another.
    // The clients' own errors before that do not count.
    series: {
      [CALLS('outcome="completed",status="200",upstream="anthropic"')]: "0+9400x40",
      [CALLS('outcome="completed",status="200",upstream="eu"')]: "0+94x40",
      [CALLS('outcome="upstream_error",status="400",upstream="eu"')]: "0+50x10 500x30",
      [CALLS('outcome="upstream_error",status="529",upstream="eu"')]: "0x15 0+6x24",
    },
    quiet: [10, 15, 24],
    fires: 28,
    labels: { ...INSTANCE, upstream: "eu" },
  },
  LlmproxyUpstreamUnauthorized: { series: { llmproxy_upstream_unauthorized_total: "0 0 1x20" }, quiet: [1, 14], fires: 3 },
  LlmproxyCredentialOut: {
    series: { 'llmproxy_credential_out{credential="b"}': "0 1x5 0x5", 'llmproxy_credential_out{credential="a"}': "0x12" },
    quiet: [1, 9],
    fires: 3,
    labels: { ...SCRAPED, credential: "b" },
  },
  LlmproxyUpstreamRoomLow: {
    series: { 'llmproxy_upstream_room{credential="a",limit="requests"}': "0.5 0.05x20 0.4x3" },
    quiet: [0, 10, 23],
    fires: 12,
    labels: { ...SCRAPED, credential: "a", limit: "requests" },
  },
  LlmproxyUpstreamBusy: { series: { llmproxy_upstream_waiting_calls: "0 2x8 0x5" }, quiet: [0, 5, 12], fires: 7 },
  LlmproxyControlPlaneDown: {
    series: {
      'llmproxy_authority_lookups_total{authority="agentserver",outcome="grace"}': "0 0 0+2x10",
      'llmproxy_authority_lookups_total{authority="agentserver",outcome="known"}': "0+9x15",
      'llmproxy_authority_lookups_total{authority="local",outcome="unavailable"}': "0+1x15",
    },
    quiet: [2, 4],
    fires: 6,
    labels: INSTANCE,
  },
  LlmproxyLimitsAlone: { series: { llmproxy_limits_alone: "0 1x9 0" }, quiet: [0, 5, 11], fires: 6 },
  LlmproxySpoolLag: { series: { llmproxy_oldest_unshipped_seconds: "0+60x15" }, quiet: [5, 9], fires: 11 },
  LlmproxySpoolFilling: { series: { llmproxy_spool_fill: "0.6 0.7x9" }, quiet: [0, 5], fires: 6 },
  LlmproxyDiskLow: { series: { llmproxy_disk_free_bytes: "3e9 1.9e9x20" }, quiet: [0, 15], fires: 16 },
  LlmproxyRowsQuarantined: { series: { llmproxy_quarantined_rows: "0 1x9" }, quiet: [0, 5], fires: 6 },
  LlmproxyUnpricedCalls: {
    // Its first call makes the series: there is nothing before it.
    series: { 'llmproxy_unpriced_calls_total{model="claude-new"}': "_ _ 1x90" },
    quiet: [1, 63],
    fires: 3,
    labels: { ...INSTANCE, model: "claude-new" },
  },
  LlmproxyAbsurdUsage: {
    series: { 'llmproxy_absurd_usage_calls_total{model="claude-x"}': "_ _ 1x90" },
    quiet: [1, 63],
    fires: 3,
    labels: { ...INSTANCE, model: "claude-x" },
  },
  LlmproxyLimitUsedUp: {
    series: {
      ...refused("over_cost_per_day", "0 0 4x20"),
      ...refused("over_concurrent", "0+9x30"),
      ...refused("unauthenticated", "0+9x30"),
    },
    quiet: [1, 14],
    fires: 3,
    labels: { ...SCRAPED, fault: "over_cost_per_day" },
  },
  LlmproxyRunaway: { series: refused("looping", "0 0 1x20"), quiet: [1, 14], fires: 3, labels: { ...SCRAPED, fault: "looping" } },
  LlmproxyBatchUsageMissing: { series: { llmproxy_batches_lost_total: "0 0 1x90" }, quiet: [1, 63], fires: 3 },
  LlmproxyConnectionsNearBound: {
    series: { llmproxy_connections: "80 81x9", llmproxy_connections_max: "100x10" },
    quiet: [0, 5],
    fires: 7,
  },
  LlmproxyOverloaded: {
    series: refused("overloaded", "0 0 1x20"),
    quiet: [1, 10],
    fires: 3,
    labels: { ...SCRAPED, fault: "overloaded" },
  },
  LlmproxySlow: {
    series: { [BUCKET("0.25")]: "0+98x5 490+90x25", [BUCKET("0.5")]: "0+100x30", [BUCKET("+Inf")]: "0+100x30" },
    quiet: [0, 8],
    fires: 25,
    labels: INSTANCE,
  },
  LlmproxyWorkerRestarts: { series: { llmproxy_worker_restarts_total: "0 0 1x30" }, quiet: [1, 20], fires: 3 },
  LlmproxyClockWrong: { series: { llmproxy_clock_seconds: "-29+60x2 91+60x9" }, quiet: [0, 2, 4], fires: 5 },
  LlmproxyLogLinesDropped: { series: { llmproxy_log_lines_dropped_total: "0 0 7x20" }, quiet: [1, 14], fires: 3 },
};

Deno.test("promtool takes the rules and the scrape configuration", async () => {
  const { path, env } = await debianProgram("promtool");
  for (const args of [["check", "rules", RULES_PATH], ["check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml"]]) {
    const { code, stdout, stderr } = await run(path, args, { env, cwd: ROOT });
    assert.equal(code, 0, `${args}: ${stdout}${stderr}`);
  }
});

Deno.test("each alert has a unit test, a severity, a summary that says what to do, and a section of the documents with its name", () => {
  assert.deepEqual(RULES.map(({ alert }) => alert), Object.keys(CASES));
  for (const { alert, labels, annotations: { summary, runbook } } of RULES) {
    assert.ok(["page", "ticket"].includes(labels.severity!), alert);
    assert.match(summary, /: ./, `${alert} says no more than what is wrong`);
    const [page, anchor] = runbook.split("#");
    const text = readPage(page!);
    assert.ok(anchorsOf(text).includes(anchor!), `${alert} leads to ${runbook}`);
    const section = text.split(/^## /m).find((each) => anchorsOf(`## ${each.split("\n")[0]}`)[0] === anchor)!;
    assert.match(section, new RegExp(`\`${alert}\``));
  }
});

for (const rule of RULES) {
  const { series, quiet, fires, labels = SCRAPED } = CASES[rule.alert]!;
  Deno.test(`promtool sees ${rule.alert} fire, and be quiet otherwise`, async () => {
    const alerts = [{ exp_labels: { ...labels, ...rule.labels }, exp_annotations: annotationsOf(rule, labels) }];
    const moments = [...quiet.map((minute) => ({ minute, alerts: [] })), { minute: fires, alerts }];
    const { code, output } = await unitTest({
      input_series: Object.entries(series).map(([name, values]) => ({ series: withScrape(name), values })),
      alert_rule_test: moments.map(({ minute, alerts: exp_alerts }) => ({
        eval_time: `${minute}m`,
        alertname: rule.alert,
        exp_alerts,
      })),
    });
    assert.equal(code, 0, output);
  });
}

Deno.test("promtool sees LlmproxyDiskLow fire a day before a disk that fills up is full", async () => {
  const rule = RULES.find(({ alert }) => alert === "LlmproxyDiskLow")!;
  const alerts = [{ exp_labels: { ...SCRAPED, ...rule.labels }, exp_annotations: annotationsOf(rule, SCRAPED) }];
  const { code, output } = await unitTest({
    // 1 GB an hour: 19 GB last for 19 hours.
    input_series: [{ series: withScrape("llmproxy_disk_free_bytes"), values: "30e9-16666667x700" }],
    alert_rule_test: [
      { eval_time: "600m", alertname: rule.alert, exp_alerts: [] },
      { eval_time: "660m", alertname: rule.alert, exp_alerts: alerts },
    ],
  });
  assert.equal(code, 0, output);
});

async function unitTest(test: Readonly<Record<string, unknown>>): Promise<{ readonly code: number; readonly output: string }> {
  const { path, env } = await debianProgram("promtool");
  const file = await Deno.makeTempFile({ suffix: ".yml" });
  try {
    // JSON is YAML.
    const whole = { rule_files: [`${ROOT}${RULES_PATH}`], evaluation_interval: "1m", tests: [{ interval: "1m", ...test }] };
    await Deno.writeTextFile(file, JSON.stringify(whole));
    const { code, stdout, stderr } = await run(path, ["test", "rules", file], { env });
    return { code, output: stdout + stderr };
  } finally {
    await Deno.remove(file);
  }
}

function withScrape(series: string): string {
  const scraped = Object.entries(SCRAPED).map(([name, value]) => `${name}="${value}"`).join(",");
  return series.includes("{") ? series.replace("}", `,${scraped}}`) : `${series}{${scraped}}`;
}

function annotationsOf({ annotations }: AlertRule, labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const rendered = annotations.summary.replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, name) => {
    return labels[name] ?? assert.fail(`The summary names the label ${name}, which the alert lacks`);
  });
  return { ...annotations, summary: rendered };
}
