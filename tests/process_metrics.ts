/** What a proxy exports of itself. */
import type { ProxyProcess } from "./proxy_process.ts";
import type { ProxyUnderTest } from "./proxy_under_test.ts";

/**
 * The value of one time series, named as in the text exposition format, its labels included. Throws
 * if there is no such series.
 */
export async function metricOf(proxy: ProxyProcess | ProxyUnderTest, series: string): Promise<number> {
  const token = "env" in proxy ? proxy.env.LLMPROXY_ADMIN_TOKEN : proxy.adminToken;
  const answer = await fetch(`${proxy.adminUrl}/metrics`, { headers: { authorization: `Bearer ${token}` } });
  const text = await answer.text();
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  if (line === undefined) throw new Error(`No ${series} in: ${text}`);
  return Number(line.slice(series.length));
}

/** How often its event loop was late by more than 50 ms. */
export async function stallsOf(proxy: ProxyProcess): Promise<number> {
  const delay = "llmproxy_event_loop_delay_seconds";
  return await metricOf(proxy, `${delay}_count`) - await metricOf(proxy, `${delay}_bucket{le="0.05"}`);
}

/** What `/readyz` answers. */
export async function readinessOf(
  proxy: { readonly url: string },
): Promise<{ readonly code: number; readonly status: string; readonly reason: string }> {
  const answer = await fetch(`${proxy.url}/readyz`);
  const { status, reason = "" } = await answer.json();
  return { code: answer.status, status, reason };
}
