import { timeLimit } from "../../async/deadline.ts";
import type { Config } from "../../config/config.ts";
import { validateProxyToken } from "../../identity/validate_proxy_token.ts";
import { upstreamClients } from "../http_clients.ts";
import { type Finding, findingsOf, wordsOfError } from "./finding.ts";

const controlPlane = findingsOf("control plane");

const PROTOCOL =
  "docs/operations.md#connect-a-control-plane says what it has to answer. While it is away, known tokens work for " +
  "LLMPROXY_AGENTSERVER_GRACE_SECONDS, and all others get 503.";

/** Asks the control plane about `madeUp`, a token that no one has: it has to say so. */
export async function examineControlPlane(config: Config, madeUp: string): Promise<Finding> {
  const { agentserver } = config;
  if (agentserver === null) return controlPlane.skipped("LLMPROXY_AGENTSERVER_URL is not set: only local tokens work");
  const { url, timeoutMs } = agentserver;
  const clients = upstreamClients(config);
  using limit = timeLimit(timeoutMs, () => new Error(`no answer within ${timeoutMs / 1_000} s`));
  try {
    const info = await validateProxyToken(madeUp, { url, fetch: clients.fetch, signal: limit.signal });
    if (info === null) return controlPlane.ok(`${url} answers, and refuses a token that no one has`);
    return controlPlane.failed(
      `${url} accepts a token that no one has`,
      "Anyone can call with any token. Correct the control plane first.",
    );
  } catch (error) {
    return controlPlane.failed(`${url} does not say whether a token is good: ${wordsOfError(error)}`, PROTOCOL);
  } finally {
    clients.close();
  }
}
