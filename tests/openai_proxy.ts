import { type ProxyUnderTest, startProxy } from "./proxy_under_test.ts";

/** The operator's key of the upstream behind `startOpenaiProxy`. */
export const OPENAI_KEY = "sk-a-key";

/** Its upstreams of Anthropic and OpenAI are one fake. `more` is for the latter's entry. */
export async function startOpenaiProxy(more: object = {}): Promise<ProxyUnderTest> {
  const file = await Deno.makeTempFile({ prefix: "llmproxy-upstreams-" });
  const entry = { name: "openai", dialect: "openai", credentials: [{ name: "o", key: OPENAI_KEY }], ...more };
  try {
    return await startProxy({
      env: ({ upstreamUrl }) => {
        Deno.writeTextFileSync(file, JSON.stringify([{ ...entry, baseUrl: upstreamUrl }]));
        return { LLMPROXY_UPSTREAMS_FILE: file };
      },
    });
  } finally {
    await Deno.remove(file);
  }
}
