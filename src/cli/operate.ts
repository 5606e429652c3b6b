import { loadClientConfig, loadStorageConfig } from "../config/config.ts";
import { adminClient, localUrlOf } from "./admin_client.ts";
import { type CliSystem, CommandFailure, isoOf } from "./system.ts";

/** A container's health check waits no longer either. */
const HEALTH_TIMEOUT_MS = 3_000;

/** `llmproxy health`: asks the proxy on this machine whether it runs, or whether it is ready. */
export async function healthCommand({ source, fetch, stdout }: CliSystem, options: { readonly ready?: true }): Promise<void> {
  const { proxyAddress } = loadClientConfig(source);
  const url = `${localUrlOf(proxyAddress)}${options.ready ? "/readyz" : "/healthz"}`;
  const answer = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) }).catch((cause) => {
    throw new CommandFailure(`Cannot reach ${url}: is the proxy running?`, { cause });
  });
  const text = (await answer.text()).trim();
  if (!answer.ok) throw new CommandFailure(`${url} answers ${answer.status}: ${text}`);
  stdout("ok\n");
}

/** `llmproxy migrate`: brings the databases up to this program's schema. */
export async function migrateCommand({ source, migrate, stdout }: CliSystem): Promise<void> {
  for (const { name, from, to } of await migrate(loadStorageConfig(source))) {
    const did = from === to ? `nothing to apply: the schema has version ${to}` : `the schema went from version ${from} to ${to}`;
    stdout(`${name}: ${did}\n`);
  }
}

/** `llmproxy reship`: has the running proxy ship the rows that it recorded since then again. */
export async function reshipCommand(system: CliSystem, { since }: { readonly since: number }): Promise<void> {
  const queued = await adminClient(system).reship(since);
  system.stdout(`${queued} rows since ${isoOf(since)} are being shipped again; rows that have arrived already count once\n`);
}
