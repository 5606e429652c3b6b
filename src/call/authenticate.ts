import { Fault } from "../domain/fault.ts";
import { type Fields, HeaderFields } from "../domain/header_fields.ts";
import type { Provider } from "../domain/provider.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { holdsSecret } from "../wire/secrets.ts";
import type { Deps, IncomingCall } from "./deps.ts";

/** Who calls, and the proxy token that says so. */
export interface Caller {
  readonly sandbox: Sandbox;
  readonly token: string;
}

/**
 * Finds out whose proxy token the request carries. Rejects with `Fault` `unauthenticated`,
 * `sandbox_inactive`, `suspended` or `authority_unavailable`.
 */
export async function authenticate({ request: { headers }, ownCredentials, target }: IncomingCall, deps: Deps): Promise<Caller> {
  if (ownCredentials.some((secret) => holdsSecret(target, secret))) throw new Fault("unauthenticated", IN_URL);
  if (ownCredentials.length > 0 && !headers.get("x-api-key") && !headers.get("authorization")) {
    throw new Fault(
      "unauthenticated",
      "The key that was sent is the model provider's own, not a proxy token. Send the proxy token in its place; " +
        "the proxy's operator has it.",
    );
  }
  const token = tokenOf(headers);
  if (holdsSecret(target, token)) throw new Fault("unauthenticated", IN_URL);
  const sandbox = await deps.sandboxOf(token);
  deps.stops.assertMayCall(sandbox);
  return { sandbox, token };
}

const IN_URL = "A key or a proxy token does not belong in the URL.";

/**
 * The request as if its client had sent no credential of the upstream's own. Users often have one
 * beside the proxy token. Any header that holds it is dropped, and no authority is asked about it.
 */
export function withoutOwnCredentials<R extends { readonly headers: Fields }>(
  request: R,
  { credentialHeaders, credentialShape }: Pick<Provider, "credentialHeaders" | "credentialShape">,
): { readonly request: R; readonly ownCredentials: readonly string[] } {
  const shown = credentialHeaders.map((name) => request.headers.get(name)?.replace(/^bearer +/i, "") ?? "");
  const others = [...request.headers].filter(([name]) => !credentialHeaders.includes(name)).map(([, value]) => value);
  const elsewhere = others.flatMap((value) => value.match(credentialShape) ?? []);
  const ownCredentials = [...new Set([...shown.filter((value) => value.match(credentialShape)?.[0] === value), ...elsewhere])];
  if (ownCredentials.length === 0) return { request, ownCredentials };
  const headers = new HeaderFields(
    [...request.headers].filter(([name, value]) => !ownCredentials.some((secret) => isHeldBy(secret, { name, value }))),
  );
  return { request: { ...request, headers }, ownCredentials };
}

/** Header names come in lower case. */
function isHeldBy(secret: string, { name, value }: { readonly name: string; readonly value: string }): boolean {
  return holdsSecret(value, secret) || name.includes(secret.toLowerCase());
}

/**
 * The token in `x-api-key` or in `Authorization: Bearer` (RFC 6750, section 2.1). SDK 0.x sends the
 * first, 1.x the second. Throws `Fault` `unauthenticated` if both are missing, or if they differ.
 * No message names `x-api-key`: Claude Code (2.1.332) shows "Invalid API key" in its place.
 */
export function tokenOf(headers: Pick<Fields, "get">): string {
  const key = headers.get("x-api-key") || null;
  const authorization = headers.get("authorization") || null;
  const bearer = authorization === null ? null : /^bearer +(\S+)$/i.exec(authorization)?.[1] ?? null;
  if (authorization !== null && bearer === null) {
    throw new Fault("unauthenticated", "Cannot read the Authorization header: expected Bearer and a proxy token.");
  }
  if (key !== null && bearer !== null && key !== bearer) {
    throw new Fault(
      "unauthenticated",
      "The request carries two different proxy tokens, one as its API key and one in Authorization: send one of them.",
    );
  }
  const token = key ?? bearer;
  if (token === null) {
    throw new Fault(
      "unauthenticated",
      "The request carries no proxy token: send it as the API key, or in Authorization as a Bearer token.",
    );
  }
  return token;
}
