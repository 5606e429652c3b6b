import assert from "node:assert/strict";
import { type AdminUnderTest, openAdmin, usageRow } from "../../tests/admin_under_test.ts";

const LISTS = ["/internal/usage", "/internal/traces", "/internal/refusals"];
const SQL = ["' OR 1=1 --", "'; DROP TABLE usage; --", '" OR ""="', "x') UNION SELECT * FROM tokens --", "%", "_", "\\'", "?1"];

Deno.test("/internal/usage answers totals by provider and model, and the time from which they count", async () => {
  await using admin = await seeded();
  const { status, json } = await admin.ask("/internal/usage?workspace_id=ws-1&since=2026-01-01T01:00:00%2B01:00");
  assert.equal(status, 200);
  assert.deepEqual(json, {
    usage: [{
      provider: "anthropic",
      model: "claude-x-1",
      inputTokens: 20,
      outputTokens: 40,
      cacheCreationInputTokens: 3,
      cacheReadInputTokens: 4,
      requestCount: 2,
      costUsd: "0.024691356",
      estimatedCostUsd: "0.000000000",
      estimatedCount: 0,
      unknownCount: 0,
      unpricedCount: 0,
      partlyPricedCount: 0,
      retryCount: 0,
      retriedCostUsd: "0.000000000",
      failedCount: 0,
      timedCount: 2,
      ttftSumMs: 800,
    }],
    totals: {
      inputTokens: 20,
      outputTokens: 40,
      cacheCreationInputTokens: 3,
      cacheReadInputTokens: 4,
      requestCount: 2,
      costUsd: "0.024691356",
      estimatedCostUsd: "0.000000000",
      estimatedCount: 0,
      unknownCount: 0,
      unpricedCount: 0,
      partlyPricedCount: 0,
      retryCount: 0,
      retriedCostUsd: "0.000000000",
      failedCount: 0,
      timedCount: 2,
      ttftSumMs: 800,
    },
    since: "2026-01-01T00:00:00.000Z",
  });
  assert.deepEqual(Object.keys((await admin.ask("/internal/usage")).json), ["usage", "totals"]);
});

Deno.test("/internal/traces answers traces with their totals, newest activity first, and how many there are", async () => {
  await using admin = await seeded();
  const { json } = await admin.ask("/internal/traces");
  assert.equal(json.total, 3);
  assert.deepEqual(json.traces[0], {
    id: "at-1",
    sandboxId: "sb-3",
    workspaceId: "ws-2",
    source: "header",
    createdAt: "2026-01-31T10:00:00.000Z",
    updatedAt: "2026-01-31T11:00:03.000Z",
    requestCount: 1,
    totalInputTokens: 10,
    totalOutputTokens: 20,
    totalCacheCreationInputTokens: 0,
    totalCacheReadInputTokens: 0,
    costUsd: "0.012345678",
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
  });
  const page = (await admin.ask("/internal/traces?limit=1&offset=1")).json;
  assert.deepEqual([page.total, page.traces.length, page.traces[0].id], [3, 1, "at-2"]);
  const own = (await admin.ask("/internal/traces?workspace_id=ws-1&sandbox_id=sb-1")).json;
  assert.deepEqual([own.total, own.traces[0].id], [1, "at-1"]);
});

Deno.test("/internal/traces/:id answers the trace and its requests, and leaves out what is empty", async () => {
  await using admin = await seeded();
  const { status, json } = await admin.ask("/internal/traces/at-2");
  assert.equal(status, 200);
  assert.deepEqual(Object.keys(json), ["trace", "requests", "agents", "cache"]);
  assert.deepEqual({ trace: json.trace, requests: json.requests }, {
    trace: {
      id: "at-2",
      sandboxId: "sb-2",
      workspaceId: "ws-1",
      source: "header",
      createdAt: "2026-01-31T10:00:00.000Z",
      updatedAt: "2026-01-31T11:00:02.000Z",
    },
    requests: [{
      id: "ar-2",
      traceId: "at-2",
      sandboxId: "sb-2",
      workspaceId: "ws-1",
      provider: "anthropic",
      model: "claude-x-1",
      messageId: "msg_2",
      inputTokens: 10,
      outputTokens: 20,
      cacheCreationInputTokens: 3,
      cacheReadInputTokens: 4,
      streaming: true,
      duration: 1500,
      ttft: 400,
      createdAt: "2026-01-31T11:00:00.000Z",
      outcome: "completed",
      accuracy: "exact",
      status: 200,
      stopReason: "end_turn",
      requestedModel: "claude-x",
      cacheCreation5mInputTokens: 1,
      cacheCreation1hInputTokens: 2,
      thinkingTokens: 5,
      serverToolUse: { web_search_requests: 1 },
      iterations: [{ type: "message", input_tokens: 1 }],
      agentId: "agent-2",
      costUsd: "0.012345678",
      priceVersion: "2026-11-24",
    }],
  });
  const [bare] = (await admin.ask("/internal/traces/at-1?workspace_id=ws-1")).json.requests;
  for (const name of ["messageId", "stopReason", "serverToolUse", "iterations", "agentId", "errorType", "client"]) {
    assert.ok(!(name in bare), name);
  }
});

Deno.test("/internal/traces/:id answers 409 if the id is in several workspaces, until one is named", async () => {
  await using admin = await seeded();
  const { status, json } = await admin.ask("/internal/traces/at-1");
  assert.equal(status, 409);
  assert.equal(json.error.type, "conflict_error");
  assert.match(json.error.message, /in 2 workspaces: add workspace_id, one of "ws-[12]", "ws-[12]"$/);
  for (const workspace of ["ws-1", "ws-2"]) {
    assert.equal((await admin.ask(`/internal/traces/at-1?workspace_id=${workspace}`)).json.trace.workspaceId, workspace);
  }
});

Deno.test("/internal/traces/:id answers 404 if there is no such trace, or not in that workspace", async () => {
  await using admin = await seeded();
  for (const path of ["at-9", "at-2?workspace_id=ws-2", "%00", "%ff", "%zz", "x".repeat(5_000), encodeURIComponent(SQL[0]!)]) {
    const { status, json } = await admin.ask(`/internal/traces/${path}`);
    assert.equal(status, 404, path);
    assert.equal(json.error.type, "not_found_error");
    assert.ok(json.error.message.length < 200);
  }
});

Deno.test("/internal/traces/:id answers 404 to an id with a NUL, before the database sees it", async () => {
  await using admin = await seeded();
  const { status, json } = await admin.ask("/internal/traces/at-%00");
  assert.deepEqual([status, json.error.type, json.error.message], [
    404,
    "not_found_error",
    'There is nothing of the id "at-\\u0000"',
  ]);
});

Deno.test("/internal/traces/:id finds ids of every visible ASCII character", async () => {
  await using admin = await seeded();
  const id = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).join("");
  const at = admin.deps.now;
  await admin.embedded.store.getOrCreateTrace({
    id,
    workspaceId: "ws-1",
    sandboxId: "sb-1",
    source: "header",
    createdAt: at,
    updatedAt: at,
  });
  assert.equal((await admin.ask(`/internal/traces/${encodeURIComponent(id)}`)).json.trace.id, id);
});

Deno.test("/internal/refusals answers the counters, newest first, without unknown ids", async () => {
  await using admin = await seeded();
  const { json } = await admin.ask("/internal/refusals");
  assert.deepEqual(json.refusals, [
    { fault: "unauthenticated", minute: "2026-01-31T11:01:00.000Z", count: 7 },
    { workspaceId: "ws-1", sandboxId: "sb-1", fault: "draining", minute: "2026-01-31T11:00:00.000Z", count: 2 },
  ]);
  assert.equal((await admin.ask("/internal/refusals?sandbox_id=sb-1")).json.refusals.length, 1);
});

Deno.test("the internal API refuses every filter that it cannot read with a 400 that names it, on every list", async () => {
  await using admin = await openAdmin();
  for (const path of LISTS) {
    for (
      const query of [
        "since=today",
        "limit=0",
        "limit=x",
        "offset=-1",
        "workspace_id=",
        "sandbox_id=%00",
        "until=today",
        "user=1",
      ]
    ) {
      const { status, json } = await admin.ask(`${path}?${query}`);
      assert.equal(status, 400, `${path}?${query}`);
      assert.equal(json.error.type, "invalid_request_error");
      assert.ok(json.error.message.includes(query.split("=")[0]!), json.error.message);
    }
  }
  for (const query of ["limit=1", "offset=0", "since=2026-01-01T00:00:00Z", "sandbox_id=sb-1", "workspace_id="]) {
    assert.equal((await admin.ask(`/internal/traces/at-1?${query}`)).status, 400, query);
  }
});

Deno.test("the internal API finds nothing by SQL in a filter, and loses nothing", async () => {
  await using admin = await seeded();
  for (const sql of SQL) {
    const value = encodeURIComponent(sql);
    for (const name of ["workspace_id", "sandbox_id"]) {
      assert.deepEqual((await admin.ask(`/internal/usage?${name}=${value}`)).json.usage, []);
      assert.deepEqual((await admin.ask(`/internal/traces?${name}=${value}`)).json.total, 0);
      assert.deepEqual((await admin.ask(`/internal/refusals?${name}=${value}`)).json, { refusals: [] });
    }
    assert.equal((await admin.ask(`/internal/traces/at-1?workspace_id=${value}`)).status, 404);
    assert.equal((await admin.ask(`/internal/traces/${value}`)).status, 404);
    for (const name of ["since", "limit", "offset"]) {
      assert.equal((await admin.ask(`/internal/traces?${name}=${value}`)).status, 400);
    }
  }
  assert.equal((await admin.ask("/internal/traces")).json.total, 3);
});

/** Two traces in ws-1 and one of an equal id in ws-2, a call each, and refusals. */
async function seeded(): Promise<AdminUnderTest> {
  const admin = await openAdmin();
  const { store, ledger } = admin.embedded;
  const owners = [["at-1", "ws-1", "sb-1"], ["at-2", "ws-1", "sb-2"], ["at-1", "ws-2", "sb-3"]] as const;
  const createdAt = Date.UTC(2026, 0, 31, 10);
  for (const [index, [id, workspaceId, sandboxId]] of owners.entries()) {
    const updatedAt = Date.UTC(2026, 0, 31, 11, 0, index + 1);
    await store.getOrCreateTrace({ id, workspaceId, sandboxId, source: "header", createdAt, updatedAt });
  }
  await store.recordUsage([
    usageRow({ id: "ar-1", traceId: "at-1", workspaceId: "ws-1", sandboxId: "sb-1" }),
    usageRow({ id: "ar-2", traceId: "at-2", workspaceId: "ws-1", sandboxId: "sb-2", agentId: "agent-2" }, {
      messageId: "msg_2",
      stopReason: "end_turn",
      cacheCreationInputTokens: 3,
      cacheReadInputTokens: 4,
      cacheCreation5mTokens: 1,
      cacheCreation1hTokens: 2,
      thinkingTokens: 5,
      serverToolUse: { web_search_requests: 1 },
      iterations: [{ type: "message", input_tokens: 1 }],
    }),
    usageRow({ id: "ar-3", traceId: "at-1", workspaceId: "ws-2", sandboxId: "sb-3" }),
  ]);
  await ledger.countRefusals([
    { workspaceId: "ws-1", sandboxId: "sb-1", fault: "draining", minute: Date.UTC(2026, 0, 31, 11), instanceId: "i-1", count: 2 },
    {
      workspaceId: "",
      sandboxId: "",
      fault: "unauthenticated",
      minute: Date.UTC(2026, 0, 31, 11, 1),
      instanceId: "i-1",
      count: 7,
    },
  ]);
  return admin;
}
