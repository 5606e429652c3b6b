import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { AdminRefusal, shown } from "./admin_refusal.ts";

export interface AdminGuardOptions {
  /**
   * Called for each request, because it can be rotated. If it is empty, every request is refused.
   */
  readonly token: () => string;
  /** Host names of the listener, in lower case. One with a port holds for that port only. */
  readonly hosts: () => readonly string[];
}

const BEARER = /^bearer +(\S+) *$/i;
const PORT = /:\d{1,5}$/;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;
const IPV6 = /^\[[0-9a-f:.]+(?:%[\w.~%-]+)?\]$/;

const NO_TOKEN = "The admin listener needs Authorization: Bearer with LLMPROXY_ADMIN_TOKEN, or with the content of " +
  "admin-token in the data directory (LLMPROXY_DATA_DIR)";

/**
 * Throws `AdminRefusal` unless the request has the admin token and names a host of the listener.
 * The Host check stops DNS rebinding: a page can point its own name at this listener, but its host
 * cannot be an address or `localhost`.
 */
export function guardAdmin({ token, hosts }: AdminGuardOptions): MiddlewareHandler {
  return async (context, next) => {
    assertOurHost(context.req.raw, hosts());
    assertToken(context.req.raw, token());
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

function assertToken(request: Request, token: string): void {
  const given = BEARER.exec(request.headers.get("authorization") ?? "")?.[1];
  // In constant time, whatever the lengths.
  if (token === "" || given === undefined || !timingSafeEqual(sha256(given), sha256(token))) {
    throw new AdminRefusal("authentication_error", NO_TOKEN, {
      headers: { "www-authenticate": 'Bearer realm="llmproxy admin"' },
    });
  }
}

function sha256(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
