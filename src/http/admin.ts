import { type Context, Hono } from "hono";
import { Busy } from "../domain/operations.ts";
import { isUnavailable } from "../domain/unavailable.ts";
import { rawPath } from "../call/target.ts";
import { guardAdmin, guardHost } from "./admin_guard.ts";
import { AdminRefusal, adminRefusalResponse, type AdminRefusalType, shown } from "./admin_refusal.ts";
import type { AdminDeps, AdminRoute } from "./admin_route.ts";
import { ADMIN_ROUTES } from "./admin_routes.ts";
import { actorOf } from "./audit.ts";
import { dashboardApp } from "./dashboard/dashboard.tsx";

const UNAVAILABLE_RETRY_SECONDS = "5";
const BUSY_RETRY_SECONDS = "10";

/** What the server knows of a request besides the request. */
export interface AdminBindings {
  /** The client's IP address; undefined if there is no connection. */
  readonly address?: string | undefined;
}

type AdminContext = Context<{ Bindings: AdminBindings }>;

/**
 * The admin listener, by its table of routes. Only `/healthz` and `/readyz` answer without the
 * admin token; an unknown path does not even tell that it is unknown.
 */
export function adminApp(deps: AdminDeps): Hono<{ Bindings: AdminBindings }> {
  const app = new Hono<{ Bindings: AdminBindings }>({ getPath: rawPath });

  function serve(route: AdminRoute): void {
    app.on(route.method, route.path, (context) => {
      const { req: { raw: request }, env } = context;
      const by = actorOf(request, env?.address ?? null);
      return route.answer({ request, by, deps, param: (name = "id") => paramOf(context, name) });
    });
  }

  ADMIN_ROUTES.filter(({ isOpen }) => isOpen).forEach(serve);
  app.use(neverCached);
  app.use(guardHost(deps.adminHosts));
  app.get("/", (context, next) => isBrowser(context.req.raw) ? Promise.resolve(context.redirect("/dashboard", 303)) : next());
  mountDashboard(app, deps);
  app.use(guardAdmin({ token: deps.adminToken, viewerToken: deps.viewerToken }));
  ADMIN_ROUTES.filter(({ isOpen }) => !isOpen).forEach(serve);
  for (const [path, routes] of Map.groupBy(ADMIN_ROUTES, ({ path }) => path)) {
    const allow = routes.map(({ method }) => method === "GET" ? "GET, HEAD" : method).join(", ");
    app.all(path, () => {
      throw new AdminRefusal("method_not_allowed_error", `This path takes ${allow} only`, { headers: { allow } });
    });
  }
  app.notFound((context) => {
    return adminRefusalResponse(new AdminRefusal("not_found_error", `There is nothing at ${shown(rawPath(context.req.raw))}`));
  });
  app.onError((error, context) => {
    if (error instanceof AdminRefusal) return adminRefusalResponse(error);
    if (error instanceof Busy) return adminRefusalResponse(retryLater("overloaded_error", error, BUSY_RETRY_SECONDS));
    const request = { method: context.req.method, path: rawPath(context.req.raw), error };
    if (isUnavailable(error)) {
      deps.observe.note("warn", "an admin request needs a database that cannot be used", request);
      return adminRefusalResponse(retryLater("unavailable_error", error, UNAVAILABLE_RETRY_SECONDS));
    }
    deps.observe.note("error", "an admin request failed", request);
    return adminRefusalResponse(new AdminRefusal("api_error", "The proxy failed on this request; its log says why"));
  });
  return app;
}

function isBrowser({ headers }: Request): boolean {
  return headers.get("accept")?.includes("text/html") === true;
}

/** Below `/dashboard` everything is the dashboard's, with its own sign-in. */
function mountDashboard(app: Hono<{ Bindings: AdminBindings }>, deps: AdminDeps): void {
  const dashboard = dashboardApp(deps);
  for (const path of ["/dashboard", "/dashboard/*"]) app.all(path, ({ req, env }) => dashboard.fetch(req.raw, env));
}

function retryLater(type: AdminRefusalType, { message }: Error, seconds: string): AdminRefusal {
  return new AdminRefusal(type, message, { headers: { "retry-after": seconds } });
}

/** The answers are about this moment, and a token is shown once. Assets say otherwise. */
async function neverCached(context: Context, next: () => Promise<void>): Promise<void> {
  await next();
  if (!context.res.headers.has("cache-control")) context.res.headers.set("cache-control", "no-store");
}

/** Throws `AdminRefusal` for NUL, which PostgreSQL cannot take. */
function paramOf(context: AdminContext, name: string): string {
  const value = context.req.param(name) ?? "";
  if (value.includes("\0")) throw new AdminRefusal("not_found_error", `There is nothing of the id ${shown(value)}`);
  return value;
}
