import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { AdminRefusal, shown } from "./admin_refusal.ts";

export interface AdminGuardOptions {
  /** Asked at each request, because it can be rotated. Where it is empty nobody is let in. */
  readonly token: () => string;
  /** Names, in lower case, under which the listener may be reached; one with a port at that port only. */
  readonly hosts: () => readonly string[];
}

const BEARER = /^bearer +(\S+) *$/i;
const PORT = /:\d{1,5}$/;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;
const IPV6 = /^\[[0-9a-f:.]+(?:%[\w.~%-]+)?\]$/;

const NO_TOKEN = "The admin listener asks for Authorization: Bearer with LLMPROXY_ADMIN_TOKEN, or with the content of " +
  "admin-token in the data directory (LLMPROXY_DATA_DIR)";

/**
 * Lets through whoever holds the admin token and asked for a host of ours; throws `AdminRefusal` else.
 * The Host check stops DNS rebinding: a page can point its own name at this listener, but can name neither an address nor
 * `localhost` as its host.
 */
export function guardAdmin({ token, hosts }: AdminGuardOptions): MiddlewareHandler {
  return async (context, next) => {
    assertOurHost(context.req.raw, hosts());
    assertToken(context.req.raw, token());
    await next();
  };
}

function assertOurHost(request: Request, hosts: readonly string[]): void {
  // The URL's host is the Host header's, but for a target in absolute form.
  for (const host of new Set([request.headers.get("host") ?? "", hostOf(request.url)])) {
    if (host !== "" && !isOurHost(host.toLowerCase(), hosts)) {
      throw new AdminRefusal(
        "permission_error",
        `Cannot serve the host ${shown(host)}: ask by address or as localhost, or name the host in LLMPROXY_ADMIN_HOSTS`,
      );
    }
  }
}

function hostOf(url: string): string {
  return URL.parse(url)?.host ?? "";
}

function isOurHost(host: string, hosts: readonly string[]): boolean {
  const name = host.replace(PORT, "");
  return name === "localhost" || IPV4.test(name) || IPV6.test(name) || hosts.includes(name) || hosts.includes(host);
}

function assertToken(request: Request, token: string): void {
  const given = BEARER.exec(request.headers.get("authorization") ?? "")?.[1];
  if (token === "" || given === undefined || !isSame(given, token)) {
    throw new AdminRefusal("authentication_error", NO_TOKEN, {
      headers: { "www-authenticate": 'Bearer realm="llmproxy admin"' },
    });
  }
}

/** In constant time, whatever the lengths. */
function isSame(given: string, token: string): boolean {
  return timingSafeEqual(sha256(given), sha256(token));
}

function sha256(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
