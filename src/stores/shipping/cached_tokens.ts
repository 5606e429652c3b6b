import type { LocalToken, TokenCopies, TokenCopy, Tokens } from "../../domain/tokens.ts";
import { within } from "../within.ts";

export interface TokensNearbyOptions {
  /** In the shared database, which may be away. */
  readonly shared: Tokens;
  /** On this machine. */
  readonly copies: TokenCopies;
  /** How long a copy stands in for the shared database. */
  readonly graceMs: number;
  readonly now: () => number;
}

/** How long a token of which there is a copy waits for the shared database's own word. */
const PATIENCE_MS = 300;
/** Between two looks whether a shared database that failed is back. Nobody waits for them for whom a copy will do. */
const LOOK_MS = 1_000;
/** A copy that was vouched for within this is not written again. */
const STALE_MS = 60_000;

/**
 * The shared database's tokens, which work on by their copies while it is away. A copy's expiry counts as ever, and a
 * revocation that this machine knows of is never forgotten; one that was made elsewhere acts when the database is back.
 */
export function cachedTokens({ shared, copies, graceMs, now }: TokensNearbyOptions): Tokens {
  /** When the shared database failed last, or was too late; null where its last word came in time. */
  let failedAt: number | null = null;
  let isLooking = false;

  async function findShared(sha256: string): ReturnType<Tokens["findToken"]> {
    try {
      const found = await shared.findToken(sha256);
      failedAt = null;
      return found;
    } catch (error) {
      failedAt = now();
      throw error;
    }
  }

  function lookWhetherBack(sha256: string, copy: TokenCopy): void {
    if (isLooking || failedAt === null || Math.abs(now() - failedAt) < LOOK_MS) return;
    isLooking = true;
    findAndKeep(sha256, copy).catch(() => {}).finally(() => isLooking = false);
  }

  /** What the shared database says now; the copy learns of it. */
  async function findAndKeep(sha256: string, copy: TokenCopy | null): ReturnType<Tokens["findToken"]> {
    const found = await findShared(sha256);
    // A copy that cannot be kept must not cost a token that the shared database vouches for.
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
        lookWhetherBack(sha256, copy);
        return copy;
      }
      return await within(PATIENCE_MS, findAndKeep(sha256, copy)).catch(() => {
        failedAt = now();
        return copy;
      });
    },
    async createToken(token, sha256) {
      await shared.createToken(token, sha256);
      await keep(token, { sha256, copy: null }).catch(() => {});
    },
    listTokens: (workspaceId) => shared.listTokens(workspaceId),
    async revokeToken(id, at) {
      await copies.revokeTokenCopy(id, at);
      return await shared.revokeToken(id, at);
    },
  };
}
