import assert from "node:assert/strict";
import { type AdminUnderTest, openAdmin, usageRow } from "../../../../tests/admin_under_test.ts";
import { csvRows, linkIn, linksIn, readerOf, textOf } from "../../../../tests/dashboard_reader.ts";

const HOUR_MS = 3_600_000;
const NOW = Date.UTC(2026, 0, 31, 12);

Deno.test("the traces page shows the newest activity first with what each trace used, and sums them", async () => {
  await using admin = await seeded();
  const { status, text } = await (await readerOf(admin)).open("/dashboard/traces");
  assert.equal(status, 200);
  assert.deepEqual(idsOf(text), ["at-failed", "at-dear", "at-1"]);
  const shown = textOf(text);
  assert.match(shown, /3 traces, 4 calls, \$12\.02/);
  // Last activity, cost, calls, failed, workspace, sandbox, tokens, cache hits, began, found by.
  assert.match(shown, /at-dear 2026-01-31 11:00:00 \$12\.01 1 unpriced 2 0 acme sb-2 160 50\.0 % 2026-01-31 10:00:00 auto/);
  assert.match(shown, /at-failed 2026-01-31 11:30:00 \$0\.0100 1 1 acme sb-1/);
});

Deno.test("the traces page finds by id, workspace, sandbox, agent, model, cost and failures; an empty field finds all", async () => {
  await using admin = await seeded();
  let reader = await readerOf(admin);
  const found = async (query: string) => {
    const { status, text } = await reader.open(`/dashboard/traces?${query}`);
    assert.equal(status, 200, query);
    return idsOf(text);
  };
  assert.deepEqual(await found("trace_prefix=at-d"), ["at-dear"]);
  assert.deepEqual(await found("workspace_id=globex"), ["at-1"]);
  assert.deepEqual(await found("sandbox_id=sb-2"), ["at-dear"]);
  assert.deepEqual(await found("client=claude-code"), ["at-dear"]);
  assert.deepEqual(await found("model=claude-other"), ["at-1"]);
  assert.deepEqual(await found("min_cost=12"), ["at-dear"]);
  assert.deepEqual(await found("failed=true"), ["at-failed"]);
  assert.deepEqual(await found("failed=true&client=claude-code"), []);
  // As a form sends it.
  const form = "trace_prefix=&workspace_id=+acme+&sandbox_id=&client=&model=&min_cost=";
  assert.deepEqual(await found(form), ["at-failed", "at-dear"]);
  assert.deepEqual(await found("range=today&order=cost.asc"), ["at-1", "at-failed", "at-dear"]);
  assert.deepEqual(await found("range=yesterday"), []);
  // Tomorrow these traces were active yesterday, also one that goes on.
  admin.deps.now += 24 * HOUR_MS;
  await admin.embedded.store.recordUsage([
    usageRow({ id: "ar-5", traceId: "at-1", workspaceId: "globex", createdAt: admin.deps.now }),
  ]);
  reader = await readerOf(admin);
  assert.deepEqual(await found("range=yesterday&order=created.asc"), ["at-1", "at-dear", "at-failed"]);
  assert.deepEqual(await found("range=today"), ["at-1"]);
  // Most of an id is looked for in a year, not in a week.
  admin.deps.now += 30 * 24 * HOUR_MS;
  reader = await readerOf(admin);
  assert.deepEqual(await found("workspace_id=acme"), []);
  assert.deepEqual(await found("trace_prefix=at-fail"), []);
  assert.deepEqual(await found("trace_prefix=at-faile"), ["at-failed"]);
  // A session that goes on for weeks after a span is not in it.
  assert.deepEqual(await found("since=2026-01-31&until=2026-01-31"), ["at-1", "at-failed", "at-dear"]);
  await admin.embedded.store.recordUsage([
    usageRow({ id: "ar-6", traceId: "at-1", workspaceId: "globex", createdAt: admin.deps.now }),
  ]);
  assert.deepEqual(await found("since=2026-01-31&until=2026-01-31"), ["at-failed", "at-dear"]);
});

Deno.test("the search keeps its fields, and says what it cannot read", async () => {
  await using admin = await seeded();
  const reader = await readerOf(admin);
  const { text } = await reader.open("/dashboard/traces?client=pi&failed=true&range=30d");
  assert.match(text, /name="client" value="pi"/);
  assert.match(text, /name="failed" value="true" checked/);
  assert.match(text, /type="hidden" name="range" value="30d"/);
  assert.match(textOf(text), /No trace in this span meets these filters/);
  for (const query of ["min_cost=much", "workspace=acme", "order=tokens", "cursor=x", "range=ever", "client=a%00b"]) {
    const refused = await reader.open(`/dashboard/traces?${query}`);
    assert.equal(refused.status, 400, query);
    assert.match(refused.text, /role="alert">Cannot read /, query);
  }
});

Deno.test("the traces page leads through all pages of one span, each trace once, while calls go on; CSV has all at once", async () => {
  await using admin = await openAdmin();
  const rows = Array.from(
    { length: 120 },
    (_, n) => usageRow({ id: `ar-${n}`, traceId: `at-${String(n).padStart(3, "0")}`, createdAt: NOW - (n % 7) * 1_000 - 5_000 }),
  );
  await admin.embedded.store.recordUsage(rows);
  const reader = await readerOf(admin);
  for (const order of ["activity.desc", "cost.asc", "created.desc"]) {
    const seen: string[] = [];
    let path: string | null = `/dashboard/traces?range=24h&order=${order}`;
    while (path !== null) {
      const { text } = await reader.open(path);
      seen.push(...idsOf(text));
      path = linkIn(text, "Next page");
      admin.deps.now += 1_000;
      await admin.embedded.store.recordUsage([
        usageRow({ id: `ar-new-${admin.deps.now}`, traceId: "new", createdAt: admin.deps.now }),
      ]);
    }
    const ids = seen.filter((id) => id !== "new");
    assert.deepEqual([ids.length, new Set(ids).size], [120, 120], order);
  }
  const { text, headers } = await reader.open("/dashboard/traces?range=24h&format=csv");
  assert.match(headers.get("content-disposition")!, /traces\.csv/);
  const [head, ...lines] = csvRows(text);
  assert.deepEqual(head!.slice(0, 6), ["trace", "activity", "cost", "calls", "failed", "workspace"]);
  assert.equal(lines.length, 121);
  const [line] = lines.filter(([id]) => id === "at-003");
  assert.deepEqual(line!.slice(0, 6), ["at-003", "2026-01-31T11:59:52.000Z", "0.012345678", "1", "0", "ws-1"]);
});

Deno.test("ids of every kind are text, and each leads to its trace", async () => {
  await using admin = await openAdmin();
  const ids = [`"><script>alert(1)</script>`.replaceAll(" ", ""), "..", ".", "a/b?c#d%2e", "'+alert(1)+'", "x".repeat(128)];
  await admin.embedded.store.recordUsage(
    ids.map((traceId, n) =>
      usageRow({ id: `ar-${n}`, traceId, createdAt: NOW - n * 1_000, workspaceId: "<b>w&amp;", sandboxId: "<i>" })
    ),
  );
  const reader = await readerOf(admin);
  const { text } = await reader.open("/dashboard/traces");
  assert.deepEqual(idsOf(text), ids);
  assert.ok(!/<script>alert|<b>w|<i>/.test(text));
  const links = linksIn(text).filter(({ href }) => href.startsWith("/dashboard/traces/"));
  assert.equal(links.length, ids.length);
  for (const [n, { href }] of links.entries()) {
    // As a browser resolves it.
    const { pathname, search } = new URL(href, "http://localhost/dashboard/traces");
    const trace = await reader.open(pathname + search);
    assert.equal(trace.status, 200, ids[n]);
    assert.match(textOf(trace.text), new RegExp(`Trace ${RegExp.escape(ids[n]!)} `));
    assert.ok(!/<script>alert|<b>w|<i>/.test(trace.text));
  }
});

/** The ids of the list, from the links that lead to their pages. */
function idsOf(text: string): readonly string[] {
  return linksIn(text).filter(({ href }) => href.startsWith("/dashboard/traces/")).map((link) => link.text);
}

async function seeded(): Promise<AdminUnderTest> {
  const admin = await openAdmin();
  const row = (call: Parameters<typeof usageRow>[0], cost: number | null, reading: Parameters<typeof usageRow>[1] = {}) => {
    const made = usageRow(call, reading);
    return { ...made, closing: { ...made.closing, cost } };
  };
  const dear = { traceId: "at-dear", workspaceId: "acme", sandboxId: "sb-2" };
  const failed = row({ id: "ar-4", traceId: "at-failed", workspaceId: "acme", createdAt: NOW - HOUR_MS / 2 }, 10_000_000);
  await admin.embedded.store.recordUsage([
    row({ id: "ar-1", ...dear, client: "claude-code", createdAt: NOW - 2 * HOUR_MS }, 12_010_000_000, {
      cacheReadInputTokens: 60,
    }),
    row({ id: "ar-2", ...dear, createdAt: NOW - HOUR_MS }, null, { inputTokens: 50, outputTokens: 20 }),
    row({ id: "ar-3", traceId: "at-1", workspaceId: "globex", createdAt: NOW - 3 * HOUR_MS }, 1, { servedModel: "claude-other" }),
    { ...failed, closing: { ...failed.closing, outcome: "upstream_broke" } },
  ]);
  return admin;
}
