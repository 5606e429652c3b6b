import { Fault } from "../domain/fault.ts";
import type { SandboxOf } from "../domain/sandbox.ts";
import { LOCAL_TOKEN_PREFIX } from "../domain/tokens.ts";

/** In characters. A longer token is refused. */
export const MAX_TOKEN_LENGTH = 4096;

const VISIBLE_ASCII = /^[\x21-\x7e]+$/;

/**
 * Asks the one authority that a token belongs to. Local tokens never go to the control plane, and
 * others are never looked up in the table. `agentserver` is null if none is configured. Refuses
 * what cannot be a token without asking either.
 */
export function sandboxOf(
  { agentserver, local }: { readonly agentserver: SandboxOf | null; readonly local: SandboxOf },
): SandboxOf {
  return (token, again) => {
    if (token.length > MAX_TOKEN_LENGTH || !VISIBLE_ASCII.test(token)) return refused();
    if (token.startsWith(LOCAL_TOKEN_PREFIX)) return local(token);
    return agentserver === null ? refused() : agentserver(token, again);
  };
}

function refused(): Promise<never> {
  return Promise.reject(new Fault("unauthenticated", "invalid proxy token"));
}
