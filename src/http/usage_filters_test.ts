import assert from "node:assert/strict";
import { type AdminUnderTest, openAdmin, usageRow } from "../../tests/admin_under_test.ts";
import { AdminRefusal } from "./admin_refusal.ts";
import { traceQueryOf, usageQueryOf } from "./usage_filters.ts";

const USAGE = "http://localhost/internal/usage";
const TRACES = "http://localhost/internal/traces";
const NOW = Date.UTC(2026, 0, 31, 12);

function now(): number {
  return NOW;
}

Deno.test("usageQueryOf() asks for everything by provider and model, the most tokens first, where nothing is said", () => {
  assert.deepEqual(usageQueryOf(USAGE, now).query, {
    workspaceId: null,
    sandboxId: null,
    model: null,
    outcome: null,
    accuracy: null,
    upstream: null,
    asOf: now() + 1,
    since: null,
    until: null,
    limit: 100,
    offset: 0,
    groupBy: ["provider", "model"],
    order: { by: "tokens", isAscending: false },
    after: null,
  });
  assert.deepEqual(traceQueryOf(TRACES, now).query.order, { by: "activity", isAscending: false });
});

Deno.test("usageQueryOf() reads what narrows, groups and orders", () => {
  const { query } = usageQueryOf(
    `${USAGE}?model=m&outcome=client_left&accuracy=estimated&group_by=trace,agent&order=cost.asc&until=1970-01-01T00:00:01Z`,
    now,
  );
  assert.deepEqual([query.model, query.outcome, query.accuracy, query.until], ["m", "client_left", "estimated", 1_000]);
  assert.deepEqual([query.groupBy, query.order], [["trace", "agent"], { by: "cost", isAscending: true }]);
  assert.deepEqual(usageQueryOf(`${USAGE}?order=time.desc&group_by=day`, now).query.order, {
    by: "time",
    isAscending: false,
  });
});

Deno.test("traceQueryOf() reads what only traces are narrowed by", () => {
  const { query } = traceQueryOf(`${TRACES}?trace_prefix=at-1&client=claude-code&failed=true&min_cost=0.25`, now);
  assert.deepEqual([query.idPrefix, query.client, query.hasFailed, query.leastCost], ["at-1", "claude-code", true, 250_000_000]);
  const all = traceQueryOf(`${TRACES}?failed=false`, now).query;
  assert.deepEqual([all.idPrefix, all.client, all.hasFailed, all.leastCost], [null, null, false, null]);
  for (const search of ["trace_prefix=", "client=%00", "failed=yes", "min_cost=-1", "min_cost=1e3", "min_cost=99999999"]) {
    const name = search.slice(0, search.indexOf("="));
    assert.match(refusalOf(() => traceQueryOf(`${TRACES}?${search}`, now)), new RegExp(`^Cannot read the filter ${name} as `));
  }
  assert.match(refusalOf(() => usageQueryOf(`${USAGE}?failed=true`, now)), /filter "failed"/);
});

Deno.test("usageQueryOf() refuses what it cannot read and what does not go together, and names the filter", () => {
  const unreadable: Readonly<Record<string, string>> = {
    "model=": "model",
    "outcome=done": "outcome",
    "outcome=open": "outcome",
    "accuracy=much": "accuracy",
    "group_by=": "group_by",
    "group_by=colour": "group_by",
    "group_by=model,": "group_by",
    "group_by=model,day,model": "group_by",
    "group_by=model%20day": "group_by",
    "order=": "order",
    "order=size": "order",
    "order=-cost": "order",
    "order=cost.up": "order",
    "order=cost.asc.asc": "order",
    "order=toString": "order",
    "order=activity": "order",
    "order=time": "order",
    "order=time&group_by=model": "order",
    "until=tomorrow": "until",
    "since=2026-01-31T12:00:00Z&until=2026-01-31T12:00:00Z": "until",
    "since=2026-01-31T12:00:00Z&until=2026-01-30T12:00:00Z": "until",
    "cursor=": "cursor",
    "cursor=abc": "cursor",
    [`cursor=${"x".repeat(20_000)}`]: "cursor",
  };
  for (const [search, name] of Object.entries(unreadable)) {
    const message = refusalOf(() => usageQueryOf(`${USAGE}?${search}`, now));
    assert.match(message, new RegExp(`^Cannot read the filter ${name} as `), search);
    assert.ok(message.length < 500);
  }
  assert.match(refusalOf(() => traceQueryOf(`${TRACES}?group_by=model`, now)), /Cannot read the filter "group_by"/);
  assert.match(refusalOf(() => traceQueryOf(`${TRACES}?order=time`, now)), /filter order as one of activity, created, cost/);
});

Deno.test("a cursor leads on from where its page ended, to the same question only, and counts nothing that came later", () => {
  const asked = `${USAGE}?workspace_id=w&group_by=trace&limit=1`;
  const cursor = usageQueryOf(asked, now).cursorOf(["17", "w", "at-ü \n1"]);
  assert.match(cursor, /^[\w-]+$/);
  const { query, cursorOf } = usageQueryOf(`${asked.replace("limit=1", "limit=9")}&cursor=${cursor}`, () => NOW + 5_000);
  assert.deepEqual([query.after, query.until, query.limit], [["17", "w", "at-ü \n1"], NOW + 1, 9]);
  const third = usageQueryOf(`${asked}&cursor=${cursorOf(["16", "w", "at-2"])}`, () => NOW + 9_000);
  assert.deepEqual([third.query.after, third.query.until], [["16", "w", "at-2"], NOW + 1]);
  const others = [
    `${USAGE}?workspace_id=x&group_by=trace`,
    `${USAGE}?workspace_id=w&group_by=agent`,
    `${USAGE}?workspace_id=w&group_by=trace&order=cost`,
    `${USAGE}?workspace_id=w&group_by=trace&until=2026-01-30T12:00:00Z`,
  ];
  for (const other of others) {
    assert.match(
      refusalOf(() => usageQueryOf(`${other}&cursor=${cursor}`, now)),
      /^Cannot read the filter cursor as /,
      other,
    );
  }
  assert.match(refusalOf(() => traceQueryOf(`${TRACES}?workspace_id=w&cursor=${cursor}`, now)), /filter cursor/);
  assert.match(refusalOf(() => usageQueryOf(`${asked}&offset=1&cursor=${cursor}`, now)), /filter offset beside cursor/);
});

Deno.test("a cursor that was changed in any place is refused", () => {
  const asked = `${USAGE}?group_by=trace`;
  const cursor = usageQueryOf(asked, now).cursorOf(["17", "w", "at-1"]);
  for (let at = 0; at < cursor.length; at++) {
    const changed = cursor.slice(0, at) + (cursor[at] === "A" ? "B" : "A") + cursor.slice(at + 1);
    for (const broken of [changed, cursor.slice(0, at), `${cursor.slice(0, at)}=${cursor.slice(at)}`]) {
      assert.match(refusalOf(() => usageQueryOf(`${asked}&cursor=${broken}`, now)), /^Cannot read the filter cursor/, broken);
    }
  }
});

Deno.test("/internal/usage is read to its end by nextCursor while calls go on, and none of those is counted on the way", async () => {
  await using admin = await seeded();
  const groups = await pagesOf(admin, "/internal/usage?group_by=trace,agent,client&order=cost&limit=2", "usage");
  assert.deepEqual(groups.map(({ traceId }) => traceId), ["at-4", "at-3", "at-2", "at-1", "at-0"]);
  assert.deepEqual(groups.slice(0, 2), [
    { workspaceId: "ws-1", traceId: "at-4", ...totals("0.000000104") },
    { workspaceId: "ws-1", traceId: "at-3", agentId: "agent-3", client: "opencode", ...totals("0.000000103") },
  ]);
});

Deno.test("/internal/traces is read to its end by nextCursor while calls go on, each trace once", async () => {
  await using admin = await seeded();
  const traces = await pagesOf(admin, "/internal/traces?order=created.asc&limit=2", "traces");
  assert.deepEqual(traces.map(({ id }) => id), ["at-0", "at-1", "at-2", "at-3", "at-4", "at-52", "at-54"]);
});

Deno.test("/internal/usage by day and hour names both as UTC has them, and the time up to which it counts", async () => {
  await using admin = await seeded();
  const { json } = await admin.ask("/internal/usage?group_by=day,hour&order=time.asc&until=2026-01-31T11:00:00.003Z");
  assert.deepEqual([json.usage[0].day, json.usage[0].hour, json.usage.length], ["2026-01-31", "2026-01-31T11:00:00.000Z", 1]);
  assert.deepEqual([json.usage[0].requestCount, json.totals.requestCount], [3, 3]);
  assert.equal(json.until, "2026-01-31T11:00:00.003Z");
});

Deno.test("/internal/usage says 400 and from when on it can answer where rows have been dropped", async () => {
  await using admin = await seeded();
  while (await admin.embedded.store.dropMonths(Date.UTC(2026, 1))) continue;
  for (const path of ["/internal/usage?group_by=agent", "/internal/usage?accuracy=exact", "/internal/traces?model=m"]) {
    const { status, json } = await admin.ask(path);
    assert.equal(status, 400, path);
    assert.match(json.error.message, /^Cannot answer this: rows from before 2026-02-01T00:00:00\.000Z .* as since$/);
    assert.equal((await admin.ask(`${path}&since=2026-02-01T00:00:00Z`)).status, 200);
  }
  assert.equal((await admin.ask("/internal/usage?group_by=model,hour")).json.totals.requestCount, 5);
});

/**
 * All pages of a list; between them a call is recorded each time, later than the first question.
 */
async function pagesOf(admin: AdminUnderTest, path: string, key: string): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  let next = "";
  do {
    const { status, json } = await admin.ask(path + next);
    assert.equal(status, 200);
    found.push(...json[key]);
    next = json.nextCursor === undefined ? "" : `&cursor=${json.nextCursor}`;
    admin.deps.now += 1_000;
    if (found.length < 5) await record(admin, { n: 50 + found.length, createdAt: admin.deps.now });
  } while (next !== "");
  return found;
}

/** Five traces of a call each, of which every second names an agent and a client. */
async function seeded(): Promise<AdminUnderTest> {
  const admin = await openAdmin();
  for (let n = 0; n < 5; n++) await record(admin, { n, createdAt: Date.UTC(2026, 0, 31, 11) + n });
  return admin;
}

async function record(
  admin: AdminUnderTest,
  { n, createdAt }: { readonly n: number; readonly createdAt: number },
): Promise<void> {
  const named = n % 2 === 1 ? { agentId: `agent-${n}`, client: "opencode" } : {};
  const row = usageRow({ id: `ar-${createdAt}`, traceId: `at-${n}`, createdAt, ...named });
  await admin.embedded.store.recordUsage([{ ...row, closing: { ...row.closing, cost: 100 + n } }]);
}

function totals(costUsd: string) {
  return {
    inputTokens: 10,
    outputTokens: 20,
    cacheCreationInputTokens: 0,
    cacheReadInputTokens: 0,
    requestCount: 1,
    costUsd,
    estimatedCostUsd: "0.000000000",
    estimatedCount: 0,
    unknownCount: 0,
    unpricedCount: 0,
    partlyPricedCount: 0,
    retryCount: 0,
    retriedCostUsd: "0.000000000",
    failedCount: 0,
    timedCount: 1,
    ttftSumMs: 400,
  };
}

function refusalOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof AdminRefusal, String(error));
    assert.equal(error.type, "invalid_request_error");
    return error.message;
  }
  return assert.fail("it was read");
}
