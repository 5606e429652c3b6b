import { Fault } from "../domain/fault.ts";
import type { Sandbox } from "../domain/sandbox.ts";
import { holdsSecret } from "../wire/secrets.ts";
import type { Arrival, World } from "./world.ts";

/** Finds out whose proxy token the request carries. */
export async function authenticate(arrival: Arrival, world: World): Promise<Sandbox> {
  const token = tokenOf(arrival.request.headers);
  if (holdsSecret(arrival.target, token)) throw new Fault("unauthenticated", "A proxy token does not belong into the URL.");
  arrival.sandbox = await world.sandboxOf(token);
  return arrival.sandbox;
}

/**
 * The token in `x-api-key` or in `Authorization: Bearer` (RFC 6750 section 2.1). SDK 0.x sends the first, 1.x the second.
 * Throws `Fault` `unauthenticated` where there is none, or where both are there and differ.
 */
export function tokenOf(headers: Headers): string {
  const key = headers.get("x-api-key") || null;
  const authorization = headers.get("authorization") || null;
  const bearer = authorization === null ? null : /^bearer +(\S+)$/i.exec(authorization)?.[1] ?? null;
  if (authorization !== null && bearer === null) {
    throw new Fault("unauthenticated", "Cannot read the Authorization header: expected Bearer and a proxy token.");
  }
  if (key !== null && bearer !== null && key !== bearer) {
    throw new Fault("unauthenticated", "x-api-key and Authorization carry different proxy tokens: send one of them.");
  }
  const token = key ?? bearer;
  if (token === null) {
    throw new Fault("unauthenticated", "No proxy token: send it as x-api-key or as Authorization: Bearer.");
  }
  return token;
}
