import { createHmac } from "node:crypto";
import type { Context } from "hono";
import { deleteCookie } from "hono/cookie";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { Actor } from "../../domain/audit.ts";
import type { NewId } from "../../domain/ids.ts";
import { type Role, ROLES } from "../../domain/sign_in.ts";
import { isSameSecret } from "../same_secret.ts";
import { readSigned, type SignedCookie, signingKey, writeSigned } from "./signed_cookie.ts";

/** How someone has signed in. */
export type SignInWay = "admin_token" | "viewer_token" | "oidc";

/** What signs the sessions of each way; null if that way is off. */
export type SessionSecrets = Readonly<Record<SignInWay, string | null>>;

export interface Session {
  readonly id: string;
  readonly way: SignInWay;
  readonly role: Role;
  /** The user, as the OpenID provider names them; null for a token. */
  readonly who: string | null;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export const SESSION_HOURS = 12;
const SESSION_MS = SESSION_HOURS * 3_600_000;
/** Signed-out sessions that are remembered. */
const MOST_ENDED = 10_000;

const COOKIE = {
  name: "llmproxy_session",
  path: "/dashboard",
  shape: z.strictObject({ id: z.string(), role: z.enum(ROLES), who: z.string().nullable(), expiresAt: z.int() }),
} satisfies SignedCookie<Omit<Session, "way">>;

export interface SessionsOptions {
  /** Called for each request, because tokens can be rotated. A new secret ends its sessions. */
  readonly secrets: () => SessionSecrets;
  /** The dashboard is reached by https only. */
  readonly isSecure: boolean;
  readonly newId: NewId;
  readonly now: () => number;
}

/**
 * Sessions in a signed cookie. Each sign-in makes a new one, so that no one can fix a session for
 * another person. `SameSite=Lax` keeps it off the forms and scripts of other sites.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #ended = new LRUCache<string, true>({ max: MOST_ENDED });

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  async begin(context: Context, { way, role, who }: Pick<Session, "way" | "role" | "who">): Promise<void> {
    const { secrets, isSecure, newId, now } = this.#options;
    const secret = secrets()[way];
    if (secret === null) throw new Error(`Cannot begin a session: ${way} is off`);
    const value = { id: newId(), role, who, expiresAt: now() + SESSION_MS };
    await writeSigned(context, COOKIE, { value, key: keyOf(way, secret), isSecure, seconds: SESSION_MS / 1_000 });
  }

  /** Null if the request has none, or one that is over. */
  async of(context: Context): Promise<Session | null> {
    for (const [way, secret] of Object.entries(this.#options.secrets()) as [SignInWay, string | null][]) {
      if (secret === null) continue;
      const session = await readSigned(context, COOKIE, keyOf(way, secret));
      if (session === null || session.expiresAt <= this.#options.now() || this.#ended.has(session.id)) continue;
      return { ...session, way };
    }
    return null;
  }

  end(context: Context, session: Session | null): void {
    if (session !== null) this.#ended.set(session.id, true);
    deleteCookie(context, COOKIE.name, { path: COOKIE.path, secure: this.#options.isSecure });
  }

  /** What each form of the session's pages has to send back. */
  formToken({ id, way }: Session): string {
    return createHmac("sha256", keyOf(way, this.#options.secrets()[way] ?? "")).update(`form ${id}`).digest("hex");
  }

  isFormToken(session: Session, given: string): boolean {
    return isSameSecret(given, this.formToken(session));
  }
}

/** What the audit says of a change that someone makes on the dashboard. */
export function actorOf({ way, who }: Session, address: string | null): Actor {
  return { who: way === "oidc" ? "oidc" : "admin", claimed: who, address };
}

function keyOf(way: SignInWay, secret: string): string {
  return signingKey(`session of ${way}`, secret);
}
