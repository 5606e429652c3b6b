import { deadline } from "../../async/deadline.ts";
import type { LocalToken, TokenCopies, TokenCopy, Tokens } from "../../domain/tokens.ts";

export interface CachedTokensOptions {
  /** In the shared database, which may be down. */
  readonly shared: Tokens;
  /** On this machine. */
  readonly copies: TokenCopies;
  /** How long a copy stands in for the shared database. */
  readonly graceMs: number;
  readonly now: () => number;
}

/** How long a lookup waits for the shared database if there is a copy. */
const PATIENCE_MS = 300;
/** How often a shared database that failed is asked again, in the background. */
const PROBE_MS = 1_000;
/** A copy that was confirmed within this time is not written again. */
const STALE_MS = 60_000;

/**
 * The shared database's tokens, and copies that serve while it is down. A copy still expires, and a
 * revocation that this machine knows of always holds. A revocation made elsewhere takes effect when
 * the database is back.
 */
export function cachedTokens({ shared, copies, graceMs, now }: CachedTokensOptions): Tokens {
  /** When the shared database last failed or was late; null if its latest answer came in time. */
  let failedAt: number | null = null;
  let isProbing = false;

  function probe(sha256: string, copy: TokenCopy): void {
    if (isProbing || failedAt === null || Math.abs(now() - failedAt) < PROBE_MS) return;
    isProbing = true;
    findAndKeep(sha256, copy).catch(() => {}).finally(() => isProbing = false);
  }

  /** Asks the shared database and updates the copy. */
  async function findAndKeep(sha256: string, copy: TokenCopy | null): ReturnType<Tokens["findToken"]> {
    const found = await shared.findToken(sha256).catch((error) => {
      failedAt = now();
      throw error;
    });
    failedAt = null;
    // A copy that cannot be written must not refuse a good token.
    await keep(found?.token ?? null, { sha256, copy }).catch(() => {});
    const revokedHere = copy?.token.revokedAt ?? null;
    return found === null || revokedHere === null ? found : { ...found, token: { ...found.token, revokedAt: revokedHere } };
  }

  async function keep(
    token: LocalToken | null,
    { sha256, copy }: { readonly sha256: string; readonly copy: TokenCopy | null },
  ): Promise<void> {
    const seenAt = now();
    if (token !== null) {
      const isFresh = copy !== null && token.revokedAt === null && Math.abs(seenAt - copy.seenAt) < STALE_MS;
      if (!isFresh) await copies.keepTokenCopy(token, sha256, { seenAt });
    } else if (copy !== null) {
      await copies.revokeTokenCopy(copy.token.id, seenAt);
    }
  }

  return {
    async findToken(sha256) {
      const copy = await copies.findTokenCopy(sha256).catch(() => null);
      if (copy === null || now() - copy.seenAt >= graceMs) return await findAndKeep(sha256, copy);
      if (failedAt !== null) {
        probe(sha256, copy);
        return copy;
      }
      return await deadline(findAndKeep(sha256, copy), PATIENCE_MS, () => new Error("late")).catch(() => {
        failedAt = now();
        return copy;
      });
    },
    async createToken(token, sha256, stamp) {
      await shared.createToken(token, sha256, stamp);
      await keep(token, { sha256, copy: null }).catch(() => {});
    },
    listTokens: (workspaceId) => shared.listTokens(workspaceId),
    async revokeToken(id, stamp) {
      await copies.revokeTokenCopy(id, stamp.at);
      return await shared.revokeToken(id, stamp);
    },
  };
}
