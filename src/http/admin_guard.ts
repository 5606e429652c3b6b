import type { MiddlewareHandler } from "hono";
import { AdminRefusal, shown } from "./admin_refusal.ts";
import { isSameSecret } from "./same_secret.ts";

export interface AdminGuardOptions {
  /**
   * Called for each request, because it can be rotated. If it is empty, every request is refused.
   */
  readonly token: () => string;
  /** What may look and change nothing; null: there is no viewer. */
  readonly viewerToken: () => string | null;
}

const BEARER = /^bearer +(\S+) *$/i;
const PORT = /:\d{1,5}$/;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;
const IPV6 = /^\[[0-9a-f:.]+(?:%[\w.~%-]+)?\]$/;

const NO_TOKEN = "The admin listener needs Authorization: Bearer with LLMPROXY_ADMIN_TOKEN, or with the content of " +
  "admin-token in the data directory (LLMPROXY_DATA_DIR)";
export const VIEWERS_LOOK = "Cannot change anything with LLMPROXY_VIEWER_TOKEN: it only looks";

/**
 * Throws `AdminRefusal` unless the request names a host of the listener: `hosts`, in lower case,
 * besides addresses and localhost. One with a port holds for that port only. This stops DNS
 * rebinding: a page can point its own name at this listener, but its host cannot be an address or
 * `localhost`.
 */
export function guardHost(hosts: () => readonly string[]): MiddlewareHandler {
  return async (context, next) => {
    assertOurHost(context.req.raw, hosts());
    await next();
  };
}

/** Throws `AdminRefusal` unless the request has the admin token, or the viewer's and only looks. */
export function guardAdmin({ token, viewerToken }: AdminGuardOptions): MiddlewareHandler {
  return async (context, next) => {
    assertToken(context.req.raw, { admin: token(), viewer: viewerToken() ?? "" });
    await next();
  };
}

function assertOurHost(request: Request, hosts: readonly string[]): void {
  // They differ for a target in absolute form.
  for (const host of new Set([request.headers.get("host") ?? "", URL.parse(request.url)?.host ?? ""])) {
    if (host !== "" && !isOurHost(host.toLowerCase(), hosts)) {
      throw new AdminRefusal(
        "permission_error",
        `Cannot serve the host ${shown(host)}: ask by address or as localhost, or name the host in LLMPROXY_ADMIN_HOSTS`,
      );
    }
  }
}

function isOurHost(host: string, hosts: readonly string[]): boolean {
  const name = host.replace(PORT, "");
  return name === "localhost" || IPV4.test(name) || IPV6.test(name) || hosts.includes(name) || hosts.includes(host);
}

function assertToken({ headers, method }: Request, { admin, viewer }: { readonly admin: string; readonly viewer: string }): void {
  const given = BEARER.exec(headers.get("authorization") ?? "")?.[1];
  if (given !== undefined && isSameSecret(given, admin)) return;
  if (given === undefined || !isSameSecret(given, viewer)) {
    throw new AdminRefusal("authentication_error", NO_TOKEN, {
      headers: { "www-authenticate": 'Bearer realm="llmproxy admin"' },
    });
  }
  if (method !== "GET" && method !== "HEAD") throw new AdminRefusal("permission_error", VIEWERS_LOOK);
}
