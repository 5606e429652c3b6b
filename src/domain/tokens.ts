import type { Actor, AuditJson, AuditStamp } from "./audit.ts";

/** The first characters of every local token, and of no other. */
export const LOCAL_TOKEN_PREFIX = "llmp_";

/** A local token as it is stored, without the token itself. */
export interface LocalToken {
  readonly id: string;
  readonly workspaceId: string;
  readonly sandboxId: string;
  /** Milliseconds since the epoch, UTC. */
  readonly createdAt: number;
  /** After this time the token is refused; null: never. */
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
}

/** As the admin API and the audit show it. */
export function tokenJson(token: LocalToken): AuditJson {
  return {
    id: token.id,
    workspaceId: token.workspaceId,
    sandboxId: token.sandboxId,
    createdAt: new Date(token.createdAt).toISOString(),
    ...(token.expiresAt === null ? {} : { expiresAt: new Date(token.expiresAt).toISOString() }),
    ...(token.revokedAt === null ? {} : { revokedAt: new Date(token.revokedAt).toISOString() }),
  };
}

/** A store of local tokens, by the SHA-256 (hex) of the whole token. */
export interface Tokens {
  /** Resolves when the token and its audit entry are committed, both in one transaction. */
  readonly createToken: (token: LocalToken, sha256: string, stamp: AuditStamp) => Promise<void>;
  /** The token, even if revoked or expired, and its stored hash; null if it is unknown. */
  readonly findToken: (sha256: string) => Promise<{ readonly token: LocalToken; readonly sha256: string } | null>;
  /** Newest first. */
  readonly listTokens: (workspaceId: string | null) => Promise<readonly LocalToken[]>;
  /**
   * The token with its first `revokedAt`; null if the id is unknown. Resolves when committed. The
   * same transaction writes the audit entry, if the token was not revoked before.
   */
  readonly revokeToken: (id: string, stamp: AuditStamp) => Promise<LocalToken | null>;
}

/** Revocations, for the calls that run. */
export interface Revocations {
  /** Of these tokens' ids, those that are revoked. */
  readonly findRevoked: (ids: readonly string[]) => Promise<readonly string[]>;
}

/** What a new local token is for. */
export type NewToken = Pick<LocalToken, "workspaceId" | "sandboxId" | "expiresAt">;

/** The administration of local tokens. Each method resolves when its change is committed. */
export interface TokenAdmin {
  /** `token` is returned only here and stored nowhere. */
  readonly create: (wanted: NewToken, by: Actor) => Promise<{ readonly token: string; readonly record: LocalToken }>;
  /** Newest first. */
  readonly list: (workspaceId: string | null) => Promise<readonly LocalToken[]>;
  /** The revoked token, which works no more; null if the id is unknown. */
  readonly revoke: (id: string, by: Actor) => Promise<LocalToken | null>;
}

/** Local copies of the shared database's tokens, for outages. Writes resolve when committed. */
export interface TokenCopies {
  /** Replaces an older copy. `seenAt`: when the shared database last confirmed it, epoch ms. */
  readonly keepTokenCopy: (token: LocalToken, sha256: string, seen: { readonly seenAt: number }) => Promise<void>;
  readonly findTokenCopy: (sha256: string) => Promise<TokenCopy | null>;
  /** Revokes the copy. No later `keepTokenCopy` undoes that. */
  readonly revokeTokenCopy: (id: string, at: number) => Promise<void>;
}

export interface TokenCopy {
  readonly token: LocalToken;
  readonly sha256: string;
  readonly seenAt: number;
}
