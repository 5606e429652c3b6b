/** The alert rules and the Grafana dashboard that operators get, as tests read them. */
import { parse } from "yaml";

const ROOT = new URL("../", import.meta.url);

export const RULES_PATH = "deploy/prometheus/llmproxy.rules.yml";

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: { readonly summary: string; readonly runbook: string };
}

export function readRules(): string {
  return Deno.readTextFileSync(new URL(RULES_PATH, ROOT));
}

export function rulesIn(text: string): readonly AlertRule[] {
  const { groups } = parse(text) as { readonly groups: readonly { readonly rules: readonly AlertRule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

interface Datasource {
  readonly uid: string;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  /** A row has neither. */
  readonly datasource?: Datasource;
  readonly targets?: readonly { readonly expr: string; readonly datasource?: Datasource }[];
}

export interface GrafanaDashboard {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
}

export function readDashboard(): GrafanaDashboard {
  return JSON.parse(Deno.readTextFileSync(new URL("deploy/grafana/llmproxy.json", ROOT)));
}

/** The metrics that an expression names, without the endings of a histogram's series. */
export function metricsIn(expr: string): readonly string[] {
  return [...expr.matchAll(/\bllmproxy_[a-z_]+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, ""));
}

/** With short spans and delays, so that an alert fires within seconds. */
export function hurriedRules(text: string, spanSeconds: number): string {
  return text.replaceAll(/^( +)for: \d+m$/gm, "$1for: 3s").replaceAll(/\[\d+[mh]\]/g, `[${spanSeconds}s]`)
    .replaceAll(/offset 1h/g, `offset ${2 * spanSeconds}s`);
}
