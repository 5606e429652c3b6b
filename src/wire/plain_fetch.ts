import { framingTrouble } from "./headers.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/**
 * A fetch that sends the headers it is given, each once, and whose answers have a body that their
 * framing tells.
 *
 * The Fetch standard has `accept-language` added where `headers.has()` says that it is absent,
 * which Deno asks synchronously within the call (2.9.6; held by a test against a raw socket). A
 * proxy must not speak for its client, so for the length of that synchronous call the answer is
 * yes. `accept` and `user-agent` are added below JavaScript: the caller names what its client did
 * not.
 *
 * With `OTEL_DENO=true` the runtime appends its own trace context to what the client sent, by
 * `headers.append()` within the same call. One trace has one parent, so here it takes the place of
 * the client's. A compiled program reads that setting when it is compiled, so what the runtime does
 * tells more than the environment.
 */
export function plainFetch(fetch: Fetch): Fetch {
  const { has, append } = Headers.prototype;
  const claims = function (this: Headers, name: string): boolean {
    return name.toLowerCase() === "accept-language" || has.call(this, name);
  };
  const replaces = function (this: Headers, name: string, value: string): void {
    if (TRACE_CONTEXT.includes(name.toLowerCase())) this.set(name, value);
    else append.call(this, name, value);
  };
  return async (url, init) => {
    let asked: Promise<Response>;
    Headers.prototype.has = claims;
    Headers.prototype.append = replaces;
    try {
      asked = fetch(url, init);
    } finally {
      Headers.prototype.has = has;
      Headers.prototype.append = append;
    }
    const answer = await asked;
    const trouble = framingTrouble(answer.headers);
    if (trouble === null) return answer;
    answer.body?.cancel().catch(() => {});
    throw new Error(trouble);
  };
}

/** W3C Trace Context and Baggage. */
const TRACE_CONTEXT = ["traceparent", "tracestate", "baggage"];
