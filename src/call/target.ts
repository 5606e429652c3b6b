import { Fault } from "../domain/fault.ts";
import type { Fields } from "../domain/header_fields.ts";
import type { Provider } from "../domain/provider.ts";
import { clientIpIn } from "../wire/client_ip.ts";
import type { Deps } from "./deps.ts";

interface Target {
  readonly url: string;
  readonly headers: Fields;
}

export interface PlainOptions {
  /** The paths of `knownPaths`. */
  readonly known: ReadonlySet<string>;
  /** The route takes names with encoded slashes in a segment. */
  readonly hasEncodedSlashes: boolean;
}

/**
 * The request's target (path and query) if it is spelled plainly. It is what is routed and what is
 * sent.
 *
 * `url` is the target as the client sent it. Both `new URL` and fetch would tidy it up: `/a/./b`
 * would miss its route here and still reach the upstream as `/a/b`. Throws `Fault`
 * `path_unknown` for
 * - dot segments (also percent-encoded), `//`, a trailing slash, backslashes, path parameters,
 * - encoded slashes (unless the route takes them, and then not so that they hide any of these),
 * - encoded letters, digits, `-`, `.`, `_` or `~`,
 * - fragments, and quotes or angle brackets in a query,
 * - the absolute form of another host,
 * - a known path in other letters: a server that ignores case would take it for that path.
 */
export function plainTarget(request: Target, { known, hasEncodedSlashes }: PlainOptions): string {
  const target = rawTarget(request);
  const end = target.indexOf("?");
  const sent = end < 0 ? target : target.slice(0, end);
  // As a server reads it that decodes before it splits.
  const path = hasEncodedSlashes ? sent.replaceAll(/%2F/gi, "/") : sent;
  const isPlain = PLAIN_PATH.test(path) && !HIDDEN.test(path) && !isRespelled(path, known) &&
    !REWRITTEN.test(target.slice(sent.length));
  if (!isPlain) throw unknownPath();
  return target;
}

/**
 * The fixed beginnings of the dialects' paths, each with all that leads to it: `/a`, `/a/b`. With
 * the dialect's prefix and without.
 */
export function knownPaths(dialects: readonly Pick<Provider, "prefix" | "routes">[]): ReadonlySet<string> {
  const known = new Set<string>();
  const paths = dialects.flatMap(({ prefix, routes }) => routes.flatMap(({ path }) => [path, prefix + path]));
  for (const path of paths) {
    const fixed = path.split("/").slice(1);
    const end = fixed.findIndex((segment) => /^[:*]/.test(segment));
    const segments = end < 0 ? fixed : fixed.slice(0, end);
    segments.forEach((_, index) => known.add(`/${segments.slice(0, index + 1).join("/")}`));
  }
  return known;
}

/**
 * Throws `Fault` `path_unknown` for methods not in capital letters, because fetch would turn `post`
 * into `POST`, and for those that fetch does not send (Fetch standard, "forbidden method").
 */
export function assertPlainMethod(request: Pick<Request, "method">): void {
  if (!/^(?!CONNECT$|TRACE$|TRACK$)[A-Z]+$/.test(request.method)) throw unknownPath();
}

/** The path that is routed: the raw one, never a decoded one. */
export function rawPath(request: Pick<Request, "url">): string {
  const url = request.url;
  const start = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("://") + 3);
  if (start < 0) return "/";
  const end = url.slice(start).search(/[?#]/);
  return end < 0 ? url.slice(start) : url.slice(start, start + end);
}

export function unknownPath(): Fault {
  return new Fault(
    "path_unknown",
    "There is nothing at this path, or it is not spelled plainly. Check the base URL of the client.",
  );
}

/**
 * Throws a `Fault` unless `allowed` names the path: by whole segments, or by `*` for all. A path
 * that shows a client's wrong base URL needs a prefix that shows it too: by `*` it would pass
 * unmetered.
 */
export function assertAllowed(
  path: string,
  allowed: readonly string[],
  { baseUrlFault }: Pick<Provider, "baseUrlFault">,
): void {
  const slip = baseUrlFault(path);
  const isAllowed = allowed.some((prefix) => {
    if (slip !== null && baseUrlFault(prefix) === null) return false;
    return prefix === "*" || path === prefix || path.startsWith(prefix.replace(/\/?$/, "/"));
  });
  if (isAllowed) return;
  throw slip ?? new Fault(
    "path_not_allowed",
    "This endpoint is not open through the proxy. Its operator can open it by LLMPROXY_ALLOW_PATHS.",
  );
}

/** The client's address for log lines; null unless the operator named the header that holds it. */
export function clientIpOf(
  request: { readonly headers: Fields },
  { clientIpHeader }: Pick<Deps, "clientIpHeader">,
): string | null {
  return clientIpHeader === null ? null : clientIpIn(request.headers.get(clientIpHeader));
}

/**
 * Segments of RFC 3986 characters (section 3.3), none empty and none of dots alone; without `;`,
 * which some servers cut off.
 */
const PLAIN_PATH = /^\/$|^(?:\/(?!\.{1,2}(?:\/|$))(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})+)+$/;

/** What a percent sign must not hide: `. - _ ~`, letters, digits, `/ \ ; ? # %` and controls. */
const HIDDEN =
  /%(?:2[deDE]|5[fF]|7[eE]|4[1-9a-fA-F]|5[0-9aA]|6[1-9a-fA-F]|7[0-9aA]|3[0-9]|2[fF]|5[cC]|3[bBfF]|23|25|[01][0-9a-fA-F]|7[fF])/;

/**
 * What fetch percent-encodes in a query (URL standard, "special-query percent-encode set"), and the
 * fragment, which it cuts off.
 */
const REWRITTEN = /["'<>#]/;

function isRespelled(path: string, known: ReadonlySet<string>): boolean {
  const segments = path.split("/");
  return segments.some((_, index) => {
    const part = segments.slice(0, index + 1).join("/");
    return known.has(part.toLowerCase()) && !known.has(part);
  });
}

/** The target in origin form. The absolute form (RFC 9112, 3.2) of another host is refused. */
function rawTarget({ url, headers }: Target): string {
  const host = headers.get("host");
  if (host !== null && !/^[A-Za-z0-9.\-_:[\]%]*$/.test(host)) throw unknownPath();
  if (url.startsWith("/")) return url;
  if (host === null || !url.startsWith(`http://${host}/`)) throw unknownPath();
  return url.slice(`http://${host}`.length);
}
