import assert from "node:assert/strict";
import { CLIENT_ID, CLIENT_SECRET, PlainBrowser, type Wrongs } from "../openid_provider.ts";
import { openScene, type Scene } from "../openid_scene.ts";

Deno.test("an admin and a viewer sign in at the OpenID provider, go on where they wanted to, and sign out", async () => {
  await using scene = await openScene();
  const { dashboard, provider } = scene;
  for (const [person, name] of [["ada", "ada@corp.example"], ["bob", "bob"]] as const) {
    const browser = new PlainBrowser();
    const start = await browser.open(`${dashboard}/dashboard/audit?limit=7`);
    assert.match(start.text, /href="\/dashboard\/oidc\?next=%2Fdashboard%2Faudit%3Flimit%3D7"/);
    const page = await browser.signIn(dashboard, person, "/dashboard/audit?limit=7");
    assert.deepEqual([page.status, page.url], [200, `${dashboard}/dashboard/audit?limit=7`]);
    assert.ok(page.text.includes(`<span>${name}</span>`));
    const formToken = /name="form_token" value="([0-9a-f]{64})"/.exec(page.text)![1]!;
    const held = browser.cookie(dashboard, "llmproxy_session")!;
    await browser.open(`${dashboard}/dashboard/sign-out`, { form_token: formToken });
    browser.setCookie(dashboard, "llmproxy_session", held);
    assert.match((await browser.open(`${dashboard}/dashboard/audit`)).url, /\/dashboard\/sign-in/);
  }
  const asked = new URL(provider.asked.find((path) => path.startsWith("/auth?"))!, provider.issuer).searchParams;
  assert.deepEqual(
    ["response_type", "code_challenge_method", "redirect_uri", "scope", "client_id"].map((name) => asked.get(name)),
    ["code", "S256", `${dashboard}/dashboard/oidc/callback`, "openid email profile", CLIENT_ID],
  );
  // The provider says of itself once what it is.
  assert.equal(provider.asked.filter((path) => path.includes("/.well-known/")).length, 1);
});

Deno.test("someone whom the settings do not name is refused by name, also with another person's unverified address", async () => {
  await using scene = await openScene();
  const browser = new PlainBrowser();
  const { status, text } = await browser.signIn(scene.dashboard, "eve");
  assert.equal(status, 403);
  assert.match(text, /knows you as eve, but LLMPROXY_OIDC_ADMINS and LLMPROXY_OIDC_VIEWERS do not name you/);
  assert.equal(browser.cookie(scene.dashboard, "llmproxy_session"), undefined);
  assert.match(scene.proxy.logs.join(""), /"person":"eve".*someone whom no setting names tried to sign in/);
});

Deno.test("an answer of the provider signs in once, in the browser that began, and only with its own state", async () => {
  await using scene = await openScene();
  const { dashboard, provider } = scene;
  const browser = new PlainBrowser();
  await browser.step(`${dashboard}/dashboard/oidc?next=/dashboard`);
  const pending = browser.cookie(dashboard, "llmproxy_sign_in")!;
  const [url, answer] = await answerFor(browser, scene);
  const held = browser.cookie(dashboard, "llmproxy_sign_in")!;
  const tokenRequests = () => provider.asked.filter((path) => path === "/token").length;

  // Another browser, without a sign-in and with one of its own.
  const other = new PlainBrowser();
  assert.equal((await other.step(answer)).status, 401);
  await other.step(`${dashboard}/dashboard/oidc`);
  assert.equal((await other.step(answer)).status, 401);
  // A cookie of an earlier sign-in, an altered cookie, and an altered state.
  for (
    const cookie of [
      pending,
      held.replace("nonce", "nonse"),
      held.replace(/\.(.)/, (_, first) => first === "A" ? ".B" : ".A"),
    ]
  ) {
    other.setCookie(dashboard, "llmproxy_sign_in", cookie);
    assert.equal((await other.step(answer)).status, 401);
  }
  assert.equal(tokenRequests(), 0);

  const page = await browser.open(answer);
  assert.equal(page.status, 200);
  assert.equal(tokenRequests(), 1);
  assert.match(url, /[?&]state=/);

  // The same again, and with the cookie as it was.
  assert.equal((await browser.step(answer)).status, 401);
  browser.setCookie(dashboard, "llmproxy_sign_in", held);
  const replayed = await browser.step(answer);
  assert.equal(replayed.status, 401);
  assert.match(replayed.text, /began in another browser, is more than 10 minutes old or was used already/);
  assert.equal(tokenRequests(), 1);
});

Deno.test("a changed state in the answer, and an answer that names an error, sign no one in", async () => {
  await using scene = await openScene();
  const altered = [
    [(url: URL) => url.searchParams.set("state", "another"), 401, /did not pass a check/],
    [(url: URL) => url.searchParams.set("iss", "http://evil.example"), 401, /did not pass a check/],
    [(url: URL) => url.searchParams.delete("code"), 401, /did not pass a check/],
    [(url: URL) => url.searchParams.append("code", "x"), 401, /did not pass a check/],
    [(url: URL) => url.searchParams.set("error", "access_denied"), 401, /did not sign you in/],
  ] as const;
  for (const [alter, status, says] of altered.slice(0, 4)) await tried(alter, status, says);
  assert.equal(scene.provider.asked.filter((path) => path === "/token").length, 0);
  await tried(...altered[4]);

  async function tried(alter: (url: URL) => void, status: number, says: RegExp): Promise<void> {
    const browser = new PlainBrowser();
    const [, answer] = await answerFor(browser, scene);
    const url = new URL(answer);
    alter(url);
    const page = await browser.step(url.href);
    assert.deepEqual([page.status, browser.cookie(scene.dashboard, "llmproxy_session")], [status, undefined], url.search);
    assert.match(page.text, says);
  }
});

/** The URL that the browser is sent to, and the one with which the provider sends ada back. */
async function answerFor(browser: PlainBrowser, { dashboard }: Scene): Promise<readonly [url: string, answer: string]> {
  const url = await browser.authorizationUrl(dashboard);
  browser.stopsAt = "/dashboard/oidc/callback";
  const { headers } = await browser.logIn(await browser.open(url), "ada");
  browser.stopsAt = null;
  return [url, headers.get("location")!];
}

const HOUR = 3_600;
const now = () => Math.floor(Date.now() / 1_000);

Deno.test("an ID token for another client, of another sign-in, from another issuer, outdated or forged signs no one in", async () => {
  await using scene = await openScene();
  const wrong: readonly (readonly [Wrongs, RegExp])[] = [
    [{ claims: (claims) => ({ ...claims, aud: "another-client" }) }, /\\"aud\\"/],
    [{ claims: (claims) => ({ ...claims, aud: [CLIENT_ID, "another-client"] }) }, /\\"aud\\"/],
    [{ claims: (claims) => ({ ...claims, nonce: "another" }) }, /\\"nonce\\"/],
    [{ claims: ({ nonce: _, ...claims }) => claims }, /\\"nonce\\"/],
    [{ claims: (claims) => ({ ...claims, iss: "https://evil.example" }) }, /\\"iss\\"/],
    [{ claims: (claims) => ({ ...claims, iat: now() - HOUR, exp: now() - 40 }) }, /\\"exp\\"/],
    [{ claims: (claims) => ({ ...claims, nbf: now() + 60 }) }, /\\"nbf\\"/],
    [{ isForged: true }, /signature/],
  ];
  for (const [wrongs, says] of wrong) {
    // Five failures of an address would close the way for a minute.
    const browser = new PlainBrowser();
    Object.assign(scene.provider.wrongs, wrongs);
    const before = scene.proxy.logs.length;
    const page = await browser.signIn(scene.dashboard, "ada");
    const lines = scene.proxy.logs.slice(before).join("");
    assert.deepEqual([page.status, browser.cookie(scene.dashboard, "llmproxy_session")], [401, undefined], lines);
    assert.match(lines, says);
    for (const name of ["claims", "isForged"] as const) delete scene.provider.wrongs[name];
    scene.clock.ms += 60_000;
  }
  // Clocks may differ by 30 seconds.
  scene.provider.wrongs.claims = (claims) => ({ ...claims, iat: now() - HOUR, exp: now() - 5, nbf: now() + 20 });
  assert.equal((await new PlainBrowser().signIn(scene.dashboard, "ada")).status, 200);
});

Deno.test("if the provider is down, the page says so, tokens still open the dashboard, and it is asked again after 5 seconds", async () => {
  await using scene = await openScene();
  const { dashboard, provider, proxy, clock } = scene;
  await provider.down();
  const browser = new PlainBrowser();
  const refused = await browser.open(`${dashboard}/dashboard/oidc?next=/dashboard/audit`);
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "5"]);
  assert.match(refused.text, /The OpenID provider does not answer\. Sign in with a token/);
  assert.match(refused.text, /name="next" value="\/dashboard\/audit"/);
  assert.match(proxy.logs.join(""), /"fault":"unreachable"/);
  assert.equal(
    (await browser.open(`${dashboard}/dashboard/sign-in`, { token: proxy.adminToken, next: "/dashboard/audit" })).status,
    200,
  );

  // Up again, it is left alone for 5 seconds.
  await provider.up();
  assert.equal((await new PlainBrowser().open(`${dashboard}/dashboard/oidc`)).status, 503);
  assert.equal(provider.asked.length, 0);
  clock.ms += 5_000;
  assert.equal((await new PlainBrowser().signIn(dashboard, "ada")).status, 200);

  // Down while browsers are there: that counts for no one's guesses.
  const late = await Promise.all(Array.from({ length: 6 }, async () => {
    const browser = new PlainBrowser();
    const [, answer] = await answerFor(browser, scene);
    return { browser, answer };
  }));
  await provider.down();
  for (const { browser, answer } of late) assert.equal((await browser.step(answer)).status, 503);
  await provider.up();
  assert.equal((await new PlainBrowser().signIn(dashboard, "ada")).status, 200);
});

Deno.test("a sign-in that takes more than ten minutes is over, and five failures close the way for a minute", async () => {
  await using scene = await openScene();
  const late = new PlainBrowser();
  const [, answer] = await answerFor(late, scene);
  scene.clock.ms += 600_000;
  assert.match((await late.step(answer)).text, /is more than 10 minutes old/);
  scene.provider.wrongs.isForged = true;
  for (let n = 0; n < 5; n++) assert.equal((await new PlainBrowser().signIn(scene.dashboard, "ada")).status, 401);
  delete scene.provider.wrongs.isForged;
  const closed = await new PlainBrowser().signIn(scene.dashboard, "ada");
  assert.deepEqual([closed.status, Number(closed.headers.get("retry-after")) > 30], [429, true]);
  scene.clock.ms += 60_000;
  assert.equal((await new PlainBrowser().signIn(scene.dashboard, "ada")).status, 200);
});

Deno.test("a wrong client secret and an issuer of another name are told to the operator, and a rotated secret works", async () => {
  const secret = await Deno.makeTempFile();
  await Deno.writeTextFile(secret, "not-the-client-secret\n");
  await using scene = await openScene({ LLMPROXY_OIDC_CLIENT_SECRET: "", LLMPROXY_OIDC_CLIENT_SECRET_FILE: secret });
  const { dashboard, provider, proxy, clock } = scene;
  const refused = await new PlainBrowser().signIn(dashboard, "ada");
  assert.equal(refused.status, 502);
  assert.match(refused.text, /provider and the settings of the proxy do not fit together: its log says why/);
  assert.match(proxy.logs.join(""), /"fault":"unusable","cause":"[^"]*LLMPROXY_OIDC_CLIENT_SECRET|"cause":"invalid_client/);

  await Deno.writeTextFile(secret, `${CLIENT_SECRET}\n`);
  proxy.running.reload();
  const browser = new PlainBrowser();
  assert.equal((await browser.signIn(dashboard, "ada")).status, 200);
  // Another secret ends its sessions.
  await Deno.writeTextFile(secret, "another-client-secret");
  proxy.running.reload();
  assert.match((await browser.open(`${dashboard}/dashboard/audit`)).url, /\/dashboard\/sign-in/);
  await Deno.remove(secret);

  // After an hour the proxy asks again what the provider is.
  provider.wrongs.issuer = "https://another.example";
  clock.ms += 3_600_000;
  assert.equal((await new PlainBrowser().open(`${dashboard}/dashboard/oidc`)).status, 502);
  assert.match(proxy.logs.join(""), /the provider calls itself https:\/\/another\.example/);
});

Deno.test("no code, token, secret or cookie of a sign-in gets into the log, whether it succeeds or fails", async () => {
  await using scene = await openScene();
  const { dashboard, provider, proxy } = scene;
  const browser = new PlainBrowser();
  await browser.signIn(dashboard, "ada");
  const failing = new PlainBrowser();
  const [, answer] = await answerFor(failing, scene);
  provider.wrongs.isForged = true;
  assert.equal((await failing.step(answer)).status, 401);
  const code = new URL(answer).searchParams.get("code")!;
  assert.ok(provider.issued.length >= 4 && provider.issued.includes(code), String(provider.issued.length));
  const secrets = [...provider.issued, CLIENT_SECRET, browser.cookie(dashboard, "llmproxy_session")!];
  const log = proxy.logs.join("");
  assert.match(log, /someone signed in to the dashboard/);
  assert.deepEqual(secrets.filter((secret) => log.includes(secret)), []);
});

Deno.test("a sign-in makes a session of its own, whatever the browser had, and ends if the admin token is rotated", async () => {
  const token = await Deno.makeTempFile();
  await Deno.writeTextFile(token, "an-admin-token-of-the-tests-1");
  await using scene = await openScene({ LLMPROXY_ADMIN_TOKEN: "", LLMPROXY_ADMIN_TOKEN_FILE: token });
  const { dashboard, proxy } = scene;
  const attacker = new PlainBrowser();
  await attacker.signIn(dashboard, "bob");
  const fixed = attacker.cookie(dashboard, "llmproxy_session")!;
  const browser = new PlainBrowser();
  browser.setCookie(dashboard, "llmproxy_session", fixed);
  await browser.signIn(dashboard, "ada");
  const own = browser.cookie(dashboard, "llmproxy_session")!;
  assert.notEqual(own, fixed);
  assert.match((await attacker.open(`${dashboard}/dashboard/audit`)).text, /<span>bob<\/span>/);

  await Deno.writeTextFile(token, "an-admin-token-of-the-tests-2");
  proxy.running.reload();
  await Deno.remove(token);
  assert.match((await browser.open(`${dashboard}/dashboard/audit`)).url, /\/dashboard\/sign-in/);
});

Deno.test("behind TLS the listener answers to the dashboard's name, and its cookies travel by https only", async () => {
  await using scene = await openScene({ LLMPROXY_DASHBOARD_URL: "https://proxy.corp.example" });
  const headers = { host: "proxy.corp.example" };
  const begun = await fetch(`${scene.dashboard}/dashboard/oidc`, { headers, redirect: "manual" });
  await begun.body?.cancel();
  assert.equal(begun.status, 303);
  assert.match(begun.headers.get("location")!, /redirect_uri=https%3A%2F%2Fproxy\.corp\.example%2Fdashboard%2Foidc%2Fcallback&/);
  const cookie = begun.headers.get("set-cookie")!;
  for (const part of ["Secure", "HttpOnly", "SameSite=Lax", "Path=/dashboard/oidc", "Max-Age=600"]) {
    assert.match(cookie, new RegExp(`; ${part}(;|$)`));
  }
  const body = new URLSearchParams({ token: scene.proxy.adminToken });
  const signedIn = await fetch(`${scene.dashboard}/dashboard/sign-in`, { method: "POST", body, headers, redirect: "manual" });
  await signedIn.body?.cancel();
  assert.match(signedIn.headers.get("set-cookie")!, /^llmproxy_session=.*; Secure/);
});

Deno.test("what an admin of the provider changes stands in the audit by name, and a viewer changes nothing", async () => {
  await using scene = await openScene();
  const { dashboard, proxy } = scene;
  const [ada, bob] = [new PlainBrowser(), new PlainBrowser()];
  const suspend = async (browser: PlainBrowser, person: string) => {
    const { text } = await browser.signIn(dashboard, person);
    const formToken = /name="form_token" value="([0-9a-f]{64})"/.exec(text)![1]!;
    return await browser.open(`${dashboard}/dashboard/workspaces/acme/suspend`, { reason: person, form_token: formToken });
  };
  const refused = await suspend(bob, "bob");
  assert.equal(refused.status, 403);
  assert.match(refused.text, /Cannot change anything as a viewer/);
  assert.deepEqual((await proxy.ask("/internal/audit")).audit, []);

  assert.equal((await suspend(ada, "ada")).status, 200);
  const { audit } = await proxy.ask("/internal/audit") as { readonly audit: readonly Readonly<Record<string, unknown>>[] };
  assert.deepEqual(audit.map(({ who, claimed, address, action, target }) => ({ who, claimed, address, action, target })), [
    { who: "oidc", claimed: "ada@corp.example", address: "127.0.0.1", action: "suspension.begin", target: "workspace acme" },
  ]);
  assert.match((await ada.open(`${dashboard}/dashboard/audit`)).text, /oidc \(ada@corp\.example\)/);
});
