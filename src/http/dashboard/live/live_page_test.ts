import assert from "node:assert/strict";
import { ADMIN_TOKEN, type AdminUnderTest, openAdmin, VIEWER_TOKEN } from "../../../../tests/admin_under_test.ts";
import { browserAt } from "../../../../tests/dashboard_browser.ts";
import { enterCall } from "../../../../tests/running_calls.ts";

const MOST_BYTES = 150_000;
const EVIL = `"><img src=x onerror=alert(1)>'&%2F/../`;

async function signedIn(admin: AdminUnderTest, token = ADMIN_TOKEN) {
  const browser = browserAt(admin);
  await browser.signIn(token);
  return browser;
}

/** The ids of the calls in the order of their rows. */
function idsIn(html: string): string[] {
  return [...html.matchAll(/data-call="([^"]+)"/g)].map(([, id]) => id!);
}

Deno.test("the live page shows calls oldest first, with what they used so far, and sorts by every column", async () => {
  await using admin = await openAdmin();
  enterCall(admin.traffic, { id: "ar-1", ageMs: 5_000, cost: 5_000_000_000, model: "b" });
  enterCall(admin.traffic, { id: "ar-2", ageMs: 65_000, cost: null, accuracy: "exact", model: "c" });
  enterCall(admin.traffic, {
    ...{ id: "ar-3", ageMs: 1_000, traceId: null, model: null, route: "count_tokens", status: null, accuracy: "unknown" },
    ...{ inputTokens: null, outputTokens: null, cost: null },
  });
  const browser = await signedIn(admin);
  const { text } = await browser.open("/dashboard/live");
  assert.deepEqual(idsIn(text), ["ar-2", "ar-1", "ar-3"]);
  assert.match(text, /3 calls in flight · 2,500 tokens · \$5\.00 so far/);
  for (const cell of ["1 min 5 s", "≈ 1,200", "≈ $5.00", "unpriced", "waiting", "count_tokens"]) {
    assert.ok(text.includes(`>${cell}</td>`), cell);
  }
  const orders = {
    "cost.desc": ["ar-1", "ar-2", "ar-3"],
    "model.asc": ["ar-1", "ar-2", "ar-3"],
    "age.asc": ["ar-3", "ar-1", "ar-2"],
  };
  for (const [order, ids] of Object.entries(orders)) {
    assert.deepEqual(idsIn((await browser.open(`/dashboard/live?order=${order}`)).text), ids, order);
  }
  assert.equal((await browser.open("/dashboard/live?order=cut")).status, 400);
});

Deno.test("the live page is narrowed by its form, whose empty fields mean all, and downloads as CSV", async () => {
  await using admin = await openAdmin();
  enterCall(admin.traffic, { id: "ar-1", sandboxId: "sb-1" });
  enterCall(admin.traffic, { id: "ar-2", sandboxId: "sb-2", traceId: "run-2" });
  const browser = await signedIn(admin, VIEWER_TOKEN);
  const { text } = await browser.open("/dashboard/live?workspace_id=&sandbox_id=sb-2&trace_id=");
  assert.deepEqual(idsIn(text), ["ar-2"]);
  assert.match(text, /data-calls="\/dashboard\/live\/events\?sandbox_id=sb-2"/);
  const csv = await browser.open("/dashboard/live?sandbox_id=sb-2&format=csv");
  const [head, line, end] = csv.text.split("\r\n");
  assert.match(head!, /^id,created_at,age_ms,workspace,sandbox,trace,/);
  assert.equal(
    line,
    "ar-2,2026-01-31T11:59:00.000Z,60000,acme,sb-2,run-2,messages,claude-haiku-4-5,claude-code,200,estimated,1000,50,0,200,0.001234567,,anthropic,anthropic",
  );
  assert.equal(end, "");
});

Deno.test("the live page says what to do if no call runs", async () => {
  await using admin = await openAdmin();
  const { text } = await (await signedIn(admin)).open("/dashboard/live");
  assert.match(text, /No call is in flight/);
  assert.match(text, /llmproxy token create/);
});

Deno.test("the live page shows names that others chose as text, and is narrowed by them", async () => {
  await using admin = await openAdmin();
  enterCall(admin.traffic, { sandboxId: EVIL, workspaceId: EVIL, traceId: EVIL, model: EVIL });
  const browser = await signedIn(admin);
  const { text } = await browser.open("/dashboard/live");
  assert.ok(!text.includes("<img"));
  const only = `/dashboard/live?${new URLSearchParams({ workspace_id: EVIL, sandbox_id: EVIL, trace_id: EVIL })}`;
  assert.deepEqual(idsIn((await browser.open(only)).text), ["ar-1"]);
  assert.equal((await browser.open("/dashboard/live?sandbox_id=%00")).status, 400);
  const { text: asked } = await browser.open("/dashboard/live/cut?id=ar-1");
  assert.ok(!asked.includes("<img") && asked.includes("&lt;img"));
});

Deno.test("a call is cut by the form of a page that asks first, once, and not by a viewer", async () => {
  await using admin = await openAdmin();
  const call = enterCall(admin.traffic);
  const viewer = await signedIn(admin, VIEWER_TOKEN);
  assert.ok(!/name="id"|class="cut"/.test((await viewer.open("/dashboard/live")).text));
  assert.ok(!/name="id"/.test((await viewer.open("/dashboard/live/cut?id=ar-1")).text));
  assert.equal((await viewer.submit("/dashboard/live/cut", { id: "ar-1" })).status, 403);
  assert.deepEqual(call.stoppedBy, []);

  const browser = await signedIn(admin);
  const { text } = await browser.open("/dashboard/live");
  const asks = `/dashboard/${/<a class="cut" href="([^"]+)"/.exec(text)![1]}`;
  assert.match((await browser.open(asks)).text, /<input type="hidden" name="id" value="ar-1">/);
  assert.equal((await browser.send("/dashboard/live/cut", { id: "ar-1" })).status, 403);
  assert.deepEqual(call.stoppedBy, []);
  const { status, headers } = await browser.submit("/dashboard/live/cut", {
    id: "ar-1",
    back: "/dashboard/live?workspace_id=acme",
  });
  assert.deepEqual([status, headers.get("location")], [303, "/dashboard/live?workspace_id=acme&cut=ar-1"]);
  assert.deepEqual(call.stoppedBy, ["call_cut"]);
  assert.match((await browser.open(headers.get("location")!)).text, /The call ar-1 is cut/);
  assert.equal((await browser.submit("/dashboard/live/cut", { id: "ar-1" })).status, 404);
  assert.equal((await browser.open(asks)).status, 404);
});

Deno.test("a cut call leads back to a page of the dashboard only", async () => {
  await using admin = await openAdmin();
  enterCall(admin.traffic);
  const browser = await signedIn(admin);
  const { headers } = await browser.submit("/dashboard/live/cut", { id: "ar-1", back: "//evil.example/" });
  assert.equal(headers.get("location"), "/dashboard?cut=ar-1");
});

Deno.test("the live page of many calls is under 150 kB with all that it loads, and pages without a script", async () => {
  await using admin = await openAdmin();
  for (let n = 0; n < 120; n++) {
    const id = `ar-01M8JDA5QSH32EC0HAMYDM${String(n).padStart(4, "0")}`;
    enterCall(admin.traffic, { id, workspaceId: "workspace-of-a-team", sandboxId: `sandbox-${n}`, traceId: crypto.randomUUID() });
  }
  const browser = await signedIn(admin);
  const { text } = await browser.open("/dashboard/live");
  assert.match(text, /120 calls in flight/);
  const assets = [...text.matchAll(/(?:href|src)="(\/dashboard\/assets\/[^"]+)"/g)].map(([, path]) => path!);
  let bytes = new TextEncoder().encode(text).length;
  for (const path of assets) bytes += new TextEncoder().encode((await browser.open(path)).text).length;
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
  const seen = new Set(idsIn(text));
  for (let page = text, n = 0; n < 2; n++) {
    const [, next] = /<a href="([^"]+)">Next page/.exec(page)!;
    page = (await browser.open(next!.replaceAll("&amp;", "&"))).text;
    idsIn(page).forEach((id) => seen.add(id));
    assert.ok(!page.includes("data-calls="), "a later page is live");
  }
  assert.equal(seen.size, 120);
  assert.equal((await browser.open("/dashboard/live?cursor=-1")).status, 400);
});

Deno.test("the live page's events need a session, and known filters", async () => {
  await using admin = await openAdmin();
  assert.equal((await admin.askBare("/dashboard/live/events")).status, 303);
  const browser = await signedIn(admin, VIEWER_TOKEN);
  assert.equal((await browser.open("/dashboard/live/events?limit=3")).status, 400);
  const { status, headers, text } = await browser.open("/dashboard/live/events", { method: "HEAD" });
  assert.deepEqual([status, headers.get("content-type"), text], [200, "text/event-stream; charset=utf-8", ""]);
});
