import assert from "node:assert/strict";
import { type AdminUnderTest, openAdmin } from "../../tests/admin_under_test.ts";

const PATH = "/internal/suspensions";
const SANDBOX = { workspaceId: "ws-1", sandboxId: "sb-1", tokenId: null };

Deno.test("/internal/suspensions suspends a workspace or a sandbox, lists both and resumes each by itself", async () => {
  await using admin = await openAdmin();
  const workspace = await put(admin, "/ws-1", { reason: "why" });
  assert.deepEqual([workspace.status, workspace.json], [200, { workspaceId: "ws-1", createdAt: NOON, reason: "why" }]);
  const sandbox = await put(admin, "/ws-1/sandboxes/sb-1");
  assert.deepEqual([sandbox.status, sandbox.json], [200, { workspaceId: "ws-1", sandboxId: "sb-1", createdAt: NOON }]);
  await put(admin, "/ws-2", {});
  assert.deepEqual((await admin.ask(`${PATH}?workspace_id=ws-1`)).json, { suspensions: [workspace.json, sandbox.json] });
  assert.equal((await admin.ask(PATH)).json.suspensions.length, 3);
  assert.deepEqual((await drop(admin, "/ws-1")).json, workspace.json);
  assert.equal(admin.stops.isSuspended(SANDBOX), true);
  assert.deepEqual((await drop(admin, "/ws-1/sandboxes/sb-1")).json, sandbox.json);
  assert.equal(admin.stops.isSuspended(SANDBOX), false);
  const missing = await drop(admin, "/ws-1/sandboxes/sb-1");
  assert.deepEqual([missing.status, missing.json.error.message], [
    404,
    'The sandbox "sb-1" of the workspace "ws-1" is not suspended',
  ]);
});

Deno.test("/internal/suspensions keeps the first time, and takes ids that a path must escape", async () => {
  await using admin = await openAdmin();
  const odd = encodeURIComponent("team/ä ?#");
  await put(admin, `/${odd}`, { reason: "one" });
  admin.deps.now += 60_000;
  assert.deepEqual((await put(admin, `/${odd}`, { reason: "two" })).json, {
    workspaceId: "team/ä ?#",
    createdAt: NOON,
    reason: "two",
  });
  assert.equal(admin.stops.isSuspended({ ...SANDBOX, workspaceId: "team/ä ?#" }), true);
});

const BAD: readonly (readonly [path: string, body: unknown, says: RegExp])[] = [
  ["/ws-1", { reason: "" }, /reason/],
  ["/ws-1", { reason: "x".repeat(501) }, /1 to 500/],
  ["/ws-1", { reason: "two\nlines" }, /control/],
  ["/ws-1", { reason: 7 }, /reason/],
  ["/ws-1", { until: "tomorrow" }, /"until"/],
  ["/ws-1", ["reason"], /JSON object/],
  ["/ws-1", null, /JSON object/],
  ["/ws-1?reason=x", {}, /reason/],
  [`/${"x".repeat(257)}`, {}, /workspace in the path/],
  ["/ws-1/sandboxes/%01", {}, /sandbox in the path/],
  ["/%7f", {}, /workspace in the path/],
];
for (const [path, body, says] of BAD) {
  Deno.test(`/internal/suspensions answers 400 to ${JSON.stringify(body).slice(0, 30)} at ${path.slice(0, 20)}, and suspends nothing`, async () => {
    await using admin = await openAdmin();
    const { status, json } = await put(admin, path, body);
    assert.equal(status, 400);
    assert.match(json.error.message, says);
    assert.deepEqual((await admin.ask(PATH)).json, { suspensions: [] });
  });
}

Deno.test("/internal/requests lists nothing while nothing runs, and answers 400 or 404 to what it cannot find", async () => {
  await using admin = await openAdmin();
  assert.deepEqual((await admin.ask("/internal/requests")).json, { requests: [] });
  for (const query of ["trace_id=", "trace_id=a&trace_id=b", "model=x"]) {
    assert.equal((await admin.ask(`/internal/requests?${query}`)).status, 400, query);
  }
  for (const id of ["ar-1", "%00", "x".repeat(5_000)]) {
    assert.equal((await admin.ask(`/internal/requests/${id}`, { method: "DELETE" })).status, 404, id);
  }
  assert.equal((await admin.ask("/internal/requests/ar-1")).status, 405);
});

const NOON = "2026-01-31T12:00:00.000Z";

function put(admin: AdminUnderTest, path: string, body?: unknown) {
  return admin.ask(PATH + path, { method: "PUT", ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
}

function drop(admin: AdminUnderTest, path: string) {
  return admin.ask(PATH + path, { method: "DELETE" });
}
