/**
 * Development code: the real proxy in this process, for `task dev` and `task demo`. Without a
 * credential in the environment, a simulated upstream stands in for the Anthropic API.
 */
import "../src/server/stray_signals.ts";
import { directFetch } from "../src/cli/direct_fetch.ts";
import { loadConfigFromEnv } from "../src/config/config.ts";
import { type Running, start } from "../src/server/serve.ts";
import { type ServerSystem, systemOf } from "../src/server/system.ts";
import { startSimulatedUpstream } from "./simulated_upstream.ts";

const CREDENTIALS = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY_FILE", "ANTHROPIC_AUTH_TOKEN_FILE"];
const TOKEN_LIFE_MS = 7 * 24 * 3_600_000;

export interface LocalProxyOptions {
  /** Settings for which the environment has no value. */
  readonly defaults?: Readonly<Record<string, string>>;
  /** Settings that hold whatever the environment says. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The simulated upstream stands in even if the environment has a credential. */
  readonly isSimulated?: boolean;
  /** Between two words of a simulated answer. */
  readonly wordMs?: number;
  /** Parts of the process that are others here, such as its clock. */
  readonly system?: Partial<ServerSystem>;
}

export interface LocalProxy {
  readonly url: string;
  readonly adminUrl: string;
  readonly adminToken: string;
  readonly dataDir: string;
  /** For a person. */
  readonly upstream: string;
  /** Makes a token through the admin API. It works for a week. */
  readonly makeToken: (workspaceId: string, sandboxId: string) => Promise<string>;
  /** Does this first at Ctrl-C, before the proxy drains and the process ends. */
  readonly onStop: (work: () => Promise<void>) => void;
}

/** Ends the process with 1 if the proxy cannot start: the cause can be mended. */
export async function startLocalProxy({ defaults = {}, settings = {}, ...options }: LocalProxyOptions = {}): Promise<LocalProxy> {
  const { isSimulated = !CREDENTIALS.some((name) => Deno.env.get(name)), wordMs, system: given } = options;
  const upstream = isSimulated ? await startSimulatedUpstream(wordMs === undefined ? {} : { wordMs }) : null;
  const fixed: Readonly<Record<string, string>> = {
    ...settings,
    ...(upstream === null ? {} : { ANTHROPIC_API_KEY: "sk-simulated", ANTHROPIC_BASE_URL: upstream.url }),
  };
  const usual: Readonly<Record<string, string>> = { LLMPROXY_DRAIN_LEAD_SECONDS: "0", ...defaults };
  const source = {
    env: (name: string) => fixed[name] ?? Deno.env.get(name) ?? usual[name],
    names: Object.keys(Deno.env.toObject()),
    readFile: (path: string) => Deno.readTextFileSync(path),
  };
  const system = { ...systemOf(source), ...given };
  const running = await startOrExplain(() => start(loadConfigFromEnv(source), system));
  const adminUrl = urlOf(running.adminAddress);
  const beforeStop: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const work of beforeStop) await work();
    await running.stop();
    await upstream?.close();
    await system.flushLog();
    Deno.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => void stop());
  return {
    url: urlOf(running.proxyAddress),
    adminUrl,
    adminToken: running.adminToken(),
    dataDir: source.env("LLMPROXY_DATA_DIR") ?? "./data",
    upstream: upstream === null ? source.env("ANTHROPIC_BASE_URL") ?? "https://api.anthropic.com" : "simulated",
    makeToken: (workspaceId, sandboxId) =>
      makeToken({ adminUrl, adminToken: running.adminToken(), now: system.now }, { workspaceId, sandboxId }),
    onStop: (work) => void beforeStop.push(work),
  };
}

function urlOf({ port }: Deno.NetAddr): string {
  return `http://127.0.0.1:${port}`;
}

/** The error is printed without its stack. */
async function startOrExplain(begin: () => Promise<Running>): Promise<Running> {
  try {
    return await begin();
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return Deno.exit(1);
  }
}

async function makeToken(
  { adminUrl, adminToken, now }: { readonly adminUrl: string; readonly adminToken: string; readonly now: () => number },
  owner: { readonly workspaceId: string; readonly sandboxId: string },
): Promise<string> {
  const answer = await directFetch(`${adminUrl}/internal/tokens`, {
    method: "POST",
    headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
    body: JSON.stringify({ ...owner, expiresAt: new Date(now() + TOKEN_LIFE_MS).toISOString() }),
  });
  if (!answer.ok) throw new Error(`Cannot make a token: ${answer.status} ${await answer.text()}`);
  return (await answer.json()).token;
}
