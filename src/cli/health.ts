import { localUrlOf } from "./admin_client.ts";
import { loadClientConfig } from "../config/config.ts";
import { type CliSystem, CommandFailure, configSourceOf } from "./system.ts";

/** A container's health check waits no longer than that either. */
const TIMEOUT_MS = 3_000;

/** `llmproxy health`: asks the proxy on this machine whether it lives, or whether it can serve and record. */
export async function healthCommand(system: CliSystem, { ready }: { readonly ready: boolean }): Promise<void> {
  const { proxyAddress } = loadClientConfig(configSourceOf(system));
  const url = `${localUrlOf(proxyAddress)}${ready ? "/readyz" : "/healthz"}`;
  const answer = await system.fetch(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((cause) => {
    throw new CommandFailure(`Cannot reach ${url}: is the proxy running?`, { cause });
  });
  const text = (await answer.text()).trim();
  if (!answer.ok) throw new CommandFailure(`${url} answers ${answer.status}: ${text}`);
  system.stdout("ok\n");
}
