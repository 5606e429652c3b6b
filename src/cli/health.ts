import { localUrlOf } from "./admin_client.ts";
import { loadClientConfig } from "../config/config.ts";
import { CommandFailure, configSourceOf, type Platform } from "./system.ts";

/** A container's health check waits no longer than that either. */
const TIMEOUT_MS = 3_000;

/** `llmproxy health`: asks the proxy on this machine whether it lives, or whether it can serve and record. */
export async function healthCommand(platform: Platform, { ready }: { readonly ready: boolean }): Promise<void> {
  const { proxyAddress } = loadClientConfig(configSourceOf(platform));
  const url = `${localUrlOf(proxyAddress)}${ready ? "/readyz" : "/healthz"}`;
  const answer = await platform.fetch(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((cause) => {
    throw new CommandFailure(`Cannot reach ${url}: is the proxy running?`, { cause });
  });
  const text = (await answer.text()).trim();
  if (!answer.ok) throw new CommandFailure(`${url} answers ${answer.status}: ${text}`);
  platform.stdout("ok\n");
}
