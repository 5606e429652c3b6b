import assert from "node:assert/strict";
import { problemsOf, source, type Texts } from "../../tests/config_source.ts";
import { loadConfigFromEnv, readSecrets } from "./config.ts";

const KEY = { ANTHROPIC_API_KEY: "sk-ant-api03-secret-key" };
const OIDC = {
  ...KEY,
  LLMPROXY_DASHBOARD_URL: "https://Proxy.Corp.example:8443/",
  LLMPROXY_OIDC_ISSUER: "https://login.corp.example/realms/main/",
  LLMPROXY_OIDC_CLIENT_ID: "llmproxy",
  LLMPROXY_OIDC_CLIENT_SECRET_FILE: "/secret",
  LLMPROXY_OIDC_ADMINS: "ada@corp.example, groups=proxy-admins",
};
const FILES = { "/secret": "hush-hush\n" };

Deno.test("readOidc() reads who may come in, and keeps the issuer as it is written", () => {
  const { oidc, admin, warnings } = loadConfigFromEnv(source(OIDC, FILES));
  assert.deepEqual(oidc, {
    issuer: "https://login.corp.example/realms/main/",
    clientId: "llmproxy",
    clientSecret: "hush-hush",
    scopes: "openid email profile",
    people: { admin: [{ email: "ada@corp.example" }, { claim: "groups", value: "proxy-admins" }], viewer: [] },
    redirectUrl: "https://proxy.corp.example:8443/dashboard/oidc/callback",
  });
  // The listener answers to that name, and cookies are for https.
  assert.deepEqual([admin.hosts, admin.isSecure, warnings], [["proxy.corp.example"], true, []]);
  assert.equal(readSecrets(source(OIDC, { "/secret": "another" })).oidcClientSecret, "another");
});

Deno.test("readOidc() says what is missing, and lets no one in by default", () => {
  assert.deepEqual(problemsOf({ ...KEY, LLMPROXY_OIDC_ISSUER: "https://login.corp.example" }), [
    "Cannot sign anyone in at LLMPROXY_OIDC_ISSUER without LLMPROXY_OIDC_CLIENT_ID: set it too",
    "Cannot sign anyone in at LLMPROXY_OIDC_ISSUER without LLMPROXY_DASHBOARD_URL: set it too",
    "Cannot let anyone in by LLMPROXY_OIDC_ISSUER: set LLMPROXY_OIDC_ADMINS or LLMPROXY_OIDC_VIEWERS",
  ]);
  assert.deepEqual(problemsOf({ ...KEY, LLMPROXY_OIDC_CLIENT_ID: "llmproxy", LLMPROXY_OIDC_VIEWERS: "*@corp.example" }), [
    "Cannot use LLMPROXY_OIDC_CLIENT_ID and LLMPROXY_OIDC_VIEWERS without LLMPROXY_OIDC_ISSUER: set it too",
  ]);
  // The dashboard has an address without a provider too.
  assert.equal(loadConfigFromEnv(source({ ...KEY, LLMPROXY_DASHBOARD_URL: "https://proxy.corp.example" })).oidc, null);
});

Deno.test("readOidc() names each setting that it cannot read, and warns of an issuer that anyone could forge", () => {
  const wrong: readonly (readonly [Texts, RegExp])[] = [
    [
      { LLMPROXY_DASHBOARD_URL: "https://proxy.corp.example/llmproxy" },
      /LLMPROXY_DASHBOARD_URL as an http or https URL without a path/,
    ],
    [{ LLMPROXY_OIDC_ISSUER: "login.corp.example" }, /LLMPROXY_OIDC_ISSUER as an http or https URL/],
    [{ LLMPROXY_OIDC_ADMINS: "ada" }, /LLMPROXY_OIDC_ADMINS as e-mail addresses, \*@domain or claim=value/],
    [{ LLMPROXY_OIDC_VIEWERS: "email=ada@corp.example" }, /LLMPROXY_OIDC_VIEWERS as e-mail addresses/],
    [{ LLMPROXY_OIDC_SCOPES: "email profile" }, /LLMPROXY_OIDC_SCOPES as scopes .* openid among them/],
  ];
  for (const [texts, says] of wrong) {
    const problems = problemsOf({ ...OIDC, ...texts }, FILES);
    assert.equal(problems.length, 1, String(problems));
    assert.match(problems[0]!, says);
  }
  const { warnings } = loadConfigFromEnv(source({ ...OIDC, LLMPROXY_OIDC_ISSUER: "http://login.corp.example" }, FILES));
  assert.match(warnings.join(), /^LLMPROXY_OIDC_ISSUER is not https/);
});
