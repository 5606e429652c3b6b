import type { Config } from "../../config/config.ts";
import { SignInFailed } from "../../domain/sign_in.ts";
import { oidcSignIn } from "../../identity/oidc.ts";
import { upstreamClients } from "../http_clients.ts";
import { type Finding, findingsOf } from "./finding.ts";

const openId = findingsOf("OpenID provider");

/** Asks it what it is. Only a person who signs in shows whether the client's secret is right. */
export async function examineOpenIdProvider(config: Config, elapsed: () => number): Promise<Finding> {
  const { oidc } = config;
  if (oidc === null) return openId.skipped("LLMPROXY_OIDC_ISSUER is not set: tokens alone open the dashboard");
  const clients = upstreamClients(config);
  try {
    await oidcSignIn({ ...oidc, clientSecret: () => oidc.clientSecret, fetch: clients.fetch, elapsed }).begin();
    return openId.ok(`${oidc.issuer} answers, and calls itself so`);
  } catch (error) {
    if (!(error instanceof SignInFailed)) throw error;
    return openId.warning(
      `No one can sign in at ${oidc.issuer}: ${error.cause}`,
      "Compare LLMPROXY_OIDC_ISSUER with the issuer in its document /.well-known/openid-configuration. Tokens still open the dashboard.",
    );
  } finally {
    clients.close();
  }
}
