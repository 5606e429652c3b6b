import { holdsSecret } from "./secrets.ts";
import { stopsHere } from "./stopped_headers.ts";

/**
 * Deno with `OTEL_DENO=true` appends its own `traceparent` and `baggage` to every fetch. They would
 * stand beside the client's, and W3C Trace Context allows one parent: the client's stop here. Deno
 * continues the client's trace and baggage. It appends no `tracestate` (2.9.6), so that passes.
 *
 * The runtime is asked which headers it sends. The environment does not tell: a compiled program has
 * its OTEL settings from its compilation.
 */
const SENT_BY_RUNTIME = headersOfRuntime();

/**
 * The request's headers, as they go on: without what stops here (`stopped_headers.ts`), without
 * those named in `drop` (lower case) and without any that holds one of the `secrets`. Identity is
 * asked for, so that the answer's bytes are the meter's too.
 */
export function forwardedHeaders(
  headers: Headers,
  options: { readonly drop: readonly string[]; readonly secrets: readonly string[] },
): Headers {
  const named = namedByConnection(headers);
  const out = new Headers();
  for (const [name, value] of headers) {
    if (stopsHere(name, "request") || named.has(name) || options.drop.includes(name) || SENT_BY_RUNTIME.includes(name)) continue;
    if (isSecret(name, value, { secrets: options.secrets })) continue;
    out.append(name, value);
  }
  out.set("accept-encoding", "identity");
  return out;
}

/**
 * The answer's headers, as they go back: without what stops here and without any that holds one of
 * the `secrets`. `content-length` stays if it is the body's length, because the body is the same
 * bytes.
 */
export function returnedHeaders(headers: Headers, options: { readonly secrets: readonly string[] }): Headers {
  const named = namedByConnection(headers);
  const out = new Headers();
  for (const [name, value] of headers) {
    if (stopsHere(name, "answer") || named.has(name) || isSecret(name, value, options)) continue;
    out.append(name, value);
  }
  const length = lengthOf(headers);
  if (length === null) out.delete("content-length");
  else out.set("content-length", length);
  return out;
}

/**
 * What the body's length is said to be; null if that is not said. RFC 9112, 6.3: beside a transfer
 * coding the field does not count, and a proxy that passes the message on must take it out. RFC
 * 9110, 8.6: the same length said several times is one; fetch refuses different ones.
 */
function lengthOf(headers: Headers): string | null {
  const length = headers.get("content-length");
  if (length === null || headers.has("transfer-encoding")) return null;
  return length.split(",")[0]!.trim();
}

/**
 * Why an answer's body cannot be told from its framing; null if it can. fetch undoes `chunked`
 * alone (RFC 9112, 7): a body in any other coding would be passed on as if it were plain.
 * `identity` was the name of no coding once.
 */
export function framingTrouble(headers: Headers): string | null {
  const codings = (headers.get("transfer-encoding") ?? "").toLowerCase().split(",").map((coding) => coding.trim())
    .filter((coding) => coding !== "");
  if (codings.length === 0 || (codings.length === 1 && ["chunked", "identity"].includes(codings[0]!))) return null;
  return `Cannot read an answer in the transfer coding ${codings.join(", ").slice(0, 100)}: nobody asked for it`;
}

function headersOfRuntime(): readonly string[] {
  // The OpenTelemetry API's own registration, which Deno fills at its start.
  const otel: unknown = Reflect.get(globalThis, Symbol.for("opentelemetry.js.api.1"));
  const { trace, propagation } = (otel ?? {}) as { readonly trace?: object; readonly propagation?: { fields(): string[] } };
  return trace === undefined ? [] : (propagation?.fields() ?? []).filter((name) => name !== "tracestate");
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
