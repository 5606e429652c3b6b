/**
 * `deno task dev`: the real proxy with nothing configured. Without a credential a simulated
 * upstream replaces the Anthropic API. That is development code and not in the executable.
 */
import "../src/server/stray_signals.ts";
import { loadConfigFromEnv } from "../src/config/config.ts";
import { directFetch } from "../src/cli/direct_fetch.ts";
import { systemOf } from "../src/server/system.ts";
import { type Running, start } from "../src/server/serve.ts";
import { startSimulatedUpstream } from "./simulated_upstream.ts";

const CREDENTIALS = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY_FILE", "ANTHROPIC_AUTH_TOKEN_FILE"];
const TOKEN_LIFE_MS = 7 * 24 * 3_600_000;

const isSimulated = !CREDENTIALS.some((name) => Deno.env.get(name));
const upstream = isSimulated ? await startSimulatedUpstream() : null;
const settings: Record<string, string> = {
  LLMPROXY_DRAIN_LEAD_SECONDS: Deno.env.get("LLMPROXY_DRAIN_LEAD_SECONDS") ?? "0",
  ...(upstream === null ? {} : { ANTHROPIC_API_KEY: "sk-simulated", ANTHROPIC_BASE_URL: upstream.url }),
};
const source = {
  env: (name: string) => settings[name] ?? Deno.env.get(name),
  names: Object.keys(Deno.env.toObject()),
  readFile: (path: string) => Deno.readTextFileSync(path),
};
const system = systemOf(source);
const running = await startOrExplain();
const proxy = `http://127.0.0.1:${running.proxyAddress.port}`;
const admin = `http://127.0.0.1:${running.adminAddress.port}`;
const token = await makeToken();

console.log(`
llmproxy is running. Ctrl-C ends it.

  proxy     ${proxy}
  admin     ${admin}  (token in ${source.env("LLMPROXY_DATA_DIR") ?? "./data"}/admin-token)
  upstream  ${
  upstream === null
    ? source.env("ANTHROPIC_BASE_URL") ?? "https://api.anthropic.com"
    : "simulated: set ANTHROPIC_API_KEY for the real one"
}
  token     ${token}

Stream an answer:

  curl -N ${proxy}/v1/messages -H 'x-api-key: ${token}' -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' -H 'x-trace-id: first-call' -d '{"model":"claude-haiku-4-5","max_tokens":200,"stream":true,"messages":[{"role":"user","content":"Hello"}]}'

See its usage row:

  curl -s ${admin}/internal/traces/first-call -H 'authorization: Bearer ${running.adminToken()}'

Point Claude Code at it:

  export ANTHROPIC_BASE_URL=${proxy}
  export ANTHROPIC_API_KEY=${token}
`);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => void stop());
}

async function stop(): Promise<never> {
  await running.stop();
  await upstream?.close();
  await system.flushLog();
  return Deno.exit(0);
}

/** Tells the developer what to fix, without a stack. */
async function startOrExplain(): Promise<Running> {
  try {
    return await start(loadConfigFromEnv(source), system);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return Deno.exit(1);
  }
}

async function makeToken(): Promise<string> {
  const answer = await directFetch(`${admin}/internal/tokens`, {
    method: "POST",
    headers: { authorization: `Bearer ${running.adminToken()}`, "content-type": "application/json" },
    body: JSON.stringify({
      workspaceId: "dev",
      sandboxId: "dev-sandbox",
      expiresAt: new Date(system.now() + TOKEN_LIFE_MS).toISOString(),
    }),
  });
  if (!answer.ok) throw new Error(`Cannot make a token: ${answer.status} ${await answer.text()}`);
  return (await answer.json()).token;
}
