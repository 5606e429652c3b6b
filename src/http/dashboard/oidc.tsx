import type { Context, Hono } from "hono";
import { type OpenIdSignIn, type Person, SIGN_IN_FAULTS, SignInFailed } from "../../domain/sign_in.ts";
import type { AdminBindings } from "../admin.ts";
import type { AdminDeps } from "../admin_route.ts";
import { htmlOf } from "./layout.tsx";
import { PendingSignIns } from "./pending_sign_in.ts";
import type { Sessions } from "./session.ts";
import { nextOf, SignIn } from "./sign_in.tsx";
import { SignInThrottle } from "./throttle.ts";

type OidcContext = Context<{ Bindings: AdminBindings }>;

const OVER = "This sign-in began in another browser, is more than 10 minutes old or was used already. Sign in again.";
/** So long the proxy itself does not ask a provider again. */
const RETRY_SECONDS = "5";

interface OidcParts {
  readonly oidc: OpenIdSignIn;
  readonly sessions: Sessions;
  /** Signs what is under way; null if no one can sign in now. */
  readonly secret: () => string | null;
  readonly deps: Pick<AdminDeps, "observe" | "isSecure" | "now">;
}

/** Sends browsers to the OpenID provider at `/dashboard/oidc`, and takes them back. */
export function mountOidc(app: Hono<{ Bindings: AdminBindings }>, { oidc, sessions, secret, deps }: OidcParts): void {
  const pending = new PendingSignIns({ secret, isSecure: deps.isSecure, now: deps.now });
  const throttle = new SignInThrottle(deps.now);

  app.get("/dashboard/oidc", async (context) => {
    const next = nextOf(context.req.query("next") ?? null);
    try {
      const { url, check } = await oidc.begin();
      await pending.begin(context, check, next);
      return context.redirect(url, 303);
    } catch (error) {
      return failed(context, { error, next, deps });
    }
  });

  app.get("/dashboard/oidc/callback", async (context) => {
    const address = context.env?.address ?? null;
    const begun = await pending.take(context);
    if (begun === null) return refused(context, { status: 401, problem: OVER, next: "/dashboard" });
    const seconds = throttle.secondsFor(address);
    if (seconds > 0) {
      const problem = `Too many sign-ins failed. Try again in ${seconds} seconds.`;
      return refused(context, { status: 429, problem, next: begun.next, retryAfter: String(seconds) });
    }
    let person: Person;
    try {
      person = await oidc.finish(new URL(context.req.url).search, begun);
    } catch (error) {
      // A provider that is down is no one's guess.
      if (error instanceof SignInFailed && error.fault === "untrusted") throttle.failed(address);
      return failed(context, { error, next: begun.next, deps });
    }
    return await letIn(context, person, { next: begun.next, sessions, deps });
  });
}

async function letIn(
  context: OidcContext,
  { name, role }: Person,
  { next, sessions, deps }: Pick<OidcParts, "sessions" | "deps"> & { readonly next: string },
): Promise<Response> {
  const clientIp = context.env?.address ?? null;
  if (role === null) {
    deps.observe.note("warn", "someone whom no setting names tried to sign in to the dashboard", { person: name, clientIp });
    const problem =
      `The OpenID provider knows you as ${name}, but LLMPROXY_OIDC_ADMINS and LLMPROXY_OIDC_VIEWERS do not name you.`;
    return refused(context, { status: 403, problem, next });
  }
  await sessions.begin(context, { way: "oidc", role, who: name });
  deps.observe.note("info", "someone signed in to the dashboard", { person: name, role, clientIp });
  return context.redirect(next, 303);
}

/** Rethrows what is no `SignInFailed`. */
function failed(
  context: OidcContext,
  { error, next, deps }: Pick<OidcParts, "deps"> & { readonly error: unknown; readonly next: string },
): Response {
  if (!(error instanceof SignInFailed)) throw error;
  const { fault, message, cause } = error;
  deps.observe.note("warn", "a sign-in at the OpenID provider failed", { fault, cause, clientIp: context.env?.address ?? null });
  const { status } = SIGN_IN_FAULTS[fault];
  return refused(context, { status, problem: message, next, ...(status === 503 ? { retryAfter: RETRY_SECONDS } : {}) });
}

/** The sign-in page with the reason. Tokens still open the dashboard. */
function refused(
  context: OidcContext,
  { status, problem, next, retryAfter }: {
    readonly status: number;
    readonly problem: string;
    readonly next: string;
    readonly retryAfter?: string;
  },
): Response {
  const answer = htmlOf(context, <SignIn next={next} problem={problem} hasOidc />, status);
  if (retryAfter !== undefined) answer.headers.set("retry-after", retryAfter);
  return answer;
}
