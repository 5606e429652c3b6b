import type { Context } from "hono";
import { deleteCookie } from "hono/cookie";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { SignInCheck } from "../../domain/sign_in.ts";
import { readSigned, type SignedCookie, signingKey, writeSigned } from "./signed_cookie.ts";

/** How long someone may take at the provider. */
const PENDING_MS = 600_000;
/** Finished ones that are remembered. */
const MOST_SPENT = 10_000;
/** A browser keeps 4 kB. */
const MOST_NEXT = 1_000;

interface PendingSignIn extends SignInCheck {
  /** Where to go on. */
  readonly next: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** Its path is that of the way back: the cookie goes to no other page. */
const COOKIE = {
  name: "llmproxy_sign_in",
  path: "/dashboard/oidc",
  shape: z.strictObject({ state: z.string(), nonce: z.string(), verifier: z.string(), next: z.string(), expiresAt: z.int() }),
} satisfies SignedCookie<PendingSignIn>;

export interface PendingSignInsOptions {
  /** Signs them. Another one ends those under way. Null: no one can sign in now. */
  readonly secret: () => string | null;
  readonly isSecure: boolean;
  readonly now: () => number;
}

/**
 * Sign-ins whose browser is at the provider, in a signed cookie: only the browser that began one
 * can finish it, and only once. An answer that another browser was given is worth nothing here.
 */
export class PendingSignIns {
  readonly #options: PendingSignInsOptions;
  readonly #spent = new LRUCache<string, true>({ max: MOST_SPENT });

  constructor(options: PendingSignInsOptions) {
    this.#options = options;
  }

  async begin(context: Context, { state, nonce, verifier }: SignInCheck, next: string): Promise<void> {
    const { secret, isSecure, now } = this.#options;
    const key = keyOf(secret());
    if (key === null) throw new Error("Cannot begin a sign-in: there is no admin token");
    const expiresAt = now() + PENDING_MS;
    const value = { state, nonce, verifier, next: next.length > MOST_NEXT ? "/dashboard" : next, expiresAt };
    await writeSigned(context, COOKIE, { value, key, isSecure, seconds: PENDING_MS / 1_000 });
  }

  /** Null if this browser began no sign-in, or one that is over. It is over now. */
  async take(context: Context): Promise<PendingSignIn | null> {
    const { secret, isSecure, now } = this.#options;
    const key = keyOf(secret());
    const pending = key === null ? null : await readSigned(context, COOKIE, key);
    deleteCookie(context, COOKIE.name, { path: COOKIE.path, secure: isSecure });
    if (pending === null || pending.expiresAt <= now() || this.#spent.has(pending.state)) return null;
    this.#spent.set(pending.state, true);
    return pending;
  }
}

function keyOf(secret: string | null): string | null {
  return secret === null ? null : signingKey("sign-in", secret);
}
