import { holdsSecret } from "./secrets.ts";

/** Hop-by-hop fields (RFC 9110 section 7.6.1), and `proxy-*`, which are for the next hop alone (section 11.7). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** End-to-end fields that the next hop's own framing replaces. */
const FRAMING: ReadonlySet<string> = new Set(["host", "content-length", "expect", "accept-encoding"]);

/**
 * The request's end-to-end headers, as they go on, without those named in `drop` (lower case)
 * and without any that holds one of the `secrets`. Identity is asked for, so that the answer's bytes are the meter's too.
 */
export function forwardedHeaders(
  headers: Headers,
  options: { readonly drop: readonly string[]; readonly secrets: readonly string[] },
): Headers {
  const named = namedByConnection(headers);
  const out = new Headers();
  for (const [name, value] of headers) {
    if (HOP_BY_HOP.has(name) || FRAMING.has(name) || named.has(name) || options.drop.includes(name)) continue;
    if (isSecret(name, value, { secrets: options.secrets })) continue;
    out.append(name, value);
  }
  out.set("accept-encoding", "identity");
  return out;
}

/**
 * The answer's end-to-end headers, as they go back, without any that holds one of the `secrets`.
 * `content-length` stays: the body is the same bytes.
 */
export function returnedHeaders(headers: Headers, options: { readonly secrets: readonly string[] }): Headers {
  const named = namedByConnection(headers);
  const out = new Headers();
  for (const [name, value] of headers) {
    if (HOP_BY_HOP.has(name) || named.has(name) || isSecret(name, value, options)) continue;
    out.append(name, value);
  }
  return out;
}

/** A name comes in small letters, whatever it was sent in. */
function isSecret(name: string, value: string, { secrets }: { readonly secrets: readonly string[] }): boolean {
  return secrets.some((secret) => holdsSecret(value, secret) || name.includes(secret.toLowerCase()));
}

/** `Connection: close, x-foo` makes `x-foo` hop-by-hop. Content headers cannot be named away: the body goes on with them. */
function namedByConnection(headers: Headers): ReadonlySet<string> {
  const connection = headers.get("connection");
  if (connection === null) return NONE;
  const names = connection.split(",").map((name) => name.trim().toLowerCase());
  return new Set(names.filter((name) => !name.startsWith("content-")));
}

const NONE: ReadonlySet<string> = new Set();
