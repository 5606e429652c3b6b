import assert from "node:assert/strict";
import { readDashboard } from "./alert_rules.ts";

const { panels, templating } = readDashboard();
const COLUMNS = 24;

Deno.test("each panel of the Grafana dashboard has an id of its own, a description, and room beside the others", () => {
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Map<string, string>();
  for (const { type, title, description = "", gridPos: { x, y, w, h } } of panels) {
    assert.ok(x + w <= COLUMNS, title);
    if (type !== "row") assert.match(description, /\.$/, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        assert.equal(taken.get(`${column} ${line}`), undefined, `${title} lies over ${taken.get(`${column} ${line}`)}`);
        taken.set(`${column} ${line}`, title);
      }
    }
  }
});

Deno.test("each query of the Grafana dashboard asks the chosen Prometheus for the chosen replicas, over the panel's interval", () => {
  assert.deepEqual(templating.list.map(({ name }) => name), ["datasource", "instance"]);
  for (const { type, title, datasource, targets = [] } of panels) {
    if (type === "row") continue;
    assert.ok(targets.length > 0, title);
    for (const { expr, datasource: own } of targets) {
      assert.deepEqual([datasource?.uid, own?.uid], ["${datasource}", "${datasource}"], title);
      const selectors = expr.match(/llmproxy_\w+(\{[^}]*\})?/g) ?? [];
      assert.deepEqual(selectors.filter((each) => !each.includes('instance=~"$instance"')), [], title);
      assert.doesNotMatch(expr, /\[\d/, title);
    }
  }
});
