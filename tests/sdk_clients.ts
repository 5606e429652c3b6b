/** Anthropic's own client SDKs, both majors that are in use, pointed at a proxy. */
import Sdk0 from "anthropic_sdk_0";
import Sdk1 from "anthropic_sdk_1";

export type Sdk = typeof Sdk1;

export const SDKS: readonly { readonly name: string; readonly Sdk: Sdk }[] = [
  // What the tests use of both is the same; TypeScript cannot call the overloads of a union.
  { name: "@anthropic-ai/sdk 0.137", Sdk: Sdk0 as unknown as Sdk },
  { name: "@anthropic-ai/sdk 1.12", Sdk: Sdk1 },
];

/** A client, and how many HTTP requests it has made, its retries included. */
export interface CountedClient {
  readonly client: InstanceType<Sdk>;
  readonly attempts: () => number;
}

export function clientOf(
  Sdk: Sdk,
  { url, token, maxRetries = 0 }: { readonly url: string; readonly token: string; readonly maxRetries?: number },
): CountedClient {
  let attempts = 0;
  const counted = (input: string | URL | Request, init?: RequestInit) => {
    // An SDK also fetches a "data:" URL, to find out what its fetch can send.
    if (String(input).startsWith(url)) attempts++;
    return fetch(input, init);
  };
  const client = new Sdk({ baseURL: url, apiKey: token, authToken: null, maxRetries, fetch: counted, logLevel: "off" });
  return { client, attempts: () => attempts };
}

/** The parameters of a message of one user text. */
export function saying(text: string) {
  return { model: "claude-haiku-4-5", max_tokens: 64, messages: [{ role: "user" as const, content: text }] };
}
