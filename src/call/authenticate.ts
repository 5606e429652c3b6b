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
  if (ownCredentials.length > 0 && TOKEN_HEADERS.every((name) => !headers.get(name))) {
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

/** Where clients put a token. None of these goes upstream. */
export const TOKEN_HEADERS: readonly string[] = ["x-api-key", "x-goog-api-key", "authorization"];

const IN_URL = "A key or a proxy token does not belong in the URL.";

const SIGNED = "The request is signed with AWS keys, which the proxy cannot check. Send the proxy token as a Bearer token: " +
  "set AWS_BEARER_TOKEN_BEDROCK to it.";

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
 * The token in `x-api-key`, `x-goog-api-key` or `Authorization: Bearer` (RFC 6750, section 2.1).
 * Anthropic's SDK 0.x sends the first, 1.x the last, Google's the second. Throws `Fault`
 * `unauthenticated` if all are missing, or if two differ. No message names `x-api-key`: Claude Code
 * (2.1.332) shows "Invalid API key" in its place.
 */
export function tokenOf(headers: Pick<Fields, "get">): string {
  const [plain, google] = [headers.get("x-api-key") || null, headers.get("x-goog-api-key") || null];
  const key = plain ?? google;
  const authorization = headers.get("authorization") || null;
  const bearer = authorization === null ? null : /^bearer +(\S+)$/i.exec(authorization)?.[1] ?? null;
  if (authorization !== null && bearer === null) {
    if (/^aws4-hmac/i.test(authorization)) throw new Fault("unauthenticated", SIGNED);
    throw new Fault("unauthenticated", "Cannot read the Authorization header: expected Bearer and a proxy token.");
  }
  if (new Set([plain, google, bearer].filter((value) => value !== null)).size > 1) {
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
