import { Fault } from "../domain/fault.ts";

/**
 * The request's target (path and query) where it is spelled plainly; it is then both what is routed and what is sent.
 *
 * `Request.url` holds the raw target behind the Host header, and both `new URL` and fetch would tidy it up: `/v1/./messages`
 * would miss its route here and still reach the upstream as `/v1/messages`. Throws `Fault` `path_unknown` for dot segments
 * (also percent-encoded), `//`, backslashes, encoded slashes, encoded letters, digits, `-`, `.`, `_` or `~`, path parameters,
 * fragments, quotes and angle brackets in a query, the absolute form of another host, a trailing slash, and a known route in
 * other letters.
 */
export function plainTarget(request: Pick<Request, "url" | "headers">): string {
  const target = rawTarget(request);
  const end = target.indexOf("?");
  const path = end < 0 ? target : target.slice(0, end);
  if (!PLAIN_PATH.test(path) || !isPlainlySpelled(path) || RESPELLED.test(target.slice(path.length))) throw unknownPath();
  return target;
}

/**
 * Refuses methods that are not in capital letters: fetch would turn `post`, which no route here takes, into `POST`. And those
 * that fetch does not send (Fetch standard, "forbidden method"). Throws `Fault` `path_unknown`.
 */
export function assertPlainMethod(request: Pick<Request, "method">): void {
  if (!/^(?!CONNECT$|TRACE$|TRACK$)[A-Z]+$/.test(request.method)) throw unknownPath();
}

/** The path that Hono routes: the raw one, never a decoded one. */
export function rawPath(request: Pick<Request, "url">): string {
  const url = request.url;
  const start = url.indexOf("/", url.indexOf("://") + 3);
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

/** Segments of RFC 3986 characters (section 3.3) without `;`, which some servers cut off, none of them empty. */
const PLAIN_PATH = /^\/$|^(?:\/(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})+)+$/;

/** What must not be hidden behind a percent sign: `. - _ ~`, letters, digits, `/ \ ; ? # %` and controls. */
const HIDDEN =
  /%(?:2[deDE]|5[fF]|7[eE]|4[1-9a-fA-F]|5[0-9aA]|6[1-9a-fA-F]|7[0-9aA]|3[0-9]|2[fF]|5[cC]|3[bBfF]|23|25|[01][0-9a-fA-F]|7[fF])/;

/** What fetch percent-encodes in a query (URL standard, "special-query percent-encode set"), and the fragment, which it cuts off. */
const RESPELLED = /["'<>#]/;

/** A server that ignores case would take another spelling of these for a route of ours. */
const KNOWN_ROUTE = /^\/v1(?:\/(?:messages(?:\/(?:count_tokens|batches))?|models|files))?(?=\/|$)/i;

function isPlainlySpelled(path: string): boolean {
  if (HIDDEN.test(path)) return false;
  if (path.split("/").some((segment) => segment === "." || segment === "..")) return false;
  const known = KNOWN_ROUTE.exec(path)?.[0] ?? "";
  return known === known.toLowerCase();
}

/** Strips `http://` and the Host header's words; an absolute-form target of another host leaves something else in front. */
function rawTarget(request: Pick<Request, "url" | "headers">): string {
  const host = request.headers.get("host");
  if (host !== null && !/^[A-Za-z0-9.\-_:[\]%]*$/.test(host)) throw unknownPath();
  const start = host === null ? request.url.indexOf("/", "http://".length) : `http://${host}`.length;
  if (host !== null && !request.url.startsWith(`http://${host}/`)) throw unknownPath();
  return request.url.slice(start);
}
