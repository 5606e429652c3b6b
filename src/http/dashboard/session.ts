import { createHmac } from "node:crypto";
import type { Context } from "hono";
import { deleteCookie, getSignedCookie, setSignedCookie } from "hono/cookie";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { NewId } from "../../domain/ids.ts";
import { isSameSecret } from "../same_secret.ts";

/** What a session may do: an admin changes things, a viewer only looks. */
export const ROLES = ["admin", "viewer"] as const;
export type Role = (typeof ROLES)[number];

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
const COOKIE = "llmproxy_session";
/** Signed-out sessions that are remembered. */
const MOST_ENDED = 10_000;

const payload = z.strictObject({ id: z.string(), role: z.enum(ROLES), who: z.string().nullable(), expiresAt: z.int() });

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
    const session = { id: newId(), role, who, expiresAt: now() + SESSION_MS };
    await setSignedCookie(context, COOKIE, JSON.stringify(session), signingKey(way, secret), {
      ...{ path: "/dashboard", httpOnly: true, sameSite: "Lax", secure: isSecure },
      maxAge: SESSION_MS / 1_000,
    });
  }

  /** Null if the request has none, or one that is over. */
  async of(context: Context): Promise<Session | null> {
    for (const [way, secret] of Object.entries(this.#options.secrets()) as [SignInWay, string | null][]) {
      if (secret === null) continue;
      const text = await getSignedCookie(context, signingKey(way, secret), COOKIE);
      const { data } = payload.safeParse(typeof text === "string" ? parsed(text) : null);
      if (data === undefined || data.expiresAt <= this.#options.now() || this.#ended.has(data.id)) continue;
      return { ...data, way };
    }
    return null;
  }

  end(context: Context, session: Session | null): void {
    if (session !== null) this.#ended.set(session.id, true);
    deleteCookie(context, COOKIE, { path: "/dashboard", secure: this.#options.isSecure });
  }

  /** What each form of the session's pages has to send back. */
  formToken({ id, way }: Session): string {
    return createHmac("sha256", signingKey(way, this.#options.secrets()[way] ?? "")).update(`form ${id}`).digest("hex");
  }

  isFormToken(session: Session, given: string): boolean {
    return isSameSecret(given, this.formToken(session));
  }
}

function signingKey(way: SignInWay, secret: string): string {
  return createHmac("sha256", secret).update(`llmproxy dashboard session of ${way}`).digest("hex");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
