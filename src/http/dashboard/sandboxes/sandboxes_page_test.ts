import assert from "node:assert/strict";
import { ADMIN_TOKEN, type AdminUnderTest, openAdmin, usageRow, VIEWER_TOKEN } from "../../../../tests/admin_under_test.ts";
import { browserAt, unescaped } from "../../../../tests/dashboard_browser.ts";
import { enterCall } from "../../../../tests/running_calls.ts";

const DAY_MS = 86_400_000;
const TODAY = Date.UTC(2026, 0, 31, 11);
const EVIL = `"><img src=x onerror=alert(1)>'&%2F/..`;
const PATH = "/dashboard/sandboxes";

async function signedIn(admin: AdminUnderTest, token = ADMIN_TOKEN) {
  const browser = browserAt(admin);
  await browser.signIn(token);
  return browser;
}

async function record(admin: AdminUnderTest, calls: readonly (readonly [workspaceId: string, sandboxId: string, at: number])[]) {
  await admin.embedded.store.recordUsage(
    calls.map(([workspaceId, sandboxId, createdAt], n) =>
      usageRow({ id: `ar-${n}`, workspaceId, sandboxId, traceId: `at-${n}`, createdAt })
    ),
  );
}

/** Paths of the places in the first table. */
function linksIn(html: string): string[] {
  const [body] = /<tbody[^>]*>[^]*?<\/tbody>/.exec(html) ?? [""];
  return [...body.matchAll(/href="(\/dashboard\/sandboxes\/[^"]+)"/g)].map(([, path]) => unescaped(path!));
}

Deno.test("the sandboxes page finds those that spent most yesterday, of all workspaces or of one", async () => {
  await using admin = await openAdmin();
  await record(admin, [
    ["acme", "sb-1", TODAY - DAY_MS],
    ["acme", "sb-1", TODAY - DAY_MS],
    ["other", "sb-1", TODAY - DAY_MS],
    ["acme", "sb-2", TODAY - 10 * DAY_MS],
  ]);
  const browser = await signedIn(admin, VIEWER_TOKEN);
  assert.deepEqual(linksIn((await browser.open(PATH)).text), [`${PATH}/acme/sb-1`, `${PATH}/acme/sb-2`, `${PATH}/other/sb-1`]);
  const { text } = await browser.open(`${PATH}?order=today`);
  assert.match(text, /No sandbox has made a call today/);
  const [, yesterday] = /href="([^"]+)">yesterday/.exec(text)!;
  assert.deepEqual(linksIn((await browser.open(yesterday!)).text), [`${PATH}/acme/sb-1`, `${PATH}/other/sb-1`]);
  const ofOne = await browser.open(`${PATH}?workspace_id=acme`);
  assert.deepEqual(linksIn(ofOne.text), [`${PATH}/acme/sb-1`, `${PATH}/acme/sb-2`]);
  assert.deepEqual(linksIn((await browser.open(`${PATH}?order=calls_month`)).text).length, 3);
  const csv = (await browser.open(`${PATH}?order=yesterday&format=csv`)).text.split("\r\n");
  assert.equal(
    csv[0],
    "sandbox,workspace,today_cost_usd,yesterday_cost_usd,month_cost_usd,calls_today,calls_month,limit,limit_share,suspended,running",
  );
  assert.equal(csv[1], "sb-1,acme,0.000000000,0.024691356,0.024691356,0,2,,,false,0");
});

Deno.test("sandboxes of any name have a page, and two of one name in two workspaces are told apart", async () => {
  await using admin = await openAdmin();
  const names = [["acme", "sb-1"], ["other", "sb-1"], [EVIL, EVIL], ["..", "."], ["a/b", "%2F"], ["ü", "x".repeat(200)]] as const;
  await record(admin, names.map(([workspaceId, sandboxId]) => [workspaceId, sandboxId, TODAY] as const));
  const browser = await signedIn(admin);
  const { text } = await browser.open(PATH);
  assert.ok(!text.includes("<img"));
  const links = linksIn(text);
  assert.equal(new Set(links).size, names.length);
  for (const link of links) {
    // As a browser resolves it.
    const { pathname, search } = new URL(link, "http://localhost");
    const page = await browser.open(pathname + search);
    assert.equal(page.status, 200, link);
    assert.ok(!page.text.includes("<img") && page.text.includes("$0.0123"), link);
  }
  for (const path of [`${PATH}/acme/%00`, `${PATH}/%00/sb-1`, `${PATH}/acme/${"x".repeat(257)}`]) {
    assert.equal((await browser.open(path)).status, 404, path);
  }
});

Deno.test("an admin limits, suspends and resumes one sandbox, and makes a token for it", async () => {
  await using admin = await openAdmin();
  const [cut, stays] = [enterCall(admin.traffic), enterCall(admin.traffic, { id: "ar-2", sandboxId: "sb-2" })];
  const browser = await signedIn(admin);
  const page = `${PATH}/acme/sb-1`;
  assert.equal(
    (await browser.submit(`${page}/limit`, { kind: "concurrent", max: "2" })).headers.get("location"),
    `${page}?done=limit`,
  );
  assert.deepEqual((await admin.ask("/internal/quotas/acme/sandboxes/sb-1")).json.limits, [{
    kind: "concurrent",
    max: 2,
    used: 0,
    source: "sandbox",
  }]);
  assert.deepEqual((await admin.ask("/internal/quotas/acme")).json.limits, []);
  await browser.submit(`${page}/suspend`, { reason: "it loops" });
  assert.deepEqual([cut.stoppedBy, stays.stoppedBy], [["suspended"], []]);
  const { text } = await browser.open(PATH);
  assert.match(text, /Suspended sandboxes[^]*it loops/);
  assert.match((await browser.submit(`${page}/token`, {})).text, /<code class="secret">llmp_/);
  assert.equal((await admin.ask("/internal/tokens?workspace_id=acme")).json.tokens[0].sandboxId, "sb-1");
  await browser.submit(`${page}/resume`, {});
  assert.deepEqual((await admin.ask("/internal/suspensions")).json.suspensions, []);
  const { json } = await admin.ask("/internal/audit");
  assert.deepEqual(
    json.audit.map(({ action, target }: { action: string; target: string }) => [action, action === "token.create" ? "" : target]),
    [
      ["suspension.end", "sandbox sb-1"],
      ["token.create", ""],
      ["suspension.begin", "sandbox sb-1"],
      ["limit.set", "sandbox sb-1"],
    ],
  );
});

Deno.test("a sandbox's page says if its workspace is suspended, and lists its own tokens only", async () => {
  await using admin = await openAdmin();
  for (const sandboxId of ["sb-1", "sb-2"]) {
    await admin.ask("/internal/tokens", { method: "POST", body: JSON.stringify({ workspaceId: "acme", sandboxId }) });
  }
  await admin.ask("/internal/suspensions/acme", { method: "PUT", body: JSON.stringify({ reason: "not paid" }) });
  const { text } = await (await signedIn(admin, VIEWER_TOKEN)).open(`${PATH}/acme/sb-1`);
  assert.match(text, /Its workspace is suspended since[^]*not paid/);
  assert.ok(!text.includes("Calls are served"));
  assert.equal(text.match(/>works</g)?.length, 1);
});
