import assert from "node:assert/strict";
import { hurriedRules, metricsIn, readDashboard, readRules, rulesIn } from "../alert_rules.ts";
import { startPrometheus } from "../prometheus.ts";
import { startProxy } from "../proxy_under_test.ts";
import { SOUND, startTroubledProxies } from "../troubled_proxies.ts";
import { waitFor } from "../wait.ts";

const SPAN_SECONDS = 10;
const FIRING_MS = 90_000;

/** The thresholds that seconds cannot reach. */
const HURRIED_THRESHOLDS = { "llmproxy_oldest_unshipped_seconds > 300": "llmproxy_oldest_unshipped_seconds > 1" };

const RULES = rulesIn(readRules());
const EXPRESSIONS = readDashboard().panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));

Deno.test("the rules and the Grafana dashboard name metrics that the proxy has", async () => {
  await using proxy = await startProxy();
  const there = [...(await proxy.text("/metrics")).matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
  const named = [...RULES, ...EXPRESSIONS].flatMap(({ expr }) => metricsIn(expr));
  assert.ok(named.length > 60);
  assert.deepEqual(named.filter((name) => !there.includes(name)), []);
});

Deno.test("a real Prometheus fires each alert for the proxy that is in trouble, none for a sound one, and fills each panel", async (t) => {
  await using proxies = await startTroubledProxies();
  const { targets, troubles, token } = proxies;
  assert.deepEqual(Object.keys(troubles).toSorted(), RULES.map(({ alert }) => alert).toSorted());
  await using prometheus = await startPrometheus({ rules: rulesForSeconds(), targets, token });
  // Counters must be there before they grow.
  const scraped = async () => (await prometheus.query("count_over_time(up[1m]) > 1")).length === Object.keys(targets).length;
  await waitFor(scraped, { what: "two scrapes of each target", deadlineMs: FIRING_MS });

  const seen = new Map<string, Set<string>>();
  const unseen = () => Object.entries(troubles).filter(([alert, [instance]]) => !seen.get(alert)?.has(instance));
  await waitFor(async () => {
    await Promise.all(unseen().map(([, [, trouble]]) => trouble()));
    for (const { labels: { alertname = "", instance = "" } } of await prometheus.firing()) {
      seen.set(alertname, (seen.get(alertname) ?? new Set()).add(instance));
    }
    return unseen().length === 0;
  }, { what: "all alerts to fire", deadlineMs: FIRING_MS }).catch(() => {});
  for (const { alert } of RULES) {
    await t.step(`${alert} fires`, () => {
      const [instance] = troubles[alert]!;
      assert.ok(seen.get(alert)?.has(instance), `${alert} did not fire for ${instance}`);
    });
  }
  await t.step("a sound proxy has no alert", () => {
    assert.deepEqual([...seen].filter(([, instances]) => instances.has(SOUND)), []);
  });
  await t.step("each panel of the Grafana dashboard shows something", async () => {
    const empty = [];
    for (const { title, expr } of EXPRESSIONS) {
      const asked = expr.replaceAll("$__rate_interval", "1m").replaceAll("$instance", ".*");
      if ((await prometheus.query(asked)).length === 0) empty.push(`${title}: ${asked}`);
    }
    assert.deepEqual(empty, []);
  });
});

function rulesForSeconds(): string {
  let text = hurriedRules(readRules(), SPAN_SECONDS);
  for (const [slow, hurried] of Object.entries(HURRIED_THRESHOLDS)) {
    assert.ok(text.includes(slow), slow);
    text = text.replace(slow, hurried);
  }
  return text;
}
