import { answering, freePorts, type Running, startDeno, startProcess } from "./processes.ts";
import type { Target } from "./load.ts";
import { type TapName, TAPS } from "./taps.ts";
import { startPostgres } from "../tests/postgres_server.ts";

/** One way from the load generator to the upstream. */
export interface Peer extends Target {
  readonly name: string;
  /** Null for a direct connection. */
  readonly process: Running | null;
  /** How many billed calls it recorded; null if it records none. */
  readonly recordedCalls: (() => Promise<number>) | null;
}

export interface Site {
  readonly upstreamPort: number;
  /** An empty folder for logs, settings and data. */
  readonly dir: string;
  /** Ended after the bench, besides its processes. */
  readonly after: (() => Promise<void>)[];
}

interface PeerRow {
  readonly name: string;
  /** Null if this machine does not have it. */
  readonly start: (site: Site) => Promise<Peer | null>;
  /** Which report it belongs to. */
  readonly suite: "peers" | "taps" | "recording";
}

/** In the order of the report. `direct` is in every report. */
export const PEERS: readonly PeerRow[] = [
  { name: "direct", start: direct, suite: "peers" },
  { name: "minimal-relay", start: (site) => relay("minimal-relay", { tap: "untouched", site }), suite: "peers" },
  { name: "nginx", start: nginx, suite: "peers" },
  { name: "llmproxy", start: (site) => llmproxy("llmproxy", { program: SERVE, site }), suite: "peers" },
  ...(Object.keys(TAPS) as TapName[]).map((tap): PeerRow => ({
    name: `relay-${tap}`,
    start: (site) => relay(`relay-${tap}`, { tap, site }),
    suite: "taps",
  })),
  { name: "unrecorded", start: (site) => llmproxy("unrecorded", { program: ["bench/unrecorded.ts"], site }), suite: "recording" },
  { name: "embedded", start: (site) => llmproxy("embedded", { program: SERVE, site }), suite: "recording" },
  { name: "shared", start: shared, suite: "recording" },
];

const SERVE = ["main.ts", "serve"];

export async function startUpstream(dir: string): Promise<{ readonly port: number; readonly process: Running }> {
  const [port] = freePorts(1);
  const process = startDeno(["bench/upstream.ts", String(port)], { log: `${dir}/upstream.log`, env: {} });
  await answering(port!, null);
  return { port: port!, process };
}

function direct(site: Site): Promise<Peer> {
  return Promise.resolve({ name: "direct", port: site.upstreamPort, token: "none", process: null, recordedCalls: null });
}

async function relay(name: string, { tap, site }: { readonly tap: TapName; readonly site: Site }): Promise<Peer> {
  const [port] = freePorts(1);
  const args = ["bench/relay.ts", String(port), String(site.upstreamPort), tap];
  const process = startDeno(args, { log: `${site.dir}/${name}.log`, env: {} });
  await answering(port!, null);
  return { name, port: port!, token: "none", process, recordedCalls: null };
}

/** With a PostgreSQL of its own behind it. */
async function shared(site: Site): Promise<Peer> {
  const postgres = await startPostgres();
  site.after.push(async () => await postgres[Symbol.asyncDispose]());
  return await llmproxy("shared", { program: SERVE, env: { LLMPROXY_DATABASE_URL: postgres.url }, site });
}

async function nginx(site: Site): Promise<Peer | null> {
  const path = findProgram("nginx");
  if (path === null) return null;
  const [port] = freePorts(1);
  const conf = `${site.dir}/nginx.conf`;
  await Deno.writeTextFile(conf, nginxConf(port!, site));
  const args = ["-p", site.dir, "-c", conf, "-e", "stderr"];
  const process = startProcess(path, args, { log: `${site.dir}/nginx.log`, env: {} });
  await answering(port!, null);
  return { name: "nginx", port: port!, token: "none", process, recordedCalls: null };
}

/** The whole product: ledger on disk, a local token, metering, one log line a call to a file. */
async function llmproxy(
  name: string,
  { program, env = {}, site }: {
    readonly program: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly site: Site;
  },
): Promise<Peer> {
  const [port, adminPort] = freePorts(2);
  const adminToken = crypto.randomUUID();
  const log = `${site.dir}/${name}.log`;
  const process = startDeno(program, {
    log,
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
  await answering(port!, "/readyz").catch(async (error) => {
    await process.stop();
    throw new Error(`${error.message}\n${await Deno.readTextFile(log)}`);
  });
  const ask = async (path: string, init: RequestInit) => {
    const headers = { authorization: `Bearer ${adminToken}`, "content-type": "application/json" };
    const answer = await fetch(`http://127.0.0.1:${adminPort}${path}`, { ...init, headers });
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    return await answer.json();
  };
  const body = JSON.stringify({ workspaceId: "bench", sandboxId: "bench" });
  const { token } = await ask("/internal/tokens", { method: "POST", body });
  const recordedCalls = async () => {
    const { usage } = await ask("/internal/usage?workspace_id=bench", {});
    return usage.reduce((sum: number, row: { readonly requestCount: number }) => sum + row.requestCount, 0);
  };
  // Shipped rows are recorded a moment later; the peer without a ledger records none.
  return { name, port: port!, token, process, recordedCalls: name === "unrecorded" ? null : recordedCalls };
}

function findProgram(name: string): string | null {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin"];
  return folders.map((folder) => `${folder}/${name}`).find(isFile) ?? null;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** One worker, kept-alive connections on both sides, no buffering of answers, no access log. */
function nginxConf(port: number, { upstreamPort, dir }: Site): string {
  const isRoot = Deno.uid() === 0;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${dir}/${name};`);
  return `
daemon off;
${isRoot ? "user root;" : ""}
pid ${dir}/nginx.pid;
worker_processes 1;
worker_rlimit_nofile 8192;
error_log stderr;
events { worker_connections 4096; }
http {
  access_log off;
  ${temporary.join("\n  ")}
  keepalive_requests 10000000;
  upstream anthropic {
    server 127.0.0.1:${upstreamPort};
    keepalive 1024;
    keepalive_requests 10000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://anthropic;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`;
}
