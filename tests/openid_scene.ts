/** A proxy whose dashboard people enter by a real OpenID provider. */
import { freePort } from "./free_port.ts";
import { CLIENT_ID, CLIENT_SECRET, type OpenIdProvider, startOpenIdProvider } from "./openid_provider.ts";
import { type ProxyUnderTest, startProxy } from "./proxy_under_test.ts";

export interface Scene extends AsyncDisposable {
  readonly provider: OpenIdProvider;
  readonly proxy: ProxyUnderTest;
  /** The dashboard's origin. */
  readonly dashboard: string;
  /** How far the proxy's clocks are ahead. */
  readonly clock: { ms: number };
}

export async function openScene(env: Readonly<Record<string, string>> = {}): Promise<Scene> {
  const port = freePort();
  const dashboard = `http://127.0.0.1:${port}`;
  const provider = await startOpenIdProvider(`${dashboard}/dashboard/oidc/callback`);
  const clock = { ms: 0 };
  const proxy = await startProxy({
    env: {
      LLMPROXY_ADMIN_ADDR: `127.0.0.1:${port}`,
      LLMPROXY_DASHBOARD_URL: dashboard,
      LLMPROXY_OIDC_ISSUER: provider.issuer,
      LLMPROXY_OIDC_CLIENT_ID: CLIENT_ID,
      LLMPROXY_OIDC_CLIENT_SECRET: CLIENT_SECRET,
      LLMPROXY_OIDC_ADMINS: "ada@corp.example",
      LLMPROXY_OIDC_VIEWERS: "groups=readers",
      LLMPROXY_LOG_LEVEL: "trace",
      ...env,
    },
    system: { now: () => Date.now() + clock.ms, elapsed: () => performance.now() + clock.ms },
  });
  return {
    ...{ provider, proxy, dashboard, clock },
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await provider[Symbol.asyncDispose]();
    },
  };
}
