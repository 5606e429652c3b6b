import { upstreamsAt } from "./dialects.ts";
import { BASELINE, goProxy, nginx, oldSource, ONE_DIALECT, portkey } from "./outsiders.ts";
import { answering, denoCommand, freePorts, isFile, type Running, startDeno, startProcess } from "./processes.ts";
import { type Contender, Missing, type Site } from "./site.ts";
import { type TapName, TAPS } from "./taps.ts";
import { SETTINGS } from "../src/config/settings.ts";
import { startPostgres } from "../tests/postgres_server.ts";

type Start = (site: Site) => Promise<Contender>;

/** The taps whose bytes pass through JavaScript. */
export const JS_TAPS = (Object.keys(TAPS) as TapName[]).filter((tap) => tap !== "untouched").map((tap) => `relay-${tap}`);

/** In the order of the report. Each throws `Missing` if this machine does not have it. */
export const CONTENDERS: Readonly<Record<string, Start>> = {
  direct: (site) => Promise.resolve(plain("direct", { port: site.upstreamPort, process: null })),
  ...Object.fromEntries((Object.keys(TAPS) as TapName[]).map((tap) => [`relay-${tap}`, (site: Site) => relay(tap, site)])),
  nginx: async (site) => plain("nginx", await nginx(site)),
  go: async (site) => plain("go", await goProxy(site)),
  portkey: async (site) => ({ ...plain("portkey", await portkey(site)), isRewriter: true, headers: portkeyHeaders(site) }),
  [BASELINE]: (site) => older(BASELINE, site),
  [ONE_DIALECT]: (site) => older(ONE_DIALECT, site),
  unrecorded: (site) => llmproxy("unrecorded", { command: denoCommand(["bench/unrecorded.ts"]), site }),
  llmproxy: (site) => llmproxy("llmproxy", { command: SERVE, site }),
  "llmproxy-dialects": dialects,
  "llmproxy-workers": workers,
  "llmproxy-shared": shared,
  "llmproxy-otel": telemetry,
  "llmproxy-executable": executable,
};

const SERVE = denoCommand(["main.ts", "serve"]);

/**
 * Starts those that this machine has, in the order of the report. Prints why another is left out,
 * and notes it in `missing`.
 */
export async function startContenders(
  names: readonly string[],
  { site, missing }: { readonly site: Site; readonly missing: Map<string, string> },
): Promise<Contender[]> {
  const started: Contender[] = [];
  for (const [name, start] of Object.entries(CONTENDERS)) {
    if (!names.includes(name)) continue;
    try {
      started.push(await start(site));
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      if (!missing.has(name)) console.log(`LEFT OUT: ${name}: ${error.message}`);
      missing.set(name, error.message);
    }
  }
  return started;
}

export async function startUpstream(
  site: Pick<Site, "dir" | "place">,
): Promise<{ readonly port: number; readonly process: Running }> {
  const [port] = freePorts(1);
  const place = site.place === "relays" ? "generator" : "anywhere";
  const process = startDeno(["bench/upstream.ts", String(port)], { log: `${site.dir}/upstream.log`, env: {}, place });
  await answering(port!, null);
  return { port: port!, process };
}

function plain(name: string, { port, process }: { readonly port: number; readonly process: Running | null }): Contender {
  return {
    name,
    port,
    process,
    token: "none",
    headers: {},
    isRewriter: false,
    recordedCalls: null,
    metrics: null,
    admin: null,
    restart: null,
  };
}

function portkeyHeaders({ upstreamPort }: Site): Record<string, string> {
  return {
    "x-portkey-provider": "anthropic",
    "x-portkey-custom-host": `http://127.0.0.1:${upstreamPort}/v1`,
    "x-portkey-forward-headers": "x-bench-load",
  };
}

async function relay(tap: TapName, site: Site): Promise<Contender> {
  const [port] = freePorts(1);
  const args = ["bench/relay.ts", String(port), String(site.upstreamPort), tap];
  const process = startDeno(args, { log: `${site.dir}/relay-${tap}.log`, env: {}, place: site.place });
  await answering(port!, null);
  return plain(`relay-${tap}`, { port: port!, process });
}

/** With a PostgreSQL of its own behind it. */
async function shared(site: Site): Promise<Contender> {
  const postgres = await startPostgres();
  site.after.push(async () => await postgres[Symbol.asyncDispose]());
  return await llmproxy("llmproxy-shared", { command: SERVE, env: { LLMPROXY_DATABASE_URL: postgres.url }, site });
}

/** Sends each call as a span, and the metrics, to a receiver that forgets them. */
async function telemetry(site: Site): Promise<Contender> {
  const [port] = freePorts(1);
  const place = site.place === "relays" ? "generator" : "anywhere";
  startDeno(["bench/otlp_sink.ts", String(port)], { log: `${site.dir}/otlp_sink.log`, env: {}, place });
  await answering(port!, null);
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` };
  return await llmproxy("llmproxy-otel", { command: SERVE, env, site });
}

async function older(commit: string, site: Site): Promise<Contender> {
  const source = await oldSource(commit, site.dir);
  return await llmproxy(commit, { command: denoCommand([`${source}/main.ts`, "serve"]), site });
}

/** Speaks every dialect, with an upstream for each. */
async function dialects(site: Site): Promise<Contender> {
  const path = `${site.dir}/upstreams.json`;
  await Deno.writeTextFile(path, JSON.stringify(upstreamsAt(`http://127.0.0.1:${site.upstreamPort}`)));
  return await llmproxy("llmproxy-dialects", { command: SERVE, env: { LLMPROXY_UPSTREAMS_FILE: path }, site });
}

function workers(site: Site): Promise<Contender> {
  if (!("LLMPROXY_WORKERS" in SETTINGS)) throw new Missing("this llmproxy has no setting LLMPROXY_WORKERS");
  return llmproxy("llmproxy-workers", { command: SERVE, env: { LLMPROXY_WORKERS: site.workers }, site });
}

function executable(site: Site): Promise<Contender> {
  if (site.executable === null) throw new Missing("no --executable=PATH was given");
  if (!isFile(site.executable)) throw new Missing(`${site.executable} is not a file`);
  return llmproxy("llmproxy-executable", { command: [site.executable, "serve"], site });
}

/** The whole product: ledger on disk, a local token, metering, one log line a call to a file. */
export async function llmproxy(
  name: string,
  { command, env = {}, site }: {
    readonly command: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly site: Site;
  },
): Promise<Contender> {
  const [port, adminPort] = freePorts(2);
  const adminToken = crypto.randomUUID();
  const log = `${site.dir}/${name}.log`;
  const restart = () =>
    startProcess(command[0]!, command.slice(1), {
      log,
      place: site.place,
      env: {
        ...env,
        ANTHROPIC_API_KEY: "bench-key-of-nobody",
        ANTHROPIC_BASE_URL: `http://127.0.0.1:${site.upstreamPort}`,
        LLMPROXY_LISTEN_ADDR: `127.0.0.1:${port}`,
        LLMPROXY_ADMIN_ADDR: `127.0.0.1:${adminPort}`,
        LLMPROXY_ADMIN_TOKEN: adminToken,
        LLMPROXY_DATA_DIR: `${site.dir}/${name}`,
        LLMPROXY_LOG_LEVEL: "info",
        LLMPROXY_DRAIN_LEAD_SECONDS: "0",
      },
    });
  const process = restart();
  await answering(port!, "/readyz").catch(async (error) => {
    await process.stop();
    throw new Error(`${error.message}\n${await Deno.readTextFile(log)}`);
  });
  // A worker may be ready before its parent listens to operators.
  await answering(adminPort!, null);
  const textOf = async (path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${adminToken}`, "content-type": "application/json" };
    const answer = await fetch(`http://127.0.0.1:${adminPort}${path}`, { ...init, headers });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${text}`);
    return text;
  };
  const ask = async (path: string, init: RequestInit) => JSON.parse(await textOf(path, init));
  const body = JSON.stringify({ workspaceId: "bench", sandboxId: "bench" });
  const { token } = await ask("/internal/tokens", { method: "POST", body });
  const recordedCalls = async () => {
    const { usage } = await ask("/internal/usage?workspace_id=bench", {});
    return usage.reduce((sum: number, row: { readonly requestCount: number }) => sum + row.requestCount, 0);
  };
  // Shipped rows are recorded a moment later; the contender without a ledger records none.
  return {
    ...plain(name, { port: port!, process }),
    token,
    recordedCalls: name === "unrecorded" ? null : recordedCalls,
    metrics: () => textOf("/metrics"),
    admin: { port: adminPort!, token: adminToken },
    restart,
  };
}
