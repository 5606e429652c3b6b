import type { OidcOptions } from "../identity/oidc.ts";
import type { SettingName } from "./settings.ts";
import type { SettingsReader } from "./settings_reader.ts";

/** The settings of sign-in at an OpenID provider. */
export interface OidcConfig extends Pick<OidcOptions, "issuer" | "clientId" | "scopes" | "people" | "redirectUrl"> {
  readonly clientSecret: string | null;
}

/** The path that an operator registers at the provider. */
const CALLBACK_PATH = "/dashboard/oidc/callback";
const OTHERS: readonly SettingName[] = [
  "LLMPROXY_OIDC_CLIENT_ID",
  "LLMPROXY_OIDC_CLIENT_SECRET",
  "LLMPROXY_OIDC_ADMINS",
  "LLMPROXY_OIDC_VIEWERS",
];

/** Null if no one signs in at a provider. A setting that would do nothing is a problem. */
export function readOidc(reader: SettingsReader): OidcConfig | null {
  const issuer = reader.read("LLMPROXY_OIDC_ISSUER");
  const clientId = reader.read("LLMPROXY_OIDC_CLIENT_ID");
  const dashboardUrl = reader.read("LLMPROXY_DASHBOARD_URL");
  const clientSecret = reader.read("LLMPROXY_OIDC_CLIENT_SECRET");
  const people = { admin: reader.read("LLMPROXY_OIDC_ADMINS") ?? [], viewer: reader.read("LLMPROXY_OIDC_VIEWERS") ?? [] };
  const scopes = reader.read("LLMPROXY_OIDC_SCOPES");
  if (!reader.isSet("LLMPROXY_OIDC_ISSUER")) {
    const set = OTHERS.filter((name) => reader.isSet(name));
    if (set.length > 0) reader.problems.push(`Cannot use ${set.join(" and ")} without LLMPROXY_OIDC_ISSUER: set it too`);
    return null;
  }
  for (const name of ["LLMPROXY_OIDC_CLIENT_ID", "LLMPROXY_DASHBOARD_URL"] as const) {
    if (!reader.isSet(name)) reader.problems.push(`Cannot sign anyone in at LLMPROXY_OIDC_ISSUER without ${name}: set it too`);
  }
  if (!reader.isSet("LLMPROXY_OIDC_ADMINS") && !reader.isSet("LLMPROXY_OIDC_VIEWERS")) {
    reader.problems.push("Cannot let anyone in by LLMPROXY_OIDC_ISSUER: set LLMPROXY_OIDC_ADMINS or LLMPROXY_OIDC_VIEWERS");
  }
  if (issuer === null || clientId === null || dashboardUrl === null) return null;
  return { issuer, clientId, clientSecret, scopes, people, redirectUrl: `${dashboardUrl}${CALLBACK_PATH}` };
}
