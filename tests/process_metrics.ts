/** What a proxy that is a process of its own exports of itself. */
import type { ProxyProcess } from "./proxy_process.ts";

/** The value of one time series, named as in the text exposition format, its labels included. Throws where there is none. */
export async function metricOf(proxy: ProxyProcess, series: string): Promise<number> {
  const authorization = `Bearer ${proxy.env.LLMPROXY_ADMIN_TOKEN}`;
  const text = await (await fetch(`${proxy.adminUrl}/metrics`, { headers: { authorization } })).text();
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  if (line === undefined) throw new Error(`No ${series} in: ${text}`);
  return Number(line.slice(series.length));
}
