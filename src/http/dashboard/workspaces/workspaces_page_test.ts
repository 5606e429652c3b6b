import assert from "node:assert/strict";
import { ADMIN_TOKEN, type AdminUnderTest, openAdmin, usageRow, VIEWER_TOKEN } from "../../../../tests/admin_under_test.ts";
import { browserAt, type DashboardBrowser, unescaped } from "../../../../tests/dashboard_browser.ts";
import { enterCall } from "../../../../tests/running_calls.ts";

const DAY_MS = 86_400_000;
const TODAY = Date.UTC(2026, 0, 31, 11);
const EVIL = `"><img src=x onerror=alert(1)>'&%2F/..`;
const PATH = "/dashboard/workspaces";

async function signedIn(admin: AdminUnderTest, token = ADMIN_TOKEN) {
  const browser = browserAt(admin);
  await browser.signIn(token);
  return browser;
}

/** Each call costs 0.012345678 dollars and has 30 tokens. */
async function record(admin: AdminUnderTest, calls: readonly (readonly [workspaceId: string, sandboxId: string, at: number])[]) {
  await admin.embedded.store.recordUsage(
    calls.map(([workspaceId, sandboxId, createdAt], n) =>
      usageRow({ id: `ar-${n}`, workspaceId, sandboxId, traceId: `at-${n}`, createdAt })
    ),
  );
}

/** The texts of the cells of a table's rows, by its caption. */
function rowsOf(html: string, caption: string): string[][] {
  const table = html.split("<table>").find((part) => part.includes(`<caption>${caption}</caption>`)) ?? "";
  const body = /<tbody[^>]*>([^]*?)<\/tbody>/.exec(table)?.[1] ?? "";
  return body.split("<tr").slice(1).map((row) =>
    row.split("<td").slice(1).map((cell) =>
      cell.replace(/^[^>]*>/, "").replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ").trim()
    )
  );
}

async function auditOf(admin: AdminUnderTest) {
  const { json } = await admin.ask("/internal/audit");
  return json.audit.map(({ action, target, before, after }: Record<string, unknown>) => ({ action, target, before, after }));
}

async function linkIn(browser: DashboardBrowser, path: string, words: string): Promise<string> {
  const link = new RegExp(`<a href="([^"]+)"[^>]*>${words}`).exec((await browser.open(path)).text);
  return unescaped(link![1]!);
}

Deno.test("the workspaces page shows spend today, yesterday and this month, against the tightest limit, and what runs", async () => {
  await using admin = await openAdmin();
  await record(admin, [
    ["acme", "sb-1", TODAY],
    ["acme", "sb-1", TODAY],
    ["acme", "sb-2", TODAY - DAY_MS],
    ["other", "sb-1", TODAY - 20 * DAY_MS],
    ["gone", "sb-1", TODAY - 40 * DAY_MS],
  ]);
  await admin.ask("/internal/quotas/acme", { method: "PUT", body: JSON.stringify({ max_rpd: 8, max_cost_per_day_usd: "0.1" }) });
  await admin.ask("/internal/suspensions/other", { method: "PUT" });
  enterCall(admin.traffic, { workspaceId: "acme" });
  const { text } = await (await signedIn(admin, VIEWER_TOKEN)).open(PATH);
  assert.deepEqual(rowsOf(text, "Workspaces with calls this month (UTC)"), [
    ["acme", "$0.0247", "$0.0123", "$0.0370", "2", "3", "2 of 8 requests a day (25.0 %)", "1 running"],
    ["other", "$0.00", "$0.00", "$0.0123", "0", "1", "no limit", "suspended"],
  ]);
  assert.deepEqual(rowsOf(text, "Suspended workspaces").map(([name]) => name), ["other"]);
  assert.deepEqual(rowsOf(text, "Limits that are set").map((cells) => cells.slice(0, 5)).sort(), [
    ["acme", "workspace", "–", "dollars a day", "$0.1000"],
    ["acme", "workspace", "–", "requests a day", "8"],
  ]);
});

Deno.test("the workspaces page sorts by what was used in each span, goes on by cursor and downloads all as CSV", async () => {
  await using admin = await openAdmin();
  const many = Array.from(
    { length: 60 },
    (_, n) => Array.from({ length: 1 + n % 3 }, () => [`ws-${n}`, "sb-1", TODAY - DAY_MS] as const),
  );
  await record(admin, [...many.flat(), ["today", "sb-1", TODAY]]);
  const browser = await signedIn(admin);
  const yesterday = (await browser.open(`${PATH}?order=yesterday`)).text;
  const first = rowsOf(yesterday, "Workspaces with calls yesterday (UTC)");
  assert.deepEqual([first.length, first[0]![2]], [25, "$0.0370"]);
  assert.equal(
    rowsOf((await browser.open(`${PATH}?order=yesterday.asc`)).text, "Workspaces with calls yesterday (UTC)")[0]![2],
    "$0.0123",
  );
  const seen = new Set<string>();
  for (let [path, n] = [`${PATH}?order=yesterday`, 0]; n < 3; n++) {
    for (const [name] of rowsOf((await browser.open(path)).text, "Workspaces with calls yesterday (UTC)")) seen.add(name!);
    // The span stays that of the first page.
    admin.deps.now += 4 * 3_600_000;
    if (n < 2) path = await linkIn(browser, path, "Next page");
  }
  assert.equal(seen.size, 60);
  admin.deps.now = Date.UTC(2026, 0, 31, 12);
  const { text, headers } = await browser.open(`${PATH}?format=csv`);
  assert.match(headers.get("content-disposition")!, /workspaces\.csv/);
  const lines = text.trimEnd().split("\r\n");
  assert.equal(lines.length, 62);
  assert.equal(
    lines[0],
    "workspace,today_cost_usd,yesterday_cost_usd,month_cost_usd,calls_today,calls_month,limit,limit_share,suspended,running",
  );
  assert.ok(lines.includes("today,0.012345678,0.000000000,0.012345678,1,1,,,false,0"));
  assert.equal((await browser.open(`${PATH}?order=name`)).status, 400);
});

Deno.test("the workspaces page says how to get data, and opens a workspace of any name", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(admin);
  assert.match((await browser.open(PATH)).text, /No workspace has made a call this month[^]*llmproxy token create/);
  for (const name of ["acme", EVIL, "..", "ü", "a/b", "x".repeat(256)]) {
    const { status, headers } = await browser.open(`${PATH}?go=${encodeURIComponent(name)}`);
    assert.equal(status, 303);
    const path = headers.get("location")!;
    assert.equal(new URL(path, "http://localhost").pathname.startsWith(`${PATH}/`), true, path);
    const page = await browser.open(path);
    assert.equal(page.status, 200);
    assert.equal(unescaped(/<h1>([^<]*)<\/h1>/.exec(page.text)![1]!), `Workspace ${name}`);
    assert.ok(!page.text.includes("<img"));
  }
  for (const name of ["%00", "x".repeat(257), "%0A"]) assert.equal((await browser.open(`${PATH}/${name}`)).status, 404, name);
});

Deno.test("a workspace's page shows its limits with what is used and held of them, its sandboxes, traces and tokens", async () => {
  await using admin = await openAdmin();
  await record(admin, [["acme", "sb-1", TODAY], ["acme", "sb-2", TODAY - DAY_MS], ["other", "sb-9", TODAY]]);
  const call = { id: "ar-9", workspaceId: "acme", sandboxId: "sb-1", traceId: "t", holder: "h", createdAt: admin.deps.now };
  await admin.embedded.shipping.reserve({ ...call, tokens: 70, cost: 500_000_000 }, []);
  await admin.ask("/internal/quotas/acme", { method: "PUT", body: JSON.stringify({ max_tokens_per_day: 200, max_rpd: 4 }) });
  await admin.ask("/internal/tokens", { method: "POST", body: JSON.stringify({ workspaceId: "acme", sandboxId: "sb-1" }) });
  await admin.embedded.store.recordTraces(["at-0", "at-1"].map((id) => (
    { id, workspaceId: "acme", sandboxId: "sb-1", source: "header", createdAt: TODAY, updatedAt: TODAY }
  )));
  const browser = await signedIn(admin, VIEWER_TOKEN);
  const { text } = await browser.open(`${PATH}/acme`);
  assert.deepEqual(rowsOf(text, "Limits").map((cells) => cells.slice(0, 4)), [
    ["requests a day", "4", "2 of 4 requests a day (50.0 %)", "1"],
    ["tokens a day", "200", "100 of 200 tokens a day (50.0 %)", "70"],
    ["dollars a day", "no limit", "$0.0123", "–"],
    ["dollars a month", "no limit", "$0.0247", "–"],
    ["calls at a time", "no limit", "–", "–"],
  ]);
  assert.deepEqual(rowsOf(text, "Sandboxes with calls this month (UTC)").map(([name]) => name), ["sb-1", "sb-2"]);
  assert.deepEqual(rowsOf(text, "At most 10 traces").map(([id]) => id).sort(), ["at-0", "at-1"]);
  assert.deepEqual(rowsOf(text, "Local tokens").map((cells) => [cells[1], cells[5]]), [["sb-1", "works"]]);
  assert.deepEqual(rowsOf(text, "Days").map(([day, spend]) => [day, spend]), [["2026-01-31", "$0.0123"], [
    "2026-01-30",
    "$0.0123",
  ]]);
  const files = {
    limits: /^limit,max,used,held,resets_at,source\r\nmax_rpd,4,2,1,/,
    sandboxes: /\r\nsb-1,/,
    tokens: /\r\nlt-[^,]+,sb-1,/,
    days: /2026-01-30,0\.012345678,1,30/,
  };
  for (const [table, pattern] of Object.entries(files)) {
    assert.match((await browser.open(`${PATH}/acme?format=csv&table=${table}`)).text, pattern, table);
  }
  assert.match(
    (await browser.open(`${PATH}/acme?format=csv&table=traces`)).headers.get("location")!,
    /^\/dashboard\/traces\?.*workspace_id=acme.*format=csv/,
  );
});

Deno.test("an admin sets and removes a workspace's limits, with the same audit as by the API", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(admin);
  const set = (kind: string, max: string) => browser.submit(`${PATH}/acme/limit`, { kind, max });
  const { status, headers } = await set("cost_per_day", "$1,000.50");
  assert.deepEqual([status, headers.get("location")], [303, `${PATH}/acme?done=limit`]);
  assert.match((await browser.open(headers.get("location")!)).text, /The limit is set\./);
  await set("rpd", " 5 000 ");
  assert.deepEqual(
    (await admin.ask("/internal/quotas/acme")).json.limits.map(({ kind, max }: { kind: string; max: unknown }) => [kind, max]),
    [
      ["rpd", 5_000],
      ["cost_per_day", "1000.500000000"],
    ],
  );
  for (
    const [kind, max] of [["rpd", "-1"], ["rpd", "many"], ["rpd", ""], ["cost_per_day", "1e9"], ["calls_per_minute", "3"], [
      "no",
      "3",
    ]]
  ) {
    const refused = await set(kind!, max!);
    assert.equal(refused.status, 400, `${kind} ${max}`);
    assert.match(refused.text, /Cannot read/);
  }
  assert.equal((await browser.submit(`${PATH}/acme/limit-clear`, { kind: "cost_per_day" })).status, 303);
  await admin.ask("/internal/quotas/acme", { method: "PUT", body: JSON.stringify({ max_rpd: 7 }) });
  const [byApi, ...byPage] = await auditOf(admin);
  assert.deepEqual(byPage, [
    {
      action: "limit.set",
      target: "workspace acme",
      before: { rpd: 5_000, cost_per_day: "1000.500000000" },
      after: { rpd: 5_000 },
    },
    {
      action: "limit.set",
      target: "workspace acme",
      before: { cost_per_day: "1000.500000000" },
      after: { rpd: 5_000, cost_per_day: "1000.500000000" },
    },
    { action: "limit.set", target: "workspace acme", before: undefined, after: { cost_per_day: "1000.500000000" } },
  ]);
  assert.deepEqual(byApi, { action: "limit.set", target: "workspace acme", before: { rpd: 5_000 }, after: { rpd: 7 } });
});

Deno.test("an admin sets the limits of all workspaces without their own", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(admin);
  assert.equal((await browser.submit(`${PATH}/limit`, { kind: "calls_per_minute", max: "20" })).status, 303);
  assert.deepEqual((await admin.ask("/internal/quotas")).json, {
    limits: [{ kind: "calls_per_minute", max: 20, source: "default" }],
  });
  const { text } = await browser.open(PATH);
  assert.deepEqual(rowsOf(text, "Default limits").find(([kind]) => kind === "calls a minute")!.slice(0, 3), [
    "calls a minute",
    "20",
    "default",
  ]);
  await browser.submit(`${PATH}/limit-clear`, { kind: "calls_per_minute" });
  assert.deepEqual((await admin.ask("/internal/quotas")).json, { limits: [] });
});

Deno.test("an admin suspends a workspace with a reason, which cuts its calls, and resumes it", async () => {
  await using admin = await openAdmin();
  const call = enterCall(admin.traffic, { workspaceId: "acme" });
  const browser = await signedIn(admin);
  await browser.submit(`${PATH}/acme/suspend`, { reason: "  <b>it loops</b> " });
  assert.deepEqual(call.stoppedBy, ["suspended"]);
  const { text } = await browser.open(`${PATH}/acme`);
  assert.match(text, /Suspended since[^]*&lt;b&gt;it loops&lt;\/b&gt;/);
  assert.equal((await browser.submit(`${PATH}/acme/suspend`, { reason: "x".repeat(501) })).status, 400);
  assert.equal((await browser.submit(`${PATH}/acme/resume`, {})).status, 303);
  assert.match((await browser.open(`${PATH}/acme`)).text, /Calls are served\./);
  assert.equal((await browser.submit(`${PATH}/acme/resume`, {})).status, 404);
  await browser.submit(`${PATH}/acme/suspend`, { reason: "" });
  assert.deepEqual((await auditOf(admin)).map(({ action }: { action: string }) => action), [
    "suspension.begin",
    "suspension.end",
    "suspension.begin",
  ]);
});

Deno.test("a new token is shown once, works, is in no list, log or audit, and ends when it is revoked", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(admin);
  const made = await browser.submit(`${PATH}/acme/token`, { sandbox: "sb-1", expires: "2026-02-01" });
  assert.deepEqual([made.status, made.headers.get("cache-control")], [200, "no-store"]);
  const [, token] = /<code class="secret">(llmp_[^<]+)<\/code>/.exec(made.text)!;
  const { sandboxId, tokenId } = await admin.sandboxOf(token!) as { sandboxId: string; tokenId: string };
  assert.equal(sandboxId, "sb-1");
  const [listed] = (await admin.ask("/internal/tokens")).json.tokens;
  assert.equal(listed.expiresAt, "2026-02-01T23:59:59.000Z");
  const everywhere = [
    (await browser.open(`${PATH}/acme`)).text,
    (await browser.open(`${PATH}/acme?format=csv&table=tokens`)).text,
    (await browser.open("/dashboard/audit")).text,
    JSON.stringify(admin.notes),
  ].join("");
  assert.ok(!everywhere.includes(token!.slice(5)));
  for (
    const form of [{ sandbox: "" }, { sandbox: "a b" }, { sandbox: "sb-1", expires: "2026-01-01" }, {
      sandbox: "sb-1",
      expires: "soon",
    }]
  ) {
    assert.equal((await browser.submit(`${PATH}/acme/token`, form)).status, 400, JSON.stringify(form));
  }
  assert.equal((await browser.submit(`${PATH}/acme/revoke`, { id: tokenId })).status, 303);
  await assert.rejects(admin.sandboxOf(token!));
  assert.equal((await browser.submit(`${PATH}/acme/revoke`, { id: "lt-unknown" })).status, 404);
  assert.deepEqual((await auditOf(admin)).map(({ action }: { action: string }) => action), ["token.revoke", "token.create"]);
});

Deno.test("a viewer sees no form of a workspace, and can send none", async () => {
  await using admin = await openAdmin();
  await record(admin, [["acme", "sb-1", TODAY]]);
  await admin.ask("/internal/tokens", { method: "POST", body: JSON.stringify({ workspaceId: "acme", sandboxId: "sb-1" }) });
  await admin.ask("/internal/quotas", { method: "PUT", body: JSON.stringify({ max_rpd: 7 }) });
  const before = (await auditOf(admin)).length;
  const viewer = await signedIn(admin, VIEWER_TOKEN);
  for (const path of [PATH, `${PATH}/acme`]) {
    const forms = [...(await viewer.open(path)).text.matchAll(/<form method="post" action="([^"]+)"/g)].map(([, action]) =>
      action
    );
    assert.deepEqual(forms, ["/dashboard/sign-out"], path);
  }
  for (const action of ["limit", "limit-clear", "suspend", "resume", "token", "revoke"]) {
    const form = { kind: "rpd", max: "1", sandbox: "sb-1", id: "id-1", reason: "x" };
    assert.equal((await viewer.submit(`${PATH}/acme/${action}`, form)).status, 403, action);
  }
  for (const action of ["limit", "limit-clear"]) {
    assert.equal((await viewer.submit(`${PATH}/${action}`, { kind: "rpd", max: "1" })).status, 403, action);
  }
  assert.equal((await auditOf(admin)).length, before);
});
