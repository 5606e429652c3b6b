import { timingSafeEqual } from "node:crypto";
import { LRUCache } from "lru-cache";
import { Fault } from "../domain/fault.ts";
import type { NewId } from "../domain/ids.ts";
import type { Observe } from "../domain/observe.ts";
import type { Sandbox, SandboxOf } from "../domain/sandbox.ts";
import { LOCAL_TOKEN_PREFIX, type LocalToken, type NewToken, type TokenAdmin, type Tokens } from "../domain/tokens.ts";
import { LOOK_UP_LIMITS, LookupLimiter } from "./lookup_limiter.ts";
import { sha256OfToken } from "./token_hash.ts";

export interface LocalTokensOptions {
  readonly tokens: Tokens;
  readonly newId: NewId;
  /** That many bytes from a cryptographic source. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly observe: Pick<Observe, "lookedUp">;
  /** How long one look-up in the store may take, its wait for a turn included. */
  readonly timeoutMs: number;
}

/** The local tokens of this replica. A revocation must come through here to act at once. */
export interface LocalTokens extends TokenAdmin {
  readonly sandboxOf: SandboxOf;
}

/** 256 bits: nothing to guess, so a plain hash of the token is enough to keep. */
const TOKEN_BYTES = 32;
/** How long an answer of the store is used, and so how long another replica's revocation takes to act here. */
const CACHED_MS = 5_000;
/** Entries of each of the two caches: made-up tokens fill the one of the bad and push no good token out. */
const MAX_ENTRIES = 10_000;

/**
 * Local tokens over the store that keeps them. While the store cannot be asked, a token works for the rest of its
 * `CACHED_MS` and is `authority_unavailable` then: there is no grace here, for a revocation must act within 5 s everywhere.
 */
export function localTokens(options: LocalTokensOptions): LocalTokens {
  const { tokens } = options;
  const cache = new CachedTokens(options);
  return {
    sandboxOf: (token) => cache.sandboxOf(token),
    create: (wish) => createLocalToken(wish, options),
    list: (workspaceId) => tokens.listTokens(workspaceId),
    revoke: (id) => cache.revoke(id),
  };
}

/** A new token, `llmp_` and 32 random bytes in base64url; resolves when it is committed. */
export async function createLocalToken(
  wish: NewToken,
  { tokens, newId, randomBytes, now }: Pick<LocalTokensOptions, "tokens" | "newId" | "randomBytes" | "now">,
): Promise<{ readonly token: string; readonly kept: LocalToken }> {
  const token = LOCAL_TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toBase64({ alphabet: "base64url", omitPadding: true });
  const { workspaceId, sandboxId, expiresAt } = wish;
  const kept = { id: `lt-${newId()}`, workspaceId, sandboxId, createdAt: now(), expiresAt, revokedAt: null };
  await tokens.createToken(kept, sha256OfToken(token));
  return { token, kept };
}

class CachedTokens {
  readonly #options: LocalTokensOptions;
  readonly #lookUps: LookupLimiter;
  readonly #good = new LRUCache<string, { readonly token: LocalToken; readonly askedAt: number }>({ max: MAX_ENTRIES });
  /** Tokens that were never made, and those that were revoked, which are remembered by whose they were. */
  readonly #bad = new LRUCache<string, { readonly token: LocalToken | null; readonly askedAt: number }>({ max: MAX_ENTRIES });
  readonly #flights = new Map<string, Promise<LocalToken | null>>();
  /** Grows with each revocation here: a look-up that began before one may have read what no longer holds. */
  #revocations = 0;

  constructor(options: LocalTokensOptions) {
    this.#options = options;
    this.#lookUps = new LookupLimiter({ ...LOOK_UP_LIMITS, timeoutMs: options.timeoutMs });
  }

  async sandboxOf(token: string): Promise<Sandbox> {
    const hash = sha256OfToken(token);
    let found = this.#cached(hash);
    if (found !== undefined) {
      this.#options.observe.lookedUp("local", "cached");
    } else {
      const joined = this.#flights.get(hash);
      found = await (joined ?? this.#takeOff(hash));
      if (joined !== undefined) this.#options.observe.lookedUp("local", "cached");
    }
    const sandbox = ownerOf(found);
    if (found === null || sandbox === null) throw new Fault("unauthenticated", "invalid proxy token");
    const hasExpired = found.expiresAt !== null && found.expiresAt <= this.#options.now();
    if (hasExpired || found.revokedAt !== null) throw new Fault("unauthenticated", "invalid proxy token", { sandbox });
    return sandbox;
  }

  async revoke(id: string): Promise<LocalToken | null> {
    const { tokens, now } = this.#options;
    try {
      return await tokens.revokeToken(id, now());
    } finally {
      // Also where the store failed: what it says when it is asked again holds.
      this.#revocations++;
      for (const [hash, { token }] of this.#good.entries()) {
        if (token.id === id) this.#good.delete(hash);
      }
    }
  }

  #cached(hash: string): LocalToken | null | undefined {
    const youngest = this.#options.now() - CACHED_MS;
    const good = this.#good.get(hash);
    if (good !== undefined && good.askedAt > youngest) return good.token;
    const bad = this.#bad.get(hash);
    return bad !== undefined && bad.askedAt > youngest ? bad.token : undefined;
  }

  #takeOff(hash: string): Promise<LocalToken | null> {
    const flight = this.#lookUp(hash).finally(() => this.#flights.delete(hash));
    this.#flights.set(hash, flight);
    return flight;
  }

  /** The token of that hash, also if it is revoked; asked for again if a revocation here came in between. */
  async #lookUp(hash: string): Promise<LocalToken | null> {
    const { tokens, now, observe } = this.#options;
    try {
      for (;;) {
        const [revocations, askedAt] = [this.#revocations, now()];
        const found = await this.#lookUps.run(() => tokens.findToken(hash));
        if (revocations !== this.#revocations) continue;
        const token = found !== null && isSameHash(found.sha256, hash) ? found.token : null;
        if (token?.revokedAt === null) this.#good.set(hash, { token, askedAt });
        else this.#bad.set(hash, { token, askedAt });
        observe.lookedUp("local", token?.revokedAt === null ? "known" : "unknown");
        return token;
      }
    } catch (cause) {
      observe.lookedUp("local", "unavailable");
      const sandbox = ownerOf((this.#good.peek(hash) ?? this.#bad.peek(hash))?.token ?? null);
      throw new Fault("authority_unavailable", "the proxy token cannot be checked at the moment", { cause, sandbox });
    }
  }
}

function ownerOf(token: LocalToken | null): Sandbox | null {
  return token === null ? null : { sandboxId: token.sandboxId, workspaceId: token.workspaceId, tokenId: token.id };
}

/** In constant time, for the store's own comparison need not be. */
function isSameHash(kept: string, asked: string): boolean {
  const [a, b] = [Uint8Array.fromHex(kept), Uint8Array.fromHex(asked)];
  return a.length === b.length && timingSafeEqual(a, b);
}
