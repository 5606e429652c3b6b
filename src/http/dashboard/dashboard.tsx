import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { getCookie } from "hono/cookie";
import { secureHeaders } from "hono/secure-headers";
import { rawPath } from "../../call/target.ts";
import { isUnavailable } from "../../domain/unavailable.ts";
import type { AdminBindings } from "../admin.ts";
import type { AdminDeps } from "../admin_route.ts";
import { ADMIN_REFUSALS, AdminRefusal, shown } from "../admin_refusal.ts";
import { isSameSecret } from "../same_secret.ts";
import { ASSETS } from "./assets.ts";
import { zoneOf } from "./figures.tsx";
import { Document, htmlOf, Layout } from "./layout.tsx";
import { mountOidc } from "./oidc.tsx";
import type { Page, PageAction, PageAsked, PageBody } from "./page.ts";
import { PAGES } from "./pages.ts";
import { actorOf, type Session, Sessions, type SignInWay } from "./session.ts";
import { nextOf, SignIn } from "./sign_in.tsx";
import { SignInThrottle } from "./throttle.ts";

type DashboardContext = Context<{ Bindings: AdminBindings }>;

const MAX_FORM_BYTES = 64 * 1024;
const ZONE_COOKIE = "llmproxy_zone";
const NAVIGATION = PAGES.filter(({ isInNavigation }) => isInNavigation);

/** No script or style but ours, no frame around a page, and no form to another site. */
const HEADERS = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'", "data:"],
    connectSrc: ["'self'"],
    formAction: ["'self'"],
    frameAncestors: ["'none'"],
    baseUri: ["'none'"],
  },
  xFrameOptions: "DENY",
  // With no-referrer a browser's form names no origin.
  referrerPolicy: "same-origin",
  crossOriginOpenerPolicy: "same-origin",
  crossOriginResourcePolicy: "same-origin",
  // A server in front of the proxy decides that for its host.
  strictTransportSecurity: false,
});

/** The dashboard. Without a session it answers with the sign-in page, whatever the path. */
export function dashboardApp(deps: AdminDeps): Hono<{ Bindings: AdminBindings }> {
  const app = new Hono<{ Bindings: AdminBindings }>({ getPath: rawPath });
  const sessions = new Sessions({ ...deps, secrets: () => secretsOf(deps) });
  const throttle = new SignInThrottle(deps.now);
  const hasOidc = deps.oidc !== null;

  app.use(HEADERS);
  for (const { path, contentType, text } of Object.values(ASSETS)) {
    app.get(path, () => new Response(text, { headers: { "content-type": contentType, "cache-control": FOREVER } }));
  }
  app.use("*", bodyLimit({ maxSize: MAX_FORM_BYTES, onError: refuseLargeForm }));
  app.post("*", async ({ req }, next) => {
    assertOwnForm(req.raw);
    await next();
  });
  app.get("/dashboard/sign-in", async (context) => {
    const next = nextOf(context.req.query("next") ?? null);
    return await sessions.of(context) === null
      ? htmlOf(context, <SignIn next={next} hasOidc={hasOidc} />)
      : context.redirect(next, 303);
  });
  app.post("/dashboard/sign-in", (context) => signIn(context, { deps, sessions, throttle }));
  if (deps.oidc !== null) mountOidc(app, { oidc: deps.oidc, sessions, secret: () => secretsOf(deps).oidc, deps });
  for (const page of PAGES) {
    app.get(page.path, (context) => showPage(context, page, { deps, sessions }));
    for (const action of page.actions ?? []) {
      app.post(`${page.path}/${action.name}`, (context) => runAction(context, action, { page, deps, sessions }));
    }
  }
  app.post("/dashboard/sign-out", async (context) => {
    const session = await sessions.of(context);
    if (session !== null) await formOf(context, session, sessions);
    sessions.end(context, session);
    return context.redirect("/dashboard/sign-in", 303);
  });
  app.notFound(async (context) => {
    const session = await sessions.of(context);
    if (session === null) return toSignIn(context);
    throw new AdminRefusal("not_found_error", `There is nothing at ${shown(rawPath(context.req.raw))}`);
  });
  app.onError(async (error, context) => {
    const refusal = refusalOf(error, context, deps);
    const session = await sessions.of(context);
    const status = ADMIN_REFUSALS[refusal.type].status;
    const problem = <p class="problem" role="alert">{refusal.message}</p>;
    const body = session === null
      ? <Document title="Refused">{problem}</Document>
      : <Layout title="This did not work" path="" {...frameOf(session, sessions)}>{problem}</Layout>;
    const answer = htmlOf(context, body, status);
    for (const [name, value] of Object.entries(refusal.headers)) answer.headers.set(name, value);
    return answer;
  });
  return app;
}

const FOREVER = "public, max-age=31536000, immutable";

function secretsOf(deps: Pick<AdminDeps, "adminToken" | "viewerToken" | "oidc">): Record<SignInWay, string | null> {
  const admin = deps.adminToken();
  if (admin === "") return { admin_token: null, viewer_token: null, oidc: null };
  const viewer = deps.viewerToken();
  // The admin token is in each, so that rotating it ends all sessions.
  const mixed = (text: string | undefined) => text === undefined ? null : JSON.stringify([admin, text]);
  return { admin_token: admin, viewer_token: mixed(viewer ?? undefined), oidc: mixed(deps.oidc?.sessionSecret()) };
}

async function signIn(
  context: DashboardContext,
  { deps, sessions, throttle }: {
    readonly deps: AdminDeps;
    readonly sessions: Sessions;
    readonly throttle: SignInThrottle;
  },
): Promise<Response> {
  const form = await context.req.parseBody();
  const [token, next] = [String(form.token ?? "").trim(), nextOf(String(form.next ?? ""))];
  const address = context.env?.address ?? null;
  const seconds = throttle.secondsFor(address);
  if (seconds > 0) {
    const problem = `Too many wrong tokens. Try again in ${seconds} seconds.`;
    const answer = htmlOf(context, <SignIn next={next} problem={problem} hasOidc={deps.oidc !== null} />, 429);
    answer.headers.set("retry-after", String(seconds));
    return answer;
  }
  // Both are compared, so that the time says nothing.
  const [isAdmin, isViewer] = [isSameSecret(token, deps.adminToken()), isSameSecret(token, deps.viewerToken() ?? "")];
  if (!isAdmin && !isViewer) {
    throttle.failed(address);
    deps.observe.note("warn", "someone tried to sign in to the dashboard with a wrong token", { clientIp: address });
    return htmlOf(
      context,
      <SignIn next={next} problem="That is neither the admin token nor the viewer token." hasOidc={deps.oidc !== null} />,
      401,
    );
  }
  await sessions.begin(context, { way: isAdmin ? "admin_token" : "viewer_token", role: isAdmin ? "admin" : "viewer", who: null });
  return context.redirect(next, 303);
}

async function showPage(
  context: DashboardContext,
  page: Page,
  { deps, sessions }: { readonly deps: AdminDeps; readonly sessions: Sessions },
): Promise<Response> {
  const session = await sessions.of(context);
  if (session === null) return toSignIn(context);
  const shown = await page.show(askedOf(context, session, { deps, sessions }));
  if (shown instanceof Response) return shown;
  return pageOf(context, shown, { page, frame: frameOf(session, sessions) });
}

async function runAction(
  context: DashboardContext,
  action: PageAction,
  { page, deps, sessions }: { readonly page: Page; readonly deps: AdminDeps; readonly sessions: Sessions },
): Promise<Response> {
  const session = await sessions.of(context);
  if (session === null) return toSignIn(context);
  const form = await formOf(context, session, sessions);
  if (session.role !== "admin") {
    throw new AdminRefusal("permission_error", "Cannot change anything as a viewer: sign in as an admin");
  }
  const by = actorOf(session, context.env?.address ?? null);
  const done = await action.run({ ...askedOf(context, session, { deps, sessions }), by, form });
  if (typeof done === "string") return context.redirect(done, 303);
  return pageOf(context, done, { page, frame: frameOf(session, sessions) });
}

function pageOf(
  context: DashboardContext,
  { title, body, status }: PageBody,
  { page, frame }: { readonly page: Page; readonly frame: ReturnType<typeof frameOf> },
): Response {
  return htmlOf(context, <Layout title={title ?? page.title} path={page.path} {...frame}>{body}</Layout>, status);
}

/** Its fields. Throws `AdminRefusal` unless a page of this session sent it. */
async function formOf(
  context: DashboardContext,
  session: Session,
  sessions: Sessions,
): Promise<Readonly<Record<string, string>>> {
  const form = Object.entries(await context.req.parseBody()).map(([name, value]) => [name, String(value)]);
  const fields = Object.fromEntries(form);
  if (sessions.isFormToken(session, fields.form_token ?? "")) return fields;
  throw new AdminRefusal(
    "permission_error",
    "Cannot take this form: it is not of your session. Go back, reload the page and send it again",
  );
}

/** Browsers say where a form comes from. Throws `AdminRefusal` if it is not a page of ours. */
function assertOwnForm({ headers, url }: Request): void {
  const [site, origin] = [headers.get("sec-fetch-site"), headers.get("origin")];
  const isOwn = site === null
    ? origin === null || URL.parse(origin)?.host === (headers.get("host") ?? new URL(url).host)
    : site === "same-origin";
  if (!isOwn) throw new AdminRefusal("permission_error", "Cannot take a form that another site has sent");
}

function askedOf(
  context: DashboardContext,
  session: Session,
  { deps, sessions }: { readonly deps: AdminDeps; readonly sessions: Sessions },
): PageAsked {
  return {
    request: context.req.raw,
    url: new URL(context.req.url),
    param: (name) => {
      const value = context.req.param(name) ?? "";
      if (value.includes("\0")) throw new AdminRefusal("not_found_error", `There is nothing of the id ${shown(value)}`);
      return value;
    },
    session,
    zone: zoneOf(getCookie(context, ZONE_COOKIE)),
    formToken: sessions.formToken(session),
    isSignedIn: async () => await sessions.of(context) !== null,
    deps,
  };
}

function frameOf(session: Session, sessions: Sessions) {
  return { session, navigation: NAVIGATION, formToken: sessions.formToken(session) };
}

function refusalOf(error: Error, context: DashboardContext, { observe }: AdminDeps): AdminRefusal {
  if (error instanceof AdminRefusal) return error;
  const request = { method: context.req.method, path: rawPath(context.req.raw), error };
  if (isUnavailable(error)) {
    observe.note("warn", "a page of the dashboard needs a database that cannot be used", request);
    return new AdminRefusal("unavailable_error", error.message, { headers: { "retry-after": "5" } });
  }
  observe.note("error", "a page of the dashboard failed", request);
  return new AdminRefusal("api_error", "The proxy failed on this page; its log says why");
}

function refuseLargeForm(): never {
  throw new AdminRefusal("request_too_large", `Cannot read a form of more than ${MAX_FORM_BYTES} bytes`);
}

/** A browser goes on to where it wanted to. */
function toSignIn(context: DashboardContext): Response {
  if (context.req.method !== "GET" && context.req.method !== "HEAD") return context.redirect("/dashboard/sign-in", 303);
  const { pathname, search } = new URL(context.req.url);
  return context.redirect(`/dashboard/sign-in?next=${encodeURIComponent(pathname + search)}`, 303);
}
