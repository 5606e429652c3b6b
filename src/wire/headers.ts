import { holdsSecret } from "./secrets.ts";
import { stopsHere } from "./stopped_headers.ts";
import { SENT_BY_RUNTIME } from "./trace_context.ts";

type Field = [name: string, value: string];

/** The web's `Headers`, or what reads like them. Names are in lower case. */
type Fields = Pick<Headers, "get" | "has"> & Iterable<readonly [string, string]>;

/**
 * The request's headers for the upstream: without what stops here (`stopped_headers.ts`), those
 * named in `drop` (lower case) and any that holds one of the `secrets`. They ask for `identity`, so
 * that the proxy can read the answer's bytes.
 */
export function forwardedHeaders(
  headers: Fields,
  options: { readonly drop: readonly string[]; readonly secrets: readonly string[] },
): Field[] {
  const named = namedByConnection(headers);
  const out: Field[] = [["accept-encoding", "identity"]];
  for (const [name, value] of headers) {
    if (
      name === "accept-encoding" || stopsHere(name, "request") || named.has(name) || options.drop.includes(name) ||
      SENT_BY_RUNTIME.includes(name)
    ) continue;
    if (isSecret(name, value, options.secrets)) continue;
    out.push([name, value]);
  }
  return out;
}

/**
 * The answer's headers for the client: without what stops here and any that holds one of the
 * `secrets`. `content-length` stays if it is the body's length: the body is the same bytes.
 */
export function returnedHeaders(headers: Fields, options: { readonly secrets: readonly string[] }): Field[] {
  const named = namedByConnection(headers);
  const out: Field[] = [];
  for (const [name, value] of headers) {
    if (name === "content-length" || stopsHere(name, "answer") || named.has(name)) continue;
    if (!isSecret(name, value, options.secrets)) out.push([name, value]);
  }
  const length = lengthOf(headers);
  if (length !== null) out.push(["content-length", length]);
  return out;
}

/**
 * The body's length, if the answer declares one. RFC 9112, 6.3: beside a transfer coding the header
 * does not count, and a proxy must remove it. RFC 9110, 8.6: the same length several times is one;
 * fetch refuses different ones.
 */
function lengthOf(headers: Fields): string | null {
  const length = headers.get("content-length");
  if (length === null || headers.has("transfer-encoding")) return null;
  return length.split(",")[0]!.trim();
}

/**
 * Why the proxy cannot pass on an answer's body; null if it can. fetch undoes only `chunked` (RFC
 * 9112, 7): a body in any other coding would pass as if it were plain. `identity` once named the
 * absence of a coding.
 */
export function framingTrouble(headers: Headers): string | null {
  const codings = (headers.get("transfer-encoding") ?? "").toLowerCase().split(",").map((coding) => coding.trim())
    .filter((coding) => coding !== "");
  if (codings.length === 0 || (codings.length === 1 && ["chunked", "identity"].includes(codings[0]!))) return null;
  return `Cannot read an answer in the transfer coding ${codings.join(", ").slice(0, 100)}: the proxy did not ask for it`;
}

/** Names come in lower case, however they were sent. */
function isSecret(name: string, value: string, secrets: readonly string[]): boolean {
  return secrets.some((secret) => holdsSecret(value, secret) || holdsSecret(name, secret.toLowerCase()));
}

/** `Connection: x-foo` makes `x-foo` hop-by-hop, but never a content header: the body needs it. */
function namedByConnection(headers: Fields): ReadonlySet<string> {
  const connection = headers.get("connection");
  if (connection === null) return NONE;
  const names = connection.split(",").map((name) => name.trim().toLowerCase());
  return new Set(names.filter((name) => !name.startsWith("content-")));
}

const NONE: ReadonlySet<string> = new Set();
