import { type Context, Hono } from "hono";
import type { ImportRows } from "../domain/imported_rows.ts";
import type { LimitAdmin, LimitPlace } from "../domain/limits.ts";
import type { Observe } from "../domain/observe.ts";
import { type BackUp, Busy, type ExportUsage, type Readiness, type Reprice, type Reship } from "../domain/operations.ts";
import type { RunningCalls } from "../domain/running_call.ts";
import type { SuspensionAdmin } from "../domain/suspensions.ts";
import type { TokenAdmin } from "../domain/tokens.ts";
import { isUnavailable } from "../domain/unavailable.ts";
import { rawPath } from "../call/target.ts";
import { guardAdmin } from "./admin_guard.ts";
import { AdminRefusal, adminRefusalResponse, type AdminRefusalType, shown } from "./admin_refusal.ts";
import { answerBackup, answerReship } from "./backup.ts";
import { answerExport } from "./export.ts";
import { HEALTH } from "./health.ts";
import { answerImport } from "./import.ts";
import { answerRefusals, answerTrace, answerTraces, answerUsage, type InternalDeps } from "./admin_usage.ts";
import { clearQuota, readQuota, setQuota } from "./quotas.ts";
import { answerReprice } from "./reprice.ts";
import { cutRunning, listRunning } from "./running_calls.ts";
import { deleteSuspension, listSuspensions, putSuspension, type ScopeInPath } from "./suspensions.ts";
import { createToken, listTokens, revokeToken } from "./tokens.ts";

export interface AdminDeps extends InternalDeps {
  readonly tokens: TokenAdmin;
  readonly limits: LimitAdmin;
  readonly requests: RunningCalls;
  readonly suspensions: SuspensionAdmin;
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>;
  /**
   * Called for each request, because it can be rotated. If it is empty, every request is refused.
   */
  readonly adminToken: () => string;
  /** Host names of the listener, besides addresses and localhost. */
  readonly adminHosts: () => readonly string[];
  readonly readiness: () => Readiness;
  readonly reship: Reship;
  readonly reprice: Reprice;
  readonly exportUsage: ExportUsage;
  readonly backUp: BackUp;
  readonly importRows: ImportRows;
  readonly observe: Pick<Observe, "note">;
}

const UNAVAILABLE_RETRY_SECONDS = "5";
const BUSY_RETRY_SECONDS = "10";

type Route = (request: Request, context: Context) => Promise<Response>;

/**
 * The admin listener. Only `/healthz` and `/readyz` answer without the admin token; an unknown path
 * does not even tell that it is unknown.
 */
export function adminApp(deps: AdminDeps): Hono {
  const { tokens, requests, suspensions, now } = deps;
  const app = new Hono({ getPath: rawPath });

  /** Any other method is a 405 that names these. */
  function route(path: string, methods: Readonly<Record<string, Route>>): void {
    for (const [method, answer] of Object.entries(methods)) {
      app.on(method, path, (context) => answer(context.req.raw, context));
    }
    const allow = Object.keys(methods).map((method) => method === "GET" ? "GET, HEAD" : method).join(", ");
    app.all(path, () => {
      throw new AdminRefusal("method_not_allowed_error", `This path takes ${allow} only`, { headers: { allow } });
    });
  }

  for (const [path, health] of Object.entries(HEALTH)) {
    app.get(path, (context) => {
      const { status, body } = health(deps.readiness);
      return context.json(body, status);
    });
  }
  app.use(neverCached);
  app.use(guardAdmin({ token: deps.adminToken, hosts: deps.adminHosts }));
  route("/internal/usage", { GET: (request) => answerUsage(request, deps) });
  route("/internal/traces", { GET: (request) => answerTraces(request, deps) });
  route("/internal/traces/:id", { GET: (request, context) => answerTrace(request, idOf(context), deps) });
  route("/internal/refusals", { GET: (request) => answerRefusals(request, deps) });
  route("/internal/export", { GET: (request) => answerExport(request, deps.exportUsage, now) });
  route("/internal/backup", { POST: (request) => answerBackup(request, deps.backUp) });
  route("/internal/import", { POST: (request) => answerImport(request, deps.importRows) });
  route("/internal/tokens", {
    GET: (request) => listTokens(request, tokens),
    POST: (request) => createToken(request, tokens, now),
  });
  route("/internal/tokens/:id", { DELETE: (request, context) => revokeToken(request, idOf(context), tokens) });
  for (const [path, placeOf] of Object.entries(QUOTA_PATHS)) {
    route(path, {
      GET: (request, context) => readQuota(request, placeOf(context), deps),
      PUT: (request, context) => setQuota(request, placeOf(context), deps),
      DELETE: (request, context) => clearQuota(request, placeOf(context), deps),
    });
  }
  route("/internal/requests", { GET: (request) => listRunning(request, requests) });
  route("/internal/requests/:id", { DELETE: (request, context) => cutRunning(request, idOf(context), requests) });
  route("/internal/suspensions", { GET: (request) => listSuspensions(request, suspensions) });
  for (const path of ["/internal/suspensions/:workspace", "/internal/suspensions/:workspace/sandboxes/:sandbox"]) {
    route(path, {
      PUT: (request, context) => putSuspension(request, scopeOf(context), suspensions),
      DELETE: (request, context) => deleteSuspension(request, scopeOf(context), suspensions),
    });
  }
  route("/internal/reship", { POST: (request) => answerReship(request, deps.reship, now) });
  route("/internal/reprice", { POST: (request) => answerReprice(request, deps.reprice, now) });
  route("/metrics", { GET: () => answerMetrics(deps) });
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

async function answerMetrics({ metrics }: AdminDeps): Promise<Response> {
  const { text, contentType } = await metrics();
  return new Response(text, { headers: { "content-type": contentType } });
}

/** Where limits are set, and for whom. */
const QUOTA_PATHS: Readonly<Record<string, (context: Context) => LimitPlace>> = {
  "/internal/quotas": () => ({ scope: "default", workspaceId: "", id: "" }),
  "/internal/quotas/:id": (context) => ({ scope: "workspace", workspaceId: idOf(context), id: "" }),
  "/internal/quotas/:workspace/sandboxes/:id": (context) => placeIn(context, "sandbox"),
  "/internal/quotas/:workspace/traces/:id": (context) => placeIn(context, "trace"),
};

function placeIn(context: Context, scope: LimitPlace["scope"]): LimitPlace {
  return { scope, workspaceId: idOf(context, "workspace"), id: idOf(context) };
}

function retryLater(type: AdminRefusalType, { message }: Error, seconds: string): AdminRefusal {
  return new AdminRefusal(type, message, { headers: { "retry-after": seconds } });
}

/** The answers are about this moment, and a token is shown once. */
async function neverCached(context: Context, next: () => Promise<void>): Promise<void> {
  await next();
  context.res.headers.set("cache-control", "no-store");
}

function scopeOf(context: Context): ScopeInPath {
  return { workspace: context.req.param("workspace") ?? "", sandbox: context.req.param("sandbox") ?? null };
}

/** Throws `AdminRefusal` for NUL, which PostgreSQL cannot take. */
function idOf(context: Context, name = "id"): string {
  const id = context.req.param(name) ?? "";
  if (id.includes("\0")) throw new AdminRefusal("not_found_error", `There is nothing of the id ${shown(id)}`);
  return id;
}
