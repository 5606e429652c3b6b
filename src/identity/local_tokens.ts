import { timingSafeEqual } from "node:crypto";
import { SingleFlight } from "../async/single_flight.ts";
import { type Actor, stampOf } from "../domain/audit.ts";
import { Fault } from "../domain/fault.ts";
import type { NewId } from "../domain/ids.ts";
import type { Observe } from "../domain/observe.ts";
import type { Sandbox, SandboxOf } from "../domain/sandbox.ts";
import { LOCAL_TOKEN_PREFIX, type LocalToken, type NewToken, type TokenAdmin, type Tokens } from "../domain/tokens.ts";
import { LOOKUP_LIMITS, LookupLimiter } from "./lookup_limiter.ts";
import { sha256OfToken, TokenCache } from "./token_cache.ts";

export interface LocalTokensOptions {
  readonly tokens: Tokens;
  readonly newId: NewId;
  /** That many bytes from a cryptographic source. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly observe: Pick<Observe, "lookedUp">;
  /** How long one lookup in the store may take, its wait for a turn included. */
  readonly timeoutMs: number;
}

/** The local tokens of this replica. A revocation must come through here to take effect at once. */
export interface LocalTokens extends TokenAdmin {
  readonly sandboxOf: SandboxOf;
  /** The token of that id was revoked by another process of this machine. */
  readonly forget: (id: string) => void;
}

/** 256 bits cannot be guessed, so a plain hash is enough to store. */
const TOKEN_BYTES = 32;
/** How long an answer is used, and so the longest delay of another replica's revocation. */
const CACHED_MS = 5_000;

/**
 * Local tokens over the store that keeps them. While the store is down, a token works for the rest
 * of its `CACHED_MS`; then it is `authority_unavailable`. There is no grace period here, because a
 * revocation must act within 5 s everywhere.
 */
export function localTokens(options: LocalTokensOptions): LocalTokens {
  const { tokens, now, observe, timeoutMs } = options;
  const limiter = new LookupLimiter({ ...LOOKUP_LIMITS, timeoutMs });
  /** A bad answer is null if there is no such token, or the revoked token, for its owner. */
  const cache = new TokenCache<LocalToken | null>({
    isGood: (token) => token?.revokedAt === null,
    goodMs: CACHED_MS,
    badMs: CACHED_MS,
  });
  const flights = new SingleFlight<string, LocalToken | null>();
  /** Number of revocations here. A lookup that started before one may be outdated. */
  let revocations = 0;

  /** The token, even if revoked. Asks again if a token was revoked here meanwhile. */
  async function lookUp(hash: string): Promise<LocalToken | null> {
    try {
      for (;;) {
        const [before, at] = [revocations, now()];
        const found = await limiter.run(() => tokens.findToken(hash));
        if (before !== revocations) continue;
        const token = found !== null && isSameHash(found.sha256, hash) ? found.token : null;
        cache.answered(hash, token, at);
        observe.lookedUp("local", token?.revokedAt === null ? "known" : "unknown");
        return token;
      }
    } catch (cause) {
      observe.lookedUp("local", "unavailable");
      const sandbox = ownerOf(cache.latest(hash));
      throw new Fault("authority_unavailable", "the proxy token cannot be checked at the moment", { cause, sandbox });
    }
  }

  function forget(id: string): void {
    revocations++;
    cache.forget((token) => token?.id === id);
  }

  return {
    forget,
    create: (wanted, by) => createLocalToken(wanted, { ...options, by }),
    list: (workspaceId) => tokens.listTokens(workspaceId),
    async sandboxOf(token) {
      const hash = sha256OfToken(token);
      const cached = cache.fresh(hash, now());
      const joined = flights.has(hash);
      const found = cached !== null ? cached.answer : await flights.run(hash, () => lookUp(hash));
      if (cached !== null || joined) observe.lookedUp("local", "cached");
      const sandbox = ownerOf(found);
      if (found === null || sandbox === null) throw new Fault("unauthenticated", "invalid proxy token");
      const hasExpired = found.expiresAt !== null && found.expiresAt <= now();
      if (hasExpired || found.revokedAt !== null) throw new Fault("unauthenticated", "invalid proxy token", { sandbox });
      return sandbox;
    },
    async revoke(id, by) {
      try {
        return await tokens.revokeToken(id, stampOf(by, options));
      } finally {
        // If the store failed too: the next lookup tells whether it revoked the token.
        forget(id);
      }
    },
  };
}

/** Makes a token, `llmp_` and 32 random bytes in base64url. Resolves when it is committed. */
export async function createLocalToken(
  wanted: NewToken,
  { tokens, by, ...system }: Pick<LocalTokensOptions, "tokens" | "newId" | "randomBytes" | "now"> & { readonly by: Actor },
): Promise<{ readonly token: string; readonly record: LocalToken }> {
  const token = LOCAL_TOKEN_PREFIX + system.randomBytes(TOKEN_BYTES).toBase64({ alphabet: "base64url", omitPadding: true });
  const { workspaceId, sandboxId, expiresAt } = wanted;
  const record = { id: `lt-${system.newId()}`, workspaceId, sandboxId, createdAt: system.now(), expiresAt, revokedAt: null };
  await tokens.createToken(record, sha256OfToken(token), stampOf(by, system));
  return { token, record };
}

function ownerOf(token: LocalToken | null): Sandbox | null {
  return token === null ? null : { sandboxId: token.sandboxId, workspaceId: token.workspaceId, tokenId: token.id };
}

/** In constant time, because the store's own comparison need not be. */
function isSameHash(kept: string, asked: string): boolean {
  const [a, b] = [Uint8Array.fromHex(kept), Uint8Array.fromHex(asked)];
  return a.length === b.length && timingSafeEqual(a, b);
}
