/** The first characters of every local token: such tokens never go to the control plane, and no others are looked up here. */
export const LOCAL_TOKEN_PREFIX = "llmp_";

/** A local token as it is kept: never the token itself. */
export interface LocalToken {
  readonly id: string;
  readonly workspaceId: string;
  readonly sandboxId: string;
  /** Milliseconds since the epoch, UTC. */
  readonly createdAt: number;
  /** From then on the token is unknown; null: never. */
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
}

/** The local tokens, kept by a store under the SHA-256 (hex) of the whole token. */
export interface Tokens {
  /** Resolves when the token is committed. */
  readonly createToken: (token: LocalToken, sha256: string) => Promise<void>;
  /** The token of that hash with the hash it is kept under, revoked and expired ones too; null where there is none. */
  readonly findToken: (sha256: string) => Promise<{ readonly token: LocalToken; readonly sha256: string } | null>;
  /** Newest first. */
  readonly listTokens: (workspaceId: string | null) => Promise<readonly LocalToken[]>;
  /** The revoked token (its first `revokedAt` is kept), or null where the id is unknown. Resolves when committed. */
  readonly revokeToken: (id: string, at: number) => Promise<LocalToken | null>;
}

/** What a new local token is for. */
export type NewToken = Pick<LocalToken, "workspaceId" | "sandboxId" | "expiresAt">;

/** The administration of local tokens. Each method resolves when its change is committed. */
export interface TokenAdmin {
  /** `token` is returned only here and stored nowhere. */
  readonly create: (wanted: NewToken) => Promise<{ readonly token: string; readonly kept: LocalToken }>;
  /** Newest first. */
  readonly list: (workspaceId: string | null) => Promise<readonly LocalToken[]>;
  /** The revoked token, which works no more; null if the id is unknown. */
  readonly revoke: (id: string) => Promise<LocalToken | null>;
}

/** Copies of the shared database's tokens on this machine, for while that is away. Each method resolves when it is committed. */
export interface TokenCopies {
  /** `seenAt`: when the shared database last vouched for it, milliseconds since the epoch. A newer copy takes the place of an older. */
  readonly keepTokenCopy: (token: LocalToken, sha256: string, seen: { readonly seenAt: number }) => Promise<void>;
  readonly findTokenCopy: (sha256: string) => Promise<TokenCopy | null>;
  /** The copy is revoked from now on, whatever is kept later. */
  readonly revokeTokenCopy: (id: string, at: number) => Promise<void>;
}

export interface TokenCopy {
  readonly token: LocalToken;
  readonly sha256: string;
  readonly seenAt: number;
}
