import assert from "node:assert/strict";
import { ADMIN_TOKEN, type AdminUnderTest, openAdmin, usageRow, VIEWER_TOKEN } from "../../../../tests/admin_under_test.ts";
import { browserAt, unescaped } from "../../../../tests/dashboard_browser.ts";
import { rowsIn, textOf } from "../../../../tests/html_text.ts";
import type { Closing, OpenCall, UsageRow } from "../../../domain/usage.ts";
import { ASSETS } from "../assets.ts";

/** Of `openAdmin`. */
const NOW = Date.UTC(2026, 0, 31, 12);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let rows = 0;

interface Given
  extends Partial<Omit<Closing, "reading">>, Partial<Pick<OpenCall, "workspaceId" | "sandboxId" | "createdAt" | "upstream">> {
  readonly model?: string;
}

function call(
  { model = "claude-a", workspaceId = "ws-1", sandboxId = "sb-1", createdAt = NOW - HOUR_MS, upstream = null, ...closing }:
    Given = {},
): UsageRow {
  const id = `ar-${String(++rows).padStart(26, "0")}`;
  const reading = {
    servedModel: model,
    inputTokens: 10,
    outputTokens: 20,
    cacheCreationInputTokens: 30,
    cacheReadInputTokens: 60,
  };
  const row = usageRow({ id, workspaceId, sandboxId, createdAt, upstream, requestedModel: model }, reading);
  return { ...row, closing: { ...row.closing, ...closing } };
}

async function signedIn(admin: AdminUnderTest, given: readonly UsageRow[]) {
  await admin.embedded.store.recordUsage(given);
  const browser = browserAt(admin);
  await browser.signIn(ADMIN_TOKEN);
  return browser;
}

/** The text of each card by its title. */
function cardsIn(html: string): Readonly<Record<string, string>> {
  const cards = [...html.matchAll(/<div class="card"><dt>([^<]*)<\/dt>(.*?)<\/div>/g)];
  return Object.fromEntries(cards.map(([, title, body]) => [title, textOf(body!)]));
}

function namesIn(html: string, caption: string): readonly string[] {
  return rowsIn(html, caption).map(([name]) => name!);
}

function hrefOf(html: string, text: string): string {
  const found = [...html.matchAll(/<a [^>]*?href="([^"]*)"[^>]*>([^<]*)<\/a>/g)].find(([, , words]) => words === text);
  assert.ok(found !== undefined, `there is a link "${text}"`);
  return found[1]!.replaceAll("&amp;", "&");
}

Deno.test("the overview shows spend, calls, failures, cache hits and the mean time to first token against the span before", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(admin, [
    call({ cost: 2_500_000_000, ttft: 400 }),
    call({ cost: 500_000_000, ttft: 800, outcome: "client_left", accuracy: "estimated" }),
    call({ cost: null, ttft: null, model: "local", workspaceId: "ws-2", sandboxId: "sb-2" }),
    call({ cost: 0, ttft: null, model: "local", workspaceId: "ws-2", sandboxId: "sb-2", outcome: "client_left" }),
    call({ cost: null, ttft: null, outcome: "unknown", accuracy: "unknown" }),
    call({ cost: 1_000_000_000, ttft: 1_000, createdAt: NOW - DAY_MS - HOUR_MS }),
  ]);
  const { status, text } = await browser.open("/dashboard");
  assert.equal(status, 200);
  assert.deepEqual(cardsIn(text), {
    "Spend": "$3.00 without 2 calls before $1.00 (+200.0 %)",
    "Calls": "5 before 1 (+400.0 %)",
    "Failed calls": "20.0 % 1 call before 0.0 % (+20.0 points)",
    "Cache hits": "60.0 % of the tokens in prompts before 60.0 % (0.0 points)",
    "Time to first token": "600 ms mean of 2 calls before 1.0 s (-40.0 %)",
    "Input tokens": "50 before 10 (+400.0 %)",
    "Output tokens": "100 before 20 (+400.0 %)",
    "Cache write tokens": "150 before 30 (+400.0 %)",
    "Cache read tokens": "300 before 60 (+400.0 %)",
  });
  const page = textOf(text);
  for (
    const line of [
      "Without a price: 1 call, missing in the spend and not $0.",
      "With unknown usage: 1 call, missing in tokens and spend.",
      "Estimated: 1 call, $0.5000 , 16.7 % of the spend.",
    ]
  ) assert.ok(page.includes(line), page);
  assert.deepEqual(rowsIn(text, "Models").map((cells) => cells.slice(0, 4)), [
    ["claude-a", "$3.00", "3", "1 (33.3 %)"],
    ["local", "unpriced", "2", "0"],
  ]);
  assert.deepEqual(rowsIn(text, "Sandboxes").map((cells) => cells.slice(0, 3)), [
    ["sb-1", "ws-1", "$3.00"],
    ["sb-2", "ws-2", "unpriced"],
  ]);
  // Each hour of the 24 and the one that both ends cut; the newest first.
  assert.equal(rowsIn(text, "Hours").length, 24);
  assert.deepEqual(rowsIn(text, "Hours")[0]!.slice(0, 3), ["2026-01-31 11:00:00", "$3.00", "5"]);
});

Deno.test("the overview narrows to a workspace, a sandbox or a model by links, and shows more again", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(admin, [
    call({ cost: 1_000_000_000 }),
    call({ cost: 2_000_000_000, workspaceId: "ws 2&x=1", sandboxId: "sb-2", model: "claude-b" }),
  ]);
  const { text: month } = await browser.open("/dashboard?range=30d");
  assert.deepEqual(namesIn(month, "Sandboxes"), ["sb-2", "sb-1"]);
  const { text } = await browser.open(hrefOf(month, "ws 2&amp;x=1"));
  assert.match(cardsIn(text).Spend!, /^\$2\.00 US dollars/);
  assert.deepEqual([namesIn(text, "Models"), namesIn(text, "Sandboxes")], [["claude-b"], ["sb-2"]]);
  assert.equal((await browser.open(hrefOf(text, "ws 2&amp;x=1"))).status, 200);
  assert.ok(text.includes('href="/dashboard/workspaces/ws%202%26x%3D1"'));
  assert.deepEqual(rowsIn(text, "Sandboxes")[0]!.slice(0, 3), ["sb-2", "$2.00", "1"]);
  assert.ok(text.includes('aria-current="true">30 days'));
  const { text: again } = await browser.open(hrefOf(text, "show all"));
  assert.match(cardsIn(again).Spend!, /^\$3\.00/);
  const { text: model } = await browser.open(hrefOf(month, "claude-a"));
  assert.deepEqual([cardsIn(model).Calls, namesIn(model, "Workspaces")], ["1", ["ws-1"]]);
  const { text: year } = await browser.open("/dashboard?range=year");
  assert.ok(!year.includes("<caption>Sandboxes</caption>"));
  const { text: list } = await browser.open(hrefOf(year, "list of all sandboxes"));
  assert.deepEqual(namesIn(list, "Sandboxes by what they used"), ["sb-2", "sb-1"]);
  // Their totals of one model take long, so they need a workspace.
  assert.ok(!model.includes("<caption>Sandboxes</caption>"));
  assert.ok(textOf(model).includes("To see sandboxes here, choose a workspace"));
  assert.deepEqual(namesIn((await browser.open(hrefOf(model, "ws-1"))).text, "Sandboxes"), ["sb-1"]);
});

Deno.test("the overview tells upstreams apart, and narrows to one of them in every view", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(admin, [
    call({ cost: 1_000_000_000, upstream: "eu+1" }),
    call({ cost: 3_000_000_000, upstream: "us", workspaceId: "ws-2", sandboxId: "sb-2" }),
    call({ cost: 2_000_000_000 }),
  ]);
  const { text } = await browser.open("/dashboard");
  assert.deepEqual(rowsIn(text, "Upstreams").map((cells) => cells.slice(0, 3)), [
    ["us", "$3.00", "1"],
    ["unnamed", "$2.00", "1"],
    ["eu+1", "$1.00", "1"],
  ]);
  assert.ok(!text.includes("upstream=&amp;") && !text.includes('upstream="'), "no link leads to the calls without a name");
  const { text: narrowed } = await browser.open(hrefOf(text, "eu+1"));
  assert.match(cardsIn(narrowed).Spend!, /^\$1\.00/);
  assert.deepEqual([namesIn(narrowed, "Upstreams"), namesIn(narrowed, "Workspaces")], [["eu+1"], ["ws-1"]]);
  const { text: traces } = await browser.open(hrefOf(narrowed, "Sessions of these calls"));
  assert.ok(traces.includes('name="upstream" value="eu+1"'));
  const { text: all } = await browser.open(hrefOf(narrowed, "show all"));
  assert.match(cardsIn(all).Spend!, /^\$6\.00/);
  assert.deepEqual(namesIn((await browser.open("/dashboard/usage?by=upstream&range=year")).text, "Upstreams by what they used"), [
    "us",
    "unnamed",
    "eu+1",
  ]);
  const { text: csv } = await browser.open("/dashboard/usage?by=upstream&format=csv");
  assert.deepEqual(csv.trimEnd().split("\r\n").map((line) => line.split(",").slice(0, 2).join(" ")), [
    "upstream cost_usd",
    "us 3.000000000",
    " 2.000000000",
    "eu+1 1.000000000",
  ]);
});

Deno.test("tables of the overview sort, show the first ten, and the list behind them pages to the end of all", async () => {
  await using admin = await openAdmin();
  const named = (n: number) => `ws-${String(n).padStart(3, "0")}`;
  const browser = await signedIn(
    admin,
    Array.from(
      { length: 120 },
      (_, n) => call({ workspaceId: named(n), cost: (n + 1) * 1_000_000, ...n < 3 ? { outcome: "upstream_error" } : {} }),
    ),
  );
  const { text } = await browser.open("/dashboard");
  assert.deepEqual(namesIn(text, "Workspaces: the first 10"), Array.from({ length: 10 }, (_, n) => named(119 - n)));
  const { text: sorted } = await browser.open("/dashboard?workspace_order=failed_calls.desc");
  assert.deepEqual(namesIn(sorted, "Workspaces: the first 10").slice(0, 3), [named(0), named(1), named(2)]);
  let next = "/dashboard/usage?by=workspace&order=cost_usd.asc";
  const found: string[] = [];
  for (;;) {
    const { status, text: page } = await browser.open(next);
    assert.equal(status, 200);
    found.push(...namesIn(page, "Workspaces by what they used"));
    if (!page.includes(">Next page<")) break;
    next = hrefOf(page, "Next page");
    // What comes meanwhile moves nothing.
    admin.deps.now += HOUR_MS;
    await admin.embedded.store.recordUsage([call({ workspaceId: "ws-later", cost: 1, createdAt: admin.deps.now - 1 })]);
  }
  assert.deepEqual(found, Array.from({ length: 120 }, (_, n) => named(n)));
});

Deno.test("every table of the overview downloads as CSV, whole, with exact money", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(admin, [
    ...Array.from({ length: 1_100 }, (_, n) => call({ workspaceId: `ws-${n}`, sandboxId: `sb-${n}`, cost: 1_234_567 })),
    call({ workspaceId: "=cmd()", cost: 9_007_199_254_740_991, ttft: 250 }),
  ]);
  const csv = await browser.open("/dashboard?format=csv&table=workspace");
  assert.match(csv.headers.get("content-disposition")!, /usage-by-workspace\.csv/);
  const [head, first, ...others] = csv.text.trimEnd().split("\r\n");
  assert.equal(
    head,
    "workspace_id,cost_usd,calls,failed_calls,tokens,input_tokens,output_tokens,cache_write_tokens,cache_read_tokens," +
      "cache_hit_share,mean_ttft_ms,unpriced_calls,unknown_calls,estimated_calls",
  );
  assert.equal(first, "'=cmd(),9007199.254740991,1,0,120,10,20,30,60,0.6,250,0,0,0");
  assert.equal(others.length, 1_100);
  const lines = async (path: string) => (await browser.open(path)).text.trimEnd().split("\r\n").length;
  assert.equal(await lines("/dashboard?format=csv&table=model"), 2);
  assert.equal(await lines("/dashboard?format=csv&table=sandbox&range=year"), 1_102);
  assert.equal(await lines("/dashboard?format=csv&table=time"), 25);
  assert.equal(await lines("/dashboard/usage?by=sandbox&format=csv"), 1_102);
});

Deno.test("the overview shows what clients and upstreams named as text", async () => {
  await using admin = await openAdmin();
  const evil = `"><img src=x onerror=alert(1)><script>alert(2)</script>'`;
  const browser = await signedIn(admin, [call({ model: evil, workspaceId: evil, sandboxId: evil })]);
  for (const path of ["/dashboard", "/dashboard/usage?by=model", `/dashboard?model=${encodeURIComponent(evil)}`]) {
    const { status, text } = await browser.open(path);
    assert.equal(status, 200);
    assert.ok(text.includes("&lt;img src=x onerror=alert(1)&gt;"), path);
    assert.ok(!text.includes("<img") && !text.includes("<script>"), path);
  }
});

Deno.test("the overview without any call says how to make one, and names a span without calls", async () => {
  await using admin = await openAdmin();
  const browser = browserAt(admin);
  await browser.signIn(VIEWER_TOKEN);
  const { text: none } = await browser.open("/dashboard");
  assert.ok(textOf(none).includes("llmproxy token create --workspace acme --sandbox sb-1"));
  await admin.embedded.store.recordUsage([call({ createdAt: NOW - 10 * DAY_MS })]);
  const { text } = await browser.open("/dashboard");
  assert.ok(textOf(text).includes("Models: no calls in this span."));
  assert.ok(!text.includes("token create"));
  assert.equal(cardsIn(text)["Failed calls"], "– 0 calls");
});

Deno.test("the overview names what it cannot read", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(admin, []);
  const refused = {
    "/dashboard?range=never": "Cannot read range as one of today,",
    "/dashboard?since=31.1.2026": "Cannot read since as a date such as 2026-01-31",
    "/dashboard?workspace_order=name": "Cannot read workspace_order as one of cost_usd, calls, failed_calls, tokens",
    "/dashboard?workspace_id=%00": "Cannot read the filter workspace_id",
    "/dashboard/usage?by=colour": "Cannot read by as one of model, upstream, workspace, sandbox",
    "/dashboard/usage?cursor=x": "Cannot read the filter cursor",
  };
  for (const [path, words] of Object.entries(refused)) {
    const { status, text } = await browser.open(path);
    assert.equal(status, 400, path);
    assert.ok(textOf(text).includes(words), text);
  }
});

Deno.test("a year of many models and workspaces is one page below 150 kB, its assets included", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(
    admin,
    Array.from({ length: 730 }, (_, n) => {
      return call({
        createdAt: NOW - 1 - n * DAY_MS / 2,
        model: `model-${n % 90}`,
        workspaceId: `workspace-${n % 300}`,
        cost: 123_456_789 + n,
      });
    }),
  );
  const { text } = await browser.open("/dashboard?range=year");
  assert.equal(cardsIn(text).Calls!.split(" ")[0], "730");
  assert.equal(rowsIn(text, "Days (UTC)").length, 31);
  const assets = Object.values(ASSETS).reduce((bytes, { text }) => bytes + new TextEncoder().encode(text).length, 0);
  assert.ok(assets + new TextEncoder().encode(text).length < 150_000, `${assets} and ${text.length} bytes`);
});

Deno.test("the overview's chart draws calls that name no model among all others", async () => {
  await using admin = await openAdmin();
  const browser = await signedIn(admin, [
    call({ cost: 1_000_000_000 }),
    call({ cost: 2_000_000_000, model: "" }),
  ]);
  const { text } = await browser.open("/dashboard");
  const [spend] = [...text.matchAll(/data-chart="([^"]*)"/g)].map(([, data]) => JSON.parse(unescaped(data!)));
  const sums = (spend.series as { name: string; values: number[] }[]).map(({ name, values }) => {
    return [name, values.reduce((sum, value) => sum + value, 0)];
  });
  assert.deepEqual(sums, [["claude-a", 1], ["all others", 2]]);
});
