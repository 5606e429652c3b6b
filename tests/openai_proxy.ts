import { type ProxyOptions, type ProxyUnderTest, startProxy } from "./proxy_under_test.ts";

/** The operator's key of the upstream behind `startOpenaiProxy`. */
export const OPENAI_KEY = "sk-a-key";

/**
 * A proxy whose upstreams of Anthropic and OpenAI are one fake. `more` is for the latter's entry,
 * such as another `baseUrl`.
 */
export async function startOpenaiProxy(
  more: object = {},
  { env = {}, ...options }: ProxyOptions & { readonly env?: Readonly<Record<string, string>> } = {},
): Promise<ProxyUnderTest> {
  const file = await Deno.makeTempFile({ prefix: "llmproxy-upstreams-" });
  const entry = { name: "openai", dialect: "openai", credentials: [{ name: "o", key: OPENAI_KEY }], ...more };
  try {
    return await startProxy({
      ...options,
      env: ({ upstreamUrl }) => {
        Deno.writeTextFileSync(file, JSON.stringify([{ baseUrl: upstreamUrl, ...entry }]));
        return { LLMPROXY_UPSTREAMS_FILE: file, ...env };
      },
    });
  } finally {
    await Deno.remove(file);
  }
}
