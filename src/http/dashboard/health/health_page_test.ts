import assert from "node:assert/strict";
import { ADMIN_TOKEN, openAdmin, usageRow, VIEWER_TOKEN } from "../../../../tests/admin_under_test.ts";
import { browserAt } from "../../../../tests/dashboard_browser.ts";
import { rowsIn, textOf } from "../../../../tests/html_text.ts";
import type { Sample } from "../../../domain/operations.ts";

/** As `openAdmin` begins. */
const NOW = Date.UTC(2026, 0, 31, 12);
const EVIL = `"><img src=x onerror=alert(1)>`;

function sample(name: string, value: number, labels: Sample["labels"] = {}): Sample {
  return { name, labels, value };
}

const SAMPLES: readonly Sample[] = [
  sample("calls_in_flight", 1_234),
  sample("calls_waiting", 2),
  sample("upstream_waiting_calls", 3),
  sample("workers", 4),
  sample("worker_restarts_total", 1),
  sample("unshipped_rows", 17),
  sample("oldest_unshipped_seconds", 95),
  sample("spool_fill", 0.125),
  sample("ledger_bytes", 2_500_000),
  sample("disk_free_bytes", 41_000_000_000),
  sample("open_rows", Number.NaN),
  sample("credential_out", 0, { credential: "key-a" }),
  sample("credential_out", 1, { credential: "key-b" }),
  sample("credential_retry_seconds", 60, { credential: "key-b", why: "no_credit" }),
  sample("upstream_room", 0.42, { credential: "key-a", limit: "requests" }),
  sample("upstream_room", 0.05, { credential: "key-a", limit: "tokens" }),
  sample("calls_total", 5, { outcome: "upstream_error", status: "529", model: "m-1", upstream: "anthropic" }),
  sample("calls_total", 2, { outcome: "upstream_error", status: "529", model: "m-2", upstream: "anthropic" }),
  sample("calls_total", 90, { outcome: "completed", status: "200", model: "m-1", upstream: "anthropic" }),
  sample("calls_total", 1, { outcome: "upstream_error", status: "529", model: "m-2", upstream: "bedrock" }),
  sample("authority_lookups_total", 7, { authority: "agentserver", outcome: "known" }),
  sample("authority_lookups_total", 2, { authority: "agentserver", outcome: "unavailable" }),
  sample("authority_lookups_total", 0, { authority: "local", outcome: "known" }),
  sample("authority_answer_age_seconds", 30, { authority: "agentserver" }),
  sample("authority_failure_age_seconds", 10, { authority: "agentserver" }),
  sample("refusals_total", 3, { fault: "overloaded" }),
  sample("refusals_total", 0, { fault: "draining" }),
];

async function opened(path = "/dashboard/health") {
  await using admin = await openAdmin();
  admin.deps.samples = SAMPLES;
  admin.deps.reason = "The disk is full";
  await admin.embedded.store.recordUsage([
    usageRow({ instanceId: EVIL, createdAt: NOW - 60_000, requestedModel: EVIL }, { servedModel: EVIL }),
  ]);
  const browser = browserAt(admin);
  await browser.signIn(VIEWER_TOKEN);
  return await browser.open(path);
}

Deno.test("the health page says whether the machine is ready and why not, and how its parts are", async () => {
  const { status, text } = await opened();
  assert.equal(status, 200);
  const page = textOf(text);
  for (
    const words of [
      "Unavailable . The disk is full.",
      "Calls in flight 1,234 2 wait for a place, 3 for the upstream",
      "Workers 4 restarts: 1",
      "Rows on their way to the store 17 the oldest for 1 min 35 s",
      "Spool 12.5 % full, 2.5 MB of records",
      "Free disk 41.0 GB",
      "Connections – of at most –",
    ]
  ) assert.ok(page.includes(words), `${words} is not in ${page}`);
});

Deno.test("the health page shows each credential: in or out, why, its next try and what is left of its rate limits", async () => {
  const { text } = await opened();
  assert.deepEqual(rowsIn(text, "Upstream credentials"), [
    ["key-a", "anthropic", "in use", "–", "requests 42.0 % , tokens 5.0 %"],
    ["key-b", "–", "out: its account has no credit", "2026-01-31 12:01:00", "no answer of the last minute says"],
  ]);
});

Deno.test("the health page shows how calls ended, the control plane, refusals and the prices in force", async () => {
  const { text } = await opened();
  assert.deepEqual(rowsIn(text, "How calls ended, since the start of this proxy"), [
    ["anthropic", "completed", "200", "90"],
    ["anthropic", "upstream_error", "529", "7"],
    ["bedrock", "upstream_error", "529", "1"],
  ]);
  const authorities = rowsIn(text, "Who checks tokens, and what came of it since the start of this proxy");
  assert.deepEqual(authorities.map((cells) => cells.slice(0, 5)), [
    ["control plane", "does not answer", "2026-01-31 11:59:30 (30.0 s ago)", "2026-01-31 11:59:50 (10.0 s ago)", "7"],
    ["local tokens", "not asked yet", "–", "–", "0"],
  ]);
  assert.deepEqual(rowsIn(text, "What the proxy itself refused, since its start"), [["overloaded", "3"]]);
  const prices = rowsIn(text, "Prices in force, US dollars per million tokens");
  assert.deepEqual(prices.find(([model]) => model === "claude-haiku-4-5"), [
    ...["claude-haiku-4-5", "the first", "–", "0"],
    ...["$1", "$1.25", "$2", "–", "–", "$0.10", "$5", "–", "–", "–"],
  ]);
  assert.deepEqual(prices.find(([model]) => model === "gpt-5.5"), undefined, "it has no price on that day");
  assert.deepEqual(prices.find(([model]) => model === "gemini-3.8-flash"), [
    ...["gemini-3.8-flash", "the first", "2027-01-01", "0"],
    ...["$0.75", "–", "–", "–", "–", "$0.075", "$3.75", "–", "–", "flex x 0.5, batch x 0.5"],
  ]);
});

Deno.test("the health page lists the runs that recorded calls lately, and shows their names as text", async () => {
  const { text } = await opened();
  const runs = rowsIn(text, "Replicas and workers that recorded calls in the last 15 minutes");
  assert.deepEqual(runs, [[
    EVIL.replaceAll('"', "&quot;").replaceAll("<", "&lt;").replaceAll(">", "&gt;"),
    "1",
    "2026-01-31 11:59:00",
  ]]);
  assert.ok(!text.includes("<img"));
});

Deno.test("tables of the health page sort and download as CSV", async () => {
  const { text } = await opened("/dashboard/health?answers_order=calls.asc");
  assert.deepEqual(rowsIn(text, "How calls ended, since the start of this proxy").map((cells) => cells.at(-1)), [
    ...["1", "7", "90"],
  ]);
  const csv = await opened("/dashboard/health?format=csv&table=credentials");
  assert.match(csv.headers.get("content-disposition")!, /health-credentials\.csv/);
  assert.equal(
    csv.text,
    'credential,upstream,state,next_try,room\r\nkey-a,anthropic,in use,,"requests 42.0 %, tokens 5.0 %"\r\n' +
      "key-b,,out: its account has no credit,2026-01-31T12:01:00.000Z,\r\n",
  );
  assert.equal((await opened("/dashboard/health?prices_order=colour")).status, 400);
});

Deno.test("the health page of a proxy that has just started says what there is to come", async () => {
  await using admin = await openAdmin();
  const browser = browserAt(admin);
  await browser.signIn(ADMIN_TOKEN);
  const { status, text } = await browser.open("/dashboard/health");
  assert.equal(status, 200);
  for (
    const words of [
      "Ready",
      "No call has ended since the start of this proxy.",
      "This proxy has refused nothing since its start.",
    ]
  ) {
    assert.ok(textOf(text).includes(words), words);
  }
});
