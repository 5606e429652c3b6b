/**
 * Measures what the dashboard's live page costs the proxy.
 *
 *     deno run -A bench/live_page_bench.ts [calls (200)] [seconds a round (10)] [workers (1)]
 *
 * Method. The proxy runs in a process of its own, with so many streams in flight whose output grows
 * ten times a second. Rounds without and with pages that watch take turns; each reads what the
 * process and its workers used of a core. The difference is what the pages cost. Linux only.
 */
import { eventStream, messageTo, paced } from "../tests/fake_answers.ts";
import { browserAt, dashboardAt } from "../tests/dashboard_browser.ts";
import { messageEvents } from "../tests/fake_messages.ts";
import { startFakeUpstream } from "../tests/fake_upstream.ts";
import { startProxyProcess } from "../tests/proxy_process.ts";
import { messageCall } from "../tests/proxy_under_test.ts";
import { waitFor } from "../tests/wait.ts";
import { cpuMs, family } from "./processes.ts";
import { printTable } from "./table.ts";

const [calls = 200, seconds = 10, workers = 1] = Deno.args.map(Number);
const PACE_MS = 100;
const ROUNDS = [0, 1, 0, 1, 0, 5, 0, 5];
/** Longer than all rounds. */
const DELTAS = 10_000;

const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-bench-" });
await using upstream = await startFakeUpstream();
upstream.answer((call) =>
  eventStream(paced(messageEvents({ ...messageTo(call), deltas: DELTAS }), { paceMs: PACE_MS, gone: call.gone }))
);
await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env: { LLMPROXY_WORKERS: String(workers) } });
const browser = browserAt(dashboardAt(proxy.adminUrl));
await browser.signIn(proxy.env.LLMPROXY_ADMIN_TOKEN!);
const leaving = new AbortController();
const tokens = await Promise.all(Array.from({ length: 20 }, (_, n) => proxy.token(`workspace-${n % 5}`, `sandbox-${n}`)));
for (let n = 0; n < calls; n++) {
  void follow(`${proxy.url}/v1/messages`, messageCall(tokens[n % tokens.length]!, { stream: true }), leaving);
}
await waitFor(async () => {
  const { requests } = await proxy.ask("/internal/requests") as {
    readonly requests: readonly { readonly outputTokens: number | null }[];
  };
  return requests.filter(({ outputTokens }) => (outputTokens ?? 0) > 0).length === calls;
}, { what: `${calls} streams`, deadlineMs: 60_000 });

const rows: Readonly<Record<string, string>>[] = [];
let idle = 0;
for (const watching of ROUNDS) {
  const pages = new AbortController();
  const counted = { bytes: 0, messages: 0 };
  const headers = { cookie: browser.cookie(), accept: "text/event-stream" };
  for (let n = 0; n < watching; n++) void follow(`${proxy.adminUrl}/dashboard/live/events`, { headers }, pages, counted);
  if (watching > 0) await waitFor(() => counted.messages > watching, { what: "the pages' first messages" });
  const [cpu, at, { bytes, messages }] = [cpuMs(family(proxy.pid)), performance.now(), { ...counted }];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const elapsed = performance.now() - at;
  const share = (cpuMs(family(proxy.pid)) - cpu) / elapsed * 100;
  if (watching === 0) idle = share;
  const perSecond = (count: number) => count / Math.max(1, watching) / elapsed * 1_000;
  rows.push({
    pages: String(watching),
    "% of a core": share.toFixed(1),
    "for the pages": watching === 0 ? "" : (share - idle).toFixed(1),
    "messages/s": perSecond(counted.messages - messages).toFixed(1),
    "kB/s a page": (perSecond(counted.bytes - bytes) / 1_000).toFixed(0),
  });
  pages.abort();
}
leaving.abort();
console.log(`${calls} calls in flight, each with ${1_000 / PACE_MS} changes a second`);
printTable(rows);
await proxy[Symbol.asyncDispose]();
await Deno.remove(dataDir, { recursive: true });

/** Reads an answer until it ends or the signal aborts. */
async function follow(
  url: string,
  init: RequestInit,
  { signal }: AbortController,
  counted = { bytes: 0, messages: 0 },
): Promise<void> {
  try {
    const answer = await fetch(url, { ...init, signal });
    for await (const chunk of answer.body ?? []) {
      counted.bytes += chunk.length;
      counted.messages++;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
