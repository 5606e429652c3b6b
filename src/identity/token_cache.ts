import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";

/** SHA-256 (hex) of the whole token. Tokens are stored and cached under it. */
export function sha256OfToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** Entries of each cache. Made-up tokens fill the bad one and push no good token out. */
const MAX_ENTRIES = 10_000;

export interface TokenCacheOptions<A> {
  /** The answer lets the token call. */
  readonly isGood: (answer: A) => boolean;
  /** How long an answer of either kind is fresh. */
  readonly goodMs: number;
  readonly badMs: number;
}

export interface CachedAnswer<A> {
  readonly answer: A;
  /** When it was given, milliseconds since the epoch. */
  readonly at: number;
  /** When lookups since then were started, and when they failed. */
  lookedUpAt?: number;
  failedAt?: number;
}

/** An authority's latest answers about tokens, by `sha256OfToken`. Every `at` is now. */
export class TokenCache<A> {
  readonly #options: TokenCacheOptions<A>;
  readonly #good = new LRUCache<string, CachedAnswer<A>>({ max: MAX_ENTRIES });
  readonly #bad = new LRUCache<string, CachedAnswer<A>>({ max: MAX_ENTRIES });

  constructor(options: TokenCacheOptions<A>) {
    this.#options = options;
  }

  /** Replaces every older answer. */
  answered(hash: string, answer: A, at: number): void {
    const isGood = this.#options.isGood(answer);
    if (!isGood) this.#good.delete(hash);
    (isGood ? this.#good : this.#bad).set(hash, { answer, at });
  }

  /** An answer that is young enough to need no lookup. */
  fresh(hash: string, at: number): CachedAnswer<A> | null {
    const { goodMs, badMs } = this.#options;
    const good = this.#good.get(hash);
    if (good !== undefined && at - good.at < goodMs) return good;
    const bad = this.#bad.get(hash);
    return bad !== undefined && at - bad.at < badMs ? bad : null;
  }

  /** The latest answer if it is good, however old. */
  good(hash: string): CachedAnswer<A> | null {
    return this.#good.peek(hash) ?? null;
  }

  /** The latest answer, however old. */
  latest(hash: string): A | null {
    return (this.#good.peek(hash) ?? this.#bad.peek(hash))?.answer ?? null;
  }

  /** Forgets the good answers that `which` picks. */
  forget(which: (answer: A) => boolean): void {
    for (const [hash, { answer }] of this.#good.entries()) if (which(answer)) this.#good.delete(hash);
  }
}
