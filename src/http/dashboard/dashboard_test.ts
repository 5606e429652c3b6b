import assert from "node:assert/strict";
import { ADMIN_TOKEN, openAdmin, VIEWER_TOKEN } from "../../../tests/admin_under_test.ts";
import { browserAt } from "../../../tests/dashboard_browser.ts";
import { MOST_FAILURES } from "./throttle.ts";

Deno.test("dashboardApp() shows no page without a session, whatever the path, and goes on there after the sign-in", async () => {
  await using admin = await openAdmin();
  for (const path of ["/dashboard", "/dashboard/audit?limit=3", "/dashboard/no-such-page"]) {
    const { status, headers, text } = await admin.askBare(path);
    assert.deepEqual([status, headers.get("location")], [303, `/dashboard/sign-in?next=${encodeURIComponent(path)}`]);
    assert.equal(text, "");
  }
  // The token of the API opens no page, and the session no API.
  assert.equal((await admin.ask("/dashboard/audit")).status, 303);
  const browser = browserAt(admin);
  const { status, headers } = await browser.signIn(ADMIN_TOKEN);
  assert.deepEqual([status, headers.get("location")], [303, "/dashboard/audit"]);
  assert.equal((await browser.open("/dashboard/audit")).status, 200);
  assert.equal((await browser.open("/dashboard/no-such-page")).status, 404);
  assert.equal((await browser.open("/internal/audit")).status, 401);
});

Deno.test("the session's cookie is HttpOnly, SameSite and signed, and an altered one opens nothing", async () => {
  await using admin = await openAdmin();
  const browser = browserAt(admin);
  const cookie = (await browser.signIn(VIEWER_TOKEN)).headers.get("set-cookie")!;
  for (const part of ["HttpOnly", "SameSite=Lax", "Path=/dashboard", "Max-Age=43200"]) assert.match(cookie, new RegExp(part));
  assert.ok(!cookie.includes(VIEWER_TOKEN));
  const forged = cookie.split(";")[0]!.replace("viewer", "admin");
  assert.notEqual(forged, cookie.split(";")[0]);
  assert.equal((await admin.askBare("/dashboard/audit", { headers: { cookie: forged } })).status, 303);
});

Deno.test("a session ends after 12 hours, at its sign-out, and if its token is rotated", async () => {
  await using admin = await openAdmin();
  const late = browserAt(admin);
  await late.signIn(ADMIN_TOKEN);
  const out = browserAt(admin);
  await out.signIn(ADMIN_TOKEN);
  const kept = out.cookie();
  await out.send("/dashboard/sign-out", { form_token: await out.formToken() });
  assert.equal((await admin.askBare("/dashboard/audit", { headers: { cookie: kept } })).status, 303);
  const viewer = browserAt(admin);
  await viewer.signIn(VIEWER_TOKEN);
  admin.deps.viewerToken = "another-viewer-token-of-many";
  assert.equal((await viewer.open("/dashboard/audit")).status, 303);
  assert.equal((await late.open("/dashboard/audit")).status, 200);
  admin.deps.now += 12 * 3_600_000;
  assert.equal((await late.open("/dashboard/audit")).status, 303);
});

Deno.test("each sign-in makes a session of its own, so that no one can fix one for another", async () => {
  await using admin = await openAdmin();
  const browser = browserAt(admin);
  await browser.signIn(ADMIN_TOKEN);
  const first = browser.cookie();
  await browser.signIn(ADMIN_TOKEN);
  assert.notEqual(browser.cookie(), first);
});

Deno.test("a form of another site, or of another session, changes nothing", async () => {
  await using admin = await openAdmin();
  const browser = browserAt(admin);
  await browser.signIn(ADMIN_TOKEN);
  const formToken = await browser.formToken();
  const other = browserAt(admin);
  await other.signIn(ADMIN_TOKEN);
  const refused = [
    await browser.send("/dashboard/sign-out", { form_token: formToken }, { "sec-fetch-site": "cross-site" }),
    await browser.send("/dashboard/sign-out", { form_token: formToken }, { "sec-fetch-site": "same-site" }),
    await browser.send("/dashboard/sign-out", {}),
    await other.send("/dashboard/sign-out", { form_token: formToken }),
    await admin.askBare("/dashboard/sign-in", {
      method: "POST",
      body: new URLSearchParams({ token: ADMIN_TOKEN }),
      headers: { origin: "http://evil.example", host: "localhost" },
    }),
  ];
  assert.deepEqual(refused.map(({ status }) => status), [403, 403, 403, 403, 403]);
  assert.equal((await browser.open("/dashboard/audit")).status, 200);
});

Deno.test("the sign-in refuses a wrong token, and after five of them also the right one for a minute", async () => {
  await using admin = await openAdmin();
  const browser = browserAt(admin);
  for (let n = 0; n < MOST_FAILURES; n++) {
    const { status, text } = await browser.signIn("wrong-token-of-somebody");
    assert.equal(status, 401);
    assert.ok(!text.includes("wrong-token-of-somebody"));
  }
  const { status, headers } = await browser.signIn(ADMIN_TOKEN);
  assert.deepEqual([status, headers.get("retry-after"), headers.get("set-cookie")], [429, "60", null]);
  admin.deps.now += 60_000;
  assert.equal((await browser.signIn(ADMIN_TOKEN)).status, 303);
});

Deno.test("the sign-in goes on to pages of the dashboard only", async () => {
  await using admin = await openAdmin();
  for (
    const next of [
      "https://evil.example/",
      "//evil.example",
      "/dashboard\\evil",
      "/dashboardx",
      "/internal/usage",
      "/dashboard/\r\nx: y",
    ]
  ) {
    const browser = browserAt(admin);
    const { headers } = await browser.send("/dashboard/sign-in", { token: ADMIN_TOKEN, next });
    assert.equal(headers.get("location"), "/dashboard", next);
  }
});

Deno.test("pages take no script or style of others, no frame and no cache, and have no unsafe source", async () => {
  await using admin = await openAdmin();
  const browser = browserAt(admin);
  await browser.signIn(ADMIN_TOKEN);
  for (const path of ["/dashboard/audit", "/dashboard/sign-in", "/dashboard/no-such-page"]) {
    const { headers, text } = await browser.open(path);
    const policy = headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.ok(!policy.includes("unsafe"), policy);
    assert.deepEqual([headers.get("x-frame-options"), headers.get("cache-control")], ["DENY", "no-store"]);
    assert.ok(!/ style=| on[a-z]+=|<script>/.test(text), path);
  }
});

Deno.test("the audit page shows what someone else named as text, and downloads as CSV", async () => {
  await using admin = await openAdmin();
  const evil = `<img src=x onerror=alert(1)>"'`;
  const { status } = await admin.ask(`/internal/suspensions/${encodeURIComponent(evil)}`, {
    method: "PUT",
    body: JSON.stringify({ reason: "</code><script>alert(2)</script>" }),
    headers: { "content-type": "application/json" },
  });
  assert.equal(status, 200);
  const browser = browserAt(admin);
  await browser.signIn(VIEWER_TOKEN);
  const { text } = await browser.open("/dashboard/audit");
  assert.ok(text.includes("&lt;img src=x onerror=alert(1)&gt;"));
  assert.ok(!text.includes("<img") && !text.includes("<script>alert"));
  const csv = await browser.open("/dashboard/audit?format=csv");
  assert.match(csv.headers.get("content-disposition")!, /audit\.csv/);
  const [head, line] = csv.text.split("\r\n");
  assert.equal(head, "at,who,address,action,workspace,target,before,after");
  assert.match(line!, /^2026-01-31T12:00:00\.000Z,admin,,suspension\.begin,"<img src=x onerror=alert\(1\)>""'",/);
});
