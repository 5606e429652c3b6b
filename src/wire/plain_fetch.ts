export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/**
 * A fetch that adds no `accept-language` of its own.
 *
 * The Fetch standard has it added where `headers.has()` says that it is absent, which Deno asks synchronously within the call
 * (2.9.6; held by a test against a raw socket). A proxy must not speak for its client, so for the length of that synchronous
 * call the answer is yes. `accept` and `user-agent` are added below JavaScript: the caller names what its client did not.
 */
export function plainFetch(fetch: Fetch): Fetch {
  const has = Headers.prototype.has;
  const claims = function (this: Headers, name: string): boolean {
    return name.toLowerCase() === "accept-language" || has.call(this, name);
  };
  return (url, init) => {
    Headers.prototype.has = claims;
    try {
      return fetch(url, init);
    } finally {
      Headers.prototype.has = has;
    }
  };
}
