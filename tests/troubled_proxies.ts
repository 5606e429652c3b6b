/**
 * Proxies that get into each of the troubles that an alert is about. Most troubles are real. What
 * takes hours or a broken disk is told by an exporter: the metrics of a sound proxy, with some
 * values changed.
 */
import { failing, json, type Script, type SeenCall } from "./fake_answers.ts";
import { startFakeAgentserver } from "./fake_agentserver.ts";
import { messageBody, usageOf } from "./fake_messages.ts";
import { startFakeUpstream } from "./fake_upstream.ts";
import { freePort } from "./free_port.ts";
import { keysFile, nameIn, refusing } from "./keys_file.ts";
import { limitedCall, quota } from "./limited_calls.ts";
import { startProxyProcess } from "./proxy_process.ts";
import { messageCall, type ProxyUnderTest, startProxy } from "./proxy_under_test.ts";

/** How a proxy gets into one trouble: called again and again until the alert fires. */
export type Trouble = () => Promise<void>;

export interface TroubledProxies extends AsyncDisposable {
  /** `host:port` of what Prometheus scrapes, by the name of the instance. */
  readonly targets: Readonly<Record<string, string>>;
  /** The instance of each alert, and what makes it fire. */
  readonly troubles: Readonly<Record<string, readonly [instance: string, trouble: Trouble]>>;
  readonly token: string;
}

/** No trouble must show here. */
export const SOUND = "sound";
const MOST_CONNECTIONS = 200;
const MODEL = "claude-haiku-4-5";

export async function startTroubledProxies(): Promise<TroubledProxies> {
  await using starting = new AsyncDisposableStack();
  const sound = starting.use(await startProxy());
  const token = await sound.token();
  await call(sound, token);
  const models = await fetch(`${sound.url}/v1/models`, { headers: { "x-api-key": token } });
  await models.body?.cancel();
  const busy = await busyProxy(starting);
  const away = await proxyWithoutDatabase(starting);
  const lost = starting.use(await startProxy());
  const late = starting.use(await startProxy({ system: { now: () => Date.now() + 100_000 } }));
  const keys = await proxyWithTwoKeys(starting);
  const workers = await proxyWithWorkers(starting);
  const exporter = starting.use(startExporter(sound));
  const all = starting.move();
  return {
    token: sound.adminToken,
    targets: {
      [SOUND]: hostOf(sound.adminUrl),
      busy: hostOf(busy.adminUrl),
      away: hostOf(away.adminUrl),
      lost: hostOf(lost.adminUrl),
      late: hostOf(late.adminUrl),
      keys: hostOf(keys.adminUrl),
      workers: hostOf(workers.adminUrl),
      exporter: exporter.host,
      down: `127.0.0.1:${freePort()}`,
    },
    troubles: {
      LlmproxyDown: ["down", nothing],
      LlmproxyNotReady: ["lost", loseFiles(lost)],
      LlmproxyDegraded: ["away", away.call],
      LlmproxyCannotRecord: ["lost", loseFiles(lost)],
      LlmproxyUnrecordedCalls: ["exporter", exporter.grow("llmproxy_unrecorded_calls_total")],
      ...busy.troubles,
      LlmproxyCredentialOut: ["keys", keys.call],
      LlmproxyLimitsAlone: ["away", away.call],
      LlmproxySpoolLag: ["away", away.call],
      LlmproxySpoolFilling: ["exporter", exporter.set("llmproxy_spool_fill", 0.7)],
      LlmproxyDiskLow: ["exporter", exporter.set("llmproxy_disk_free_bytes", 1e9)],
      LlmproxyRowsQuarantined: ["exporter", exporter.set("llmproxy_quarantined_rows", 2)],
      LlmproxyBatchUsageMissing: ["exporter", exporter.grow("llmproxy_batches_lost_total")],
      LlmproxyOverloaded: ["exporter", exporter.grow('llmproxy_refusals_total{fault="overloaded"}')],
      LlmproxySlow: [
        "exporter",
        exporter.grow(...["0.5", "1", "2.5", "+Inf"].map((le) => `llmproxy_overhead_seconds_bucket{le="${le}"}`)),
      ],
      LlmproxyWorkerRestarts: ["workers", workers.kill],
      LlmproxyClockWrong: ["late", nothing],
      LlmproxyLogLinesDropped: ["exporter", exporter.grow("llmproxy_log_lines_dropped_total")],
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** Its upstream answers as the text of a call asks it to. */
async function busyProxy(starting: AsyncDisposableStack) {
  const control = starting.use(startFakeAgentserver());
  control.answer({ kind: "status", status: 500 });
  const env = {
    LLMPROXY_AGENTSERVER_URL: control.url,
    LLMPROXY_LOOP_CALLS: "3",
    LLMPROXY_MAX_CONNECTIONS: String(MOST_CONNECTIONS),
  };
  const proxy = starting.use(await startProxy({ env }));
  proxy.upstream.answer((seen) => answerTo(seen));
  const token = await proxy.token();
  const limited = await proxy.token("limited");
  await quota(proxy, "/limited", { max_rpd: 1 });
  const connections: Deno.Conn[] = [];
  const waiting = new AbortController();
  starting.defer(() => {
    waiting.abort();
    for (const connection of connections) connection.close();
  });
  let [calls, busyCalls] = [0, 0];
  const asking = (text: string) => async () => await call(proxy, token, { text: `${text} ${++calls}` });
  const { hostname, port } = new URL(proxy.url);
  const troubles: Record<string, readonly ["busy", Trouble]> = {
    LlmproxyUpstreamErrors: ["busy", asking("500")],
    LlmproxyUpstreamUnauthorized: ["busy", asking("401")],
    LlmproxyUpstreamRoomLow: ["busy", asking("room")],
    LlmproxyUpstreamBusy: ["busy", () => {
      // The upstream refuses the first one, and the others of that model wait.
      if (++busyCalls < 6) void limitedCall(proxy.url, token, { model: "busy-model", signal: waiting.signal }).catch(() => {});
      return Promise.resolve();
    }],
    LlmproxyControlPlaneDown: ["busy", async () => await call(proxy, `unknown-token-${++calls}`)],
    LlmproxyUnpricedCalls: ["busy", async () => {
      await asking("unpriced")();
      await asking("partly")();
    }],
    LlmproxyAbsurdUsage: ["busy", asking("absurd")],
    LlmproxyLimitUsedUp: ["busy", async () => await call(proxy, limited)],
    LlmproxyRunaway: ["busy", async () => await call(proxy, token, { text: "again", headers: { "x-trace-id": "loop" } })],
    LlmproxyConnectionsNearBound: ["busy", async () => {
      if (connections.length > 0) return;
      const opened = Array.from({ length: 0.85 * MOST_CONNECTIONS }, () => Deno.connect({ hostname, port: Number(port) }));
      connections.push(...await Promise.all(opened));
    }],
  };
  return { adminUrl: proxy.adminUrl, troubles };
}

function answerTo(seen: SeenCall): Script {
  const { model, messages } = seen.json() as {
    readonly model: string;
    readonly messages: readonly { readonly content: string }[];
  };
  if (model === "busy-model") return failing(429, { headers: { "retry-after": "50" } })(seen);
  const usage = usageOf("hello");
  const message = { id: seen.messageId, model: MODEL, usage, deltas: 1 };
  switch (messages[0]!.content.split(" ")[0]) {
    case "500":
      return failing(500)(seen);
    case "401":
      return failing(401)(seen);
    case "room": {
      const left = { "anthropic-ratelimit-tokens-limit": "1000", "anthropic-ratelimit-tokens-remaining": "50" };
      const answer = json(messageBody(message));
      return { ...answer, headers: { ...answer.headers, ...left } };
    }
    case "unpriced":
      return json(messageBody({ ...message, model: "model-of-tomorrow" }));
    case "partly":
      return json(
        messageBody({ ...message, usage: { ...usage, server_tool_use: { code_execution_requests: 1 } } as typeof usage }),
      );
    case "absurd":
      return json(messageBody({ ...message, usage: { ...usage, output_tokens: 2_000_000_000 } }));
    default:
      return json(messageBody(message));
  }
}

/** Nothing listens where its database should be. */
async function proxyWithoutDatabase(starting: AsyncDisposableStack) {
  const control = starting.use(startFakeAgentserver());
  control.sandboxes.set("known-token", { sandbox_id: "s1", workspace_id: "w1", status: "running" });
  const env = {
    LLMPROXY_DATABASE_URL: "postgres://someone@127.0.0.1:1/none",
    LLMPROXY_AGENTSERVER_URL: control.url,
    LLMPROXY_DEFAULT_MAX_RPD: "100000",
  };
  const proxy = starting.use(await startProxy({ env }));
  return { adminUrl: proxy.adminUrl, call: async () => await call(proxy, "known-token") };
}

async function proxyWithTwoKeys(starting: AsyncDisposableStack) {
  const file = starting.use(await keysFile("a", "b"));
  const proxy = starting.use(await startProxy({ env: file.env }));
  proxy.upstream.answer((seen) =>
    nameIn(seen) === "b"
      ? refusing(seen)
      : json(messageBody({ id: seen.messageId, model: MODEL, usage: usageOf("x"), deltas: 1 }))
  );
  const token = await proxy.token();
  let sessions = 0;
  return {
    adminUrl: proxy.adminUrl,
    call: async () => await call(proxy, token, { headers: { "x-trace-id": `session-${++sessions}` } }),
  };
}

async function proxyWithWorkers(starting: AsyncDisposableStack) {
  const upstream = starting.use(await startFakeUpstream());
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  starting.defer(() => Deno.remove(dataDir, { recursive: true }));
  const proxy = starting.use(await startProxyProcess({ upstreamUrl: upstream.url, dataDir, env: { LLMPROXY_WORKERS: "2" } }));
  let isKilled = false;
  return {
    adminUrl: proxy.adminUrl,
    kill: () => {
      if (!isKilled) Deno.kill(Number(proxy.logs().find(({ msg }) => msg === "a worker listens")!.pid), "SIGKILL");
      isKilled = true;
      return Promise.resolve();
    },
  };
}

/** By a shell: a descriptor of this process that is closed would drop the proxy's locks. */
function loseFiles({ dataDir }: ProxyUnderTest): Trouble {
  return async () => {
    await new Deno.Command("sh", { args: ["-c", "rm -f spool-0.db*"], cwd: dataDir }).output();
  };
}

interface Exporter extends AsyncDisposable {
  readonly host: string;
  /** From its first call on, the series has that value. */
  readonly set: (series: string, value: number) => Trouble;
  /** From its first call on, the series grow with each scrape. */
  readonly grow: (...series: readonly string[]) => Trouble;
}

/** The metrics of that proxy with changed values. Throws for a series that the proxy has not. */
function startExporter(proxy: ProxyUnderTest): Exporter {
  const changes = new Map<string, (value: number) => number>();
  let scrapes = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async () => {
    scrapes++;
    const left = new Set(changes.keys());
    const lines = (await proxy.text("/metrics")).split("\n").map((line) => {
      const [, series = "", value] = /^(\S+(?: \S+)*) (\S+)$/.exec(line) ?? [];
      const change = line.startsWith("#") ? undefined : changes.get(series);
      if (change === undefined) return line;
      left.delete(series);
      return `${series} ${change(Number(value))}`;
    });
    if (left.size > 0) return new Response(`There is no ${[...left].join(", ")}`, { status: 500 });
    return new Response(lines.join("\n"), { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
  });
  const from = (series: readonly string[], change: () => (value: number) => number): Trouble => () => {
    for (const each of series) if (!changes.has(each)) changes.set(each, change());
    return Promise.resolve();
  };
  return {
    host: `127.0.0.1:${server.addr.port}`,
    set: (series, value) => from([series], () => () => value),
    grow: (...series) => {
      return from(series, () => {
        const first = scrapes;
        return (value) => value + 10 * (scrapes - first);
      });
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

async function call(
  proxy: { readonly url: string },
  token: string,
  options: Parameters<typeof messageCall>[1] = {},
): Promise<void> {
  const answer = await fetch(`${proxy.url}/v1/messages`, messageCall(token, options));
  await answer.body?.cancel();
}

function hostOf(url: string): string {
  return new URL(url).host;
}

function nothing(): Promise<void> {
  return Promise.resolve();
}
