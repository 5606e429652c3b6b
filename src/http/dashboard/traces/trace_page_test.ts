import assert from "node:assert/strict";
import { type AdminUnderTest, openAdmin, usageRow } from "../../../../tests/admin_under_test.ts";
import { csvRows, linkIn, linksIn, readerOf, textOf } from "../../../../tests/dashboard_reader.ts";
import type { UsageRow } from "../../../domain/usage.ts";
import { ASSETS } from "../assets.ts";

/** $4 input, $5 writes of 5 minutes, $0.20 reads, $20 output, a million tokens each. */
const MODEL = "claude-opus-5-5";
const AT = Date.UTC(2026, 0, 31, 11);
const PAGE = "/dashboard/traces/at-1?workspace_id=ws-1";

Deno.test("the trace page says who, when and what it cost, and what is missing in the cost", async () => {
  await using admin = await seeded();
  const reader = await readerOf(admin);
  const { text } = await reader.open(PAGE);
  const shown = textOf(text);
  assert.match(shown, /Trace at-1 Workspace ws-1 Sandbox sb-1 Client claude-code Found by auto Began 2026-01-31 11:00:00 Last/);
  assert.match(
    shown,
    /Cost \$6\.00 1 call without a price: not in it 1 call of unknown use: not in it \$1\.00 of it is/,
  );
  assert.match(shown, /\$1\.00 of it went to attempts that were repeated/);
  assert.match(shown, /Calls 7 2 failed 1 is a retry/);
  assert.equal((await reader.open(linkIn(text, "ws-1")!)).status, 200);
  assert.equal((await reader.open(linkIn(text, "sb-1")!)).status, 200);
  // 7 x 10 uncached, but none of the call whose use is unknown.
  assert.match(
    shown,
    /Input tokens 3,260 60 uncached, 1,700 written to the cache From the cache 46\.0 % 1,500 tokens Output tokens 120/,
  );
});

Deno.test("the trace page shows the agents as a tree, each with its own cost and with all below it", async () => {
  await using admin = await seeded();
  const reader = await readerOf(admin);
  const { text } = await reader.open(PAGE);
  const rows = tableIn(text, "Agents");
  assert.deepEqual(rows.map((cells) => cells.slice(0, 6)), [
    ["main its calls", "$3.00 1 retry, 1 unpriced, 1 estimated", "$6.00", "100.0 %", "4", "1"],
    ["sub-agent Explore a-1", "$1.00 1 unknown", "$3.00", "50.0 %", "2", "1"],
    ["sub-agent a-2", "$2.00", "$2.00", "33.3 %", "1", "0"],
  ]);
  assert.deepEqual([...text.matchAll(/class="branch depth-(\d)"/g)].map(([, depth]) => depth), ["0", "1", "2"]);
  const csv = csvRows((await reader.open(`${PAGE}&format=csv&table=agents&agents_order=cost.asc`)).text);
  assert.deepEqual(csv.map((cells) => cells.slice(0, 3)), [
    ["agent", "cost", "whole"],
    ["main", "3.000000000", "6.000000000"],
    ["sub-agent Explore a-1", "1.000000000", "3.000000000"],
    ["sub-agent a-2", "2.000000000", "2.000000000"],
  ]);
  // An agent leads to its calls.
  const calls = await reader.open(linkIn(text, "a-1")!.split("#")[0]!);
  assert.deepEqual(callsIn(calls.text), ["ar-5", "ar-6"]);
  assert.deepEqual(callsIn((await reader.open(linkIn(text, "its calls")!.split("#")[0]!)).text), [
    "ar-1",
    "ar-2",
    "ar-3",
    "ar-4",
  ]);
});

Deno.test("agents with the same parent sort by their cost as an amount, each with its own below it", async () => {
  await using admin = await openAdmin();
  const costs = { a: 9, b: 10, c: 2, "b-1": 3, "b-2": 30 };
  await admin.embedded.store.recordUsage(
    Object.entries(costs).map(([agentId, cost], n) => {
      const row = usageRow({ id: `ar-${n}`, createdAt: AT + n, agentId, parentAgentId: agentId.includes("-") ? "b" : null });
      return { ...row, closing: { ...row.closing, cost: cost * 1_000_000_000 } };
    }),
  );
  const reader = await readerOf(admin);
  const order = async (order: string) =>
    tableIn((await reader.open(`${PAGE}&agents_order=${order}`)).text, "Agents").map(([name]) => name!.split(" ").at(-1));
  assert.deepEqual(await order("cost.desc"), ["calls", "b", "b-2", "b-1", "a", "c"]);
  assert.deepEqual(await order("cost.asc"), ["calls", "c", "a", "b", "b-1", "b-2"]);
  assert.deepEqual(await order("began.desc"), ["calls", "c", "b", "b-2", "b-1", "a"]);
});

Deno.test("the waterfall has a bar for each call, with its first token, its end and the call that it repeats in words", async () => {
  await using admin = await seeded();
  const { text } = await (await readerOf(admin)).open(PAGE);
  const labels = [...text.matchAll(/class="lane"[^>]*aria-label="([^"]*)"/g)].map(([, label]) => label);
  assert.equal(labels.length, 7);
  assert.equal(
    labels[0],
    "claude-opus-5-5, 0 ms after the trace began, first token after 400 ms, took 1.5 s, completed, $1.00",
  );
  assert.equal(
    labels[1],
    "claude-opus-5-5, 2.0 s after the trace began, first token after 400 ms, took 1.5 s, upstream_broke, $1.00, estimated",
  );
  assert.equal(
    labels[2],
    "claude-opus-5-5, 4.0 s after the trace began, first token after 400 ms, took 1.5 s, completed, $1.00, a retry",
  );
  assert.match(labels[3]!, /no first token known, took 1\.5 s, completed, unpriced$/);
  assert.match(labels[4]!, /duration unknown, upstream_error: overloaded_error, cost unknown$/);
  assert.match(labels[5]!, /^claude-opus-5-5 at bedrock-eu, 10\.0 s after the trace began, .*, completed, \$1\.00$/);
  assert.match(textOf(text), /Upstream bedrock-eu, of aws\.bedrock Ran in eu Service tier priority Agent Explore · a-1/);
  // A row from before upstreams had names.
  assert.match(textOf(text), /Upstream unnamed, of anthropic Agent main/);
  // A browser opens the details of a call by keyboard: no script is in the way.
  assert.equal(text.match(/<details><summary>/g)!.length, 7);
  assert.match(text, /<a class="id" href="#call-ar-2" title="ar-2">/);
  assert.match(textOf(text), /Tokens 0 read from the cache, 1,000 written to it, 10 uncached, 20 output Prices 2026-11-24/);
  assert.match(textOf(text), /Repeated the client asked the same again/);
});

Deno.test("the trace page shows what the cache saved, and leads to the call where it broke", async () => {
  await using admin = await seeded();
  const reader = await readerOf(admin);
  const { text } = await reader.open(PAGE);
  // The third call read half of the 1,000 tokens in the cache, and wrote 500 again at 5,000 - 200.
  // Read: 1,500 x (4,000 - 200) nano-dollars. Written: 1,700 x (5,000 - 4,000).
  assert.match(textOf(text), /The cache saved \$0\.0040 Reads saved \$0\.0057, writes cost \$0\.0017 more than plain input/);
  assert.match(textOf(text), /500 tokens were written again, for \$0\.0024 above reads/);
  assert.deepEqual(tableIn(text, "Where the cache broke"), [["2026-01-31 11:00:04", "main", MODEL, "2.0 s", "500", "$0.0024"]]);
  // The tallest bar: 500 read, 700 written, 10 uncached.
  assert.match(textOf(text), /the tallest bar is 1,210 tokens/);
  assert.match(
    textOf(text),
    /\+4\.0 s, 500 read from the cache, 700 written to the cache, 10 uncached, 500 of them again \(\$0\.0024\), 2\.0 s after/,
  );
  const { href } = linksIn(text).find(({ href }) => href.endsWith("#call-ar-3") && href.includes("calls_cursor"))!;
  assert.deepEqual(callsIn((await reader.open(href.split("#")[0]!)).text)[0], "ar-3");
  const csv = csvRows((await reader.open(`${PAGE}&format=csv&table=misses`)).text);
  assert.deepEqual(csv.at(-1), ["2026-01-31T11:00:04.000Z", "main", MODEL, "2000", "500", "0.002400000"]);
});

Deno.test("the calls of a trace sort, are narrowed to those that went wrong, and download with every field", async () => {
  await using admin = await seeded();
  const reader = await readerOf(admin);
  const shown = async (query: string) => callsIn((await reader.open(`${PAGE}&${query}`)).text);
  assert.deepEqual(await shown("calls_order=cacheRead.desc"), ["ar-1", "ar-2", "ar-3", "ar-4", "ar-5", "ar-6", "ar-7"]);
  const { text } = await reader.open(`${PAGE}&calls_order=cacheRead.desc`);
  assert.deepEqual(tableIn(text, "Calls").slice(0, 2).map((cells) => cells[6]), ["1,000", "500"]);
  assert.deepEqual(tableIn(text, "Calls").map((cells) => cells.at(-2)).toSorted(), [
    ...["bedrock-eu", "unnamed", "unnamed", "unnamed", "unnamed", "unnamed", "unnamed"],
  ]);
  assert.deepEqual(await shown("only=troubled"), ["ar-2", "ar-3", "ar-5"]);
  const failed = tableIn((await reader.open(`${PAGE}&only=troubled`)).text, "Calls");
  assert.deepEqual(failed.map((cells) => [cells[2], cells[3], cells[1]]), [
    ["main", "upstream_broke", "$1.00 , estimated"],
    ["main", "completed retry of …ar-2", "$1.00"],
    ["Explore", "upstream_error: overloaded_error", "cost unknown"],
  ]);
  const [head, ...lines] = csvRows((await reader.open(`${PAGE}&format=csv&table=calls`)).text);
  assert.equal(lines.length, 7);
  const cell = (line: number, name: string) => lines[line]![head!.indexOf(name)];
  assert.deepEqual([cell(0, "id"), cell(0, "costUsd"), cell(2, "retryOf"), cell(1, "askedAgain"), cell(3, "costUsd")], [
    "ar-1",
    "1.000000000",
    "ar-2",
    "true",
    "",
  ]);
  for (const query of ["calls_order=model", "calls_cursor=x", "only=this", "agent=%00", "agents_cursor=-1", "misses_order=x"]) {
    assert.equal((await reader.open(`${PAGE}&${query}`)).status, 400, query);
  }
});

Deno.test("the page of a trace with 10,000 calls stays below 150 kB with all that it loads, and leads through all of them", async () => {
  await using admin = await openAdmin();
  const long = "<\"&'é".repeat(40);
  const rows = Array.from({ length: 10_000 }, (_, n) =>
    usageRow({
      id: `ar-${String(n).padStart(26, "0")}`,
      createdAt: AT + n * 5_000,
      agentId: `agent-${n % 1_200}-${long}`.slice(0, 200),
      agentType: long,
      client: long,
      requestedModel: long,
    }, {
      servedModel: n % 2 === 0 ? MODEL : null,
      errorType: long,
      cacheReadInputTokens: n % 90_000,
      cacheCreationInputTokens: n % 50,
    }));
  await admin.embedded.store.recordUsage(rows.map((row, n) => n % 3 === 0 ? failedWith(row) : row));
  const reader = await readerOf(admin);
  const { text } = await reader.open("/dashboard/traces/at-1");
  const loaded = [ASSETS.style, ASSETS.theme, ASSETS.client, ASSETS.icon].reduce((sum, asset) => sum + asset.text.length, 0);
  assert.ok(new TextEncoder().encode(text).length + loaded < 150_000, `${text.length} + ${loaded}`);
  const seen: string[] = [];
  let path: string | null = "/dashboard/traces/at-1?calls_order=cacheRead.desc";
  for (let page = 0; path !== null && page < 4; page++) {
    const { text } = await reader.open(path);
    const ids = callsIn(text);
    seen.push(...ids);
    path = linksIn(text).findLast((link) => link.text === "Next page")?.href ?? null;
  }
  assert.deepEqual([seen.length, new Set(seen).size], [120, 120]);
  const csv = csvRows((await reader.open("/dashboard/traces/at-1?format=csv&table=calls")).text);
  assert.equal(csv.length, 10_001);
});

Deno.test("a trace that is not there, and an id that several workspaces have, get a page that leads on", async () => {
  await using admin = await seeded();
  await admin.embedded.store.recordUsage([usageRow({ id: "ar-9", workspaceId: "ws-2", createdAt: AT })]);
  const reader = await readerOf(admin);
  const missing = await reader.open("/dashboard/traces/at-<b>?workspace_id=ws-1");
  assert.equal(missing.status, 404);
  assert.match(textOf(missing.text), /There is no trace at-<b> in the workspace ws-1/);
  assert.ok(linkIn(missing.text, "ids that begin so")!.endsWith("trace_prefix=at-%3Cb%3E"));
  const several = await reader.open("/dashboard/traces/at-1");
  assert.equal(several.status, 409);
  const places = linksIn(several.text).filter(({ text }) => text === "at-1").map(({ href }) => href);
  assert.deepEqual(places, ["/dashboard/traces/at-1?workspace_id=ws-1", "/dashboard/traces/at-1?workspace_id=ws-2"]);
  const csv = csvRows((await reader.open("/dashboard/traces/at-1?format=csv")).text);
  assert.deepEqual(csv.map((cells) => [cells[0], cells[5]]), [["trace", "workspace"], ["at-1", "ws-1"], ["at-1", "ws-2"]]);
  for (const place of places) assert.equal((await reader.open(place)).status, 200);
  assert.equal((await reader.open("/dashboard/traces/a%00b")).status, 404);
  assert.equal((await reader.open("/dashboard/traces/at-1?workspace_id=a%00b")).status, 400);
});

Deno.test("the trace page says that rows were dropped, and keeps the totals", async () => {
  await using admin = await seeded();
  while (await admin.embedded.store.dropMonths(Date.UTC(2026, 1))) continue;
  const { status, text } = await (await readerOf(admin)).open(PAGE);
  assert.equal(status, 200);
  assert.match(textOf(text), /Cost \$6\.00 .* 7 calls are in the totals above, but not below: retention has dropped their rows/);
  assert.match(textOf(text), /No call of this trace has ended yet/);
});

Deno.test("what clients and the upstream have named is text on the trace page, and has no place in a script or style", async () => {
  await using admin = await openAdmin();
  const evil = `"><img src=x onerror=alert(1)></title></svg><script>alert(2)</script>`;
  const row = usageRow(
    { agentId: evil, agentType: evil, client: evil, requestedModel: evil, requestClass: evil, workspaceId: "<i>" },
    { servedModel: evil, errorType: evil, stopReason: evil, cacheReadInputTokens: 5 },
  );
  await admin.embedded.store.recordUsage([failedWith(row)]);
  const { text } = await (await readerOf(admin)).open("/dashboard/traces/at-1");
  assert.ok(text.includes("&lt;img src=x onerror=alert(1)&gt;"));
  assert.ok(!/<img|<script>alert|<i>| style=| on[a-z]+="/.test(text));
});

/**
 * Main's four calls: it fills the cache, breaks, is retried with a broken cache, and has no price.
 * Its sub-agent fails once; that one has a sub-agent of its own.
 */
async function seeded(): Promise<AdminUnderTest> {
  const admin = await openAdmin();
  const call = (n: number, given: Parameters<typeof usageRow>[0], reading: Parameters<typeof usageRow>[1], closing = {}) => {
    const row = usageRow({
      id: `ar-${n}`,
      createdAt: AT + (n - 1) * 2_000,
      requestedModel: MODEL,
      messagesHash: `h${n}`,
      ...given,
    }, {
      servedModel: MODEL,
      ...reading,
    });
    return { ...row, closing: { ...row.closing, cost: 1_000_000_000, ...closing } };
  };
  const explore = { agentId: "a-1", agentType: "Explore", requestClass: "subagent" };
  const unknown = { outcome: "upstream_error", accuracy: "unknown", cost: null, ttft: null, duration: null } as const;
  await admin.embedded.store.recordUsage([
    call(1, { client: "claude-code" }, { cacheCreationInputTokens: 1_000, cacheCreation5mTokens: 1_000 }),
    call(2, { messagesHash: "again" }, { cacheReadInputTokens: 1_000 }, { outcome: "upstream_broke", accuracy: "estimated" }),
    call(3, { messagesHash: "again" }, {
      cacheReadInputTokens: 500,
      cacheCreationInputTokens: 700,
      cacheCreation5mTokens: 700,
    }),
    call(4, {}, {}, { cost: null, ttft: null }),
    call(5, explore, { inputTokens: 0, outputTokens: 0, errorType: "overloaded_error" }, unknown),
    call(
      6,
      { ...explore, upstream: "bedrock-eu", provider: "aws.bedrock" },
      { inferenceGeo: "eu", serviceTier: "priority", stopReason: "completed" },
    ),
    call(7, { agentId: "a-2", parentAgentId: "a-1", requestClass: "subagent" }, {}, { cost: 2_000_000_000 }),
  ]);
  return admin;
}

function failedWith(row: UsageRow): UsageRow {
  return { ...row, closing: { ...row.closing, outcome: "upstream_error" } };
}

/** The cells of a table's body, by its caption. */
function tableIn(html: string, caption: string): readonly (readonly string[])[] {
  const from = html.indexOf(`<caption>${caption}</caption>`);
  assert.ok(from > 0, caption);
  const body = html.slice(html.indexOf("<tbody", from), html.indexOf("</tbody>", from));
  return body.split("<tr").slice(1).map((row) => row.split("<td").slice(1).map((cell) => textOf(`<main><td${cell}`)));
}

/** The ids of the calls in the waterfall. */
function callsIn(html: string): readonly string[] {
  return [...html.matchAll(/<dl class="facts" id="call-([^"]*)"/g)].map(([, id]) => id!);
}
