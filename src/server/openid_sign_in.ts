import type { OidcConfig } from "../config/oidc_settings.ts";
import type { OpenIdSignIn } from "../domain/sign_in.ts";
import { oidcSignIn } from "../identity/oidc.ts";
import { plainFetch } from "../wire/plain_fetch.ts";
import type { HttpClients } from "./http_clients.ts";
import type { ServerSystem } from "./system.ts";
import type { Live } from "./upstream_parts.ts";

/** Asks the provider the way that all calls take; null if the settings name none. */
export function openIdSignIn(
  oidc: OidcConfig | null,
  { live, clients, system: { elapsed } }: {
    readonly live: Live;
    readonly clients: HttpClients;
    readonly system: Pick<ServerSystem, "elapsed">;
  },
): OpenIdSignIn | null {
  if (oidc === null) return null;
  return oidcSignIn({
    ...oidc,
    clientSecret: () => live.secrets.oidcClientSecret,
    fetch: plainFetch(clients.fetch),
    elapsed,
  });
}
