import assert from "node:assert/strict";
import { ADMIN_TOKEN, type AdminUnderTest, openAdmin } from "../../tests/admin_under_test.ts";

const PATH = "/internal/audit";

function make(admin: AdminUnderTest, workspaceId: string, headers: Readonly<Record<string, string>> = {}) {
  const body = JSON.stringify({ workspaceId, sandboxId: "sb-1" });
  return admin.ask("/internal/tokens", { method: "POST", body, headers });
}

Deno.test("/internal/audit names the user that the client claims, and none if it claims none", async () => {
  await using admin = await openAdmin();
  await make(admin, "ws-1");
  await make(admin, "ws-1", { "x-llmproxy-actor": "alice@example.com" });
  const { audit } = (await admin.ask(PATH)).json;
  assert.deepEqual(audit.map(({ who, claimed, address }: Record<string, string>) => [who, claimed, address]), [
    ["admin", "alice@example.com", undefined],
    ["admin", undefined, undefined],
  ]);
});

Deno.test("/internal/audit tells who set and removed limits, and what they were", async () => {
  await using admin = await openAdmin();
  const headers = { "x-llmproxy-actor": "alice" };
  const body = JSON.stringify({ max_rpd: 5, max_cost_per_day_usd: "1.5" });
  assert.equal((await admin.ask("/internal/quotas/w1/sandboxes/s1", { method: "PUT", body, headers })).status, 200);
  assert.equal((await admin.ask("/internal/quotas/w1/sandboxes/s1", { method: "DELETE" })).status, 204);
  const { audit } = (await admin.ask(`${PATH}?workspace_id=w1`)).json;
  const limits = { rpd: 5, cost_per_day: "1.500000000" };
  const same = { at: "2026-01-31T12:00:00.000Z", who: "admin", target: "sandbox s1", workspaceId: "w1" };
  assert.deepEqual(audit.map(({ id: _, ...entry }: Record<string, unknown>) => entry), [
    { ...same, action: "limit.clear", before: limits },
    { ...same, claimed: "alice", action: "limit.set", after: limits },
  ]);
});

Deno.test("a quota of an id that cannot be stored is a 400 that shows it", async () => {
  await using admin = await openAdmin();
  for (const id of ["x".repeat(257), "%0a", "%7f"]) {
    for (const path of [id, `${id}/sandboxes/s1`, `w1/traces/${id}`]) {
      const body = JSON.stringify({ max_rpd: 5 });
      const { status, json } = await admin.ask(`/internal/quotas/${path}`, { method: "PUT", body });
      assert.equal(status, 400, path);
      assert.match(json.error.message, /^Cannot read the path: ".*is not an id of 1 to 256 characters/);
    }
  }
  assert.deepEqual((await admin.ask(PATH)).json, { audit: [] });
});

Deno.test("a change whose user cannot be recorded is a 400, and is not made", async () => {
  await using admin = await openAdmin();
  for (const name of ["a b", "", "x".repeat(129), "é", ADMIN_TOKEN, `x${ADMIN_TOKEN}`]) {
    const { status, text, json } = await make(admin, "ws-1", { "x-llmproxy-actor": name });
    assert.equal(status, 400, name);
    assert.match(json.error.message, /^Cannot (read|record) the header x-llmproxy-actor/);
    assert.ok(!text.includes(ADMIN_TOKEN));
  }
  assert.deepEqual((await admin.ask("/internal/tokens")).json, { tokens: [] });
  assert.deepEqual((await admin.ask(PATH)).json, { audit: [] });
});

Deno.test("/internal/audit narrows, and pages by cursor to its end", async () => {
  await using admin = await openAdmin();
  const ids: string[] = [];
  for (let n = 0; n < 7; n++) {
    ids.unshift((await make(admin, `ws-${n % 2}`)).json.id);
    admin.deps.now += 1_000;
  }
  await admin.ask(`/internal/tokens/${ids[0]}`, { method: "DELETE" });
  assert.deepEqual(await targets(admin, "limit=3"), [ids[0], ...ids]);
  assert.deepEqual(await targets(admin, "limit=2&action=token.create&workspace_id=ws-1"), [ids[1], ids[3], ids[5]]);
  assert.deepEqual(await targets(admin, "since=2026-01-31T12:00:02Z&until=2026-01-31T12:00:04Z"), [ids[3], ids[4]]);
});

Deno.test("/internal/audit refuses filters that it cannot read, and a cursor of another question", async () => {
  await using admin = await openAdmin();
  for (const name of ["ws-1", "ws-1"]) await make(admin, name);
  const { nextCursor } = (await admin.ask(`${PATH}?limit=1`)).json;
  for (
    const [query, named] of [
      [
        "action=none",
        "action as one of token.create, token.revoke, limit.set, limit.clear, suspension.begin, suspension.end, request.cut, prices.read, prices.reprice",
      ],
      ["offset=1", '"offset"'],
      ["limit=0", "limit"],
      ["cursor=x", "cursor"],
      [`workspace_id=ws-1&cursor=${nextCursor}`, "cursor"],
    ] as const
  ) {
    const { status, json } = await admin.ask(`${PATH}?${query}`);
    assert.equal(status, 400, query);
    assert.ok(json.error.message.includes(named), json.error.message);
  }
});

Deno.test("/internal/audit has no method that changes or deletes an entry", async () => {
  await using admin = await openAdmin();
  await make(admin, "ws-1");
  const before = (await admin.ask(PATH)).text;
  const { audit: [entry] } = JSON.parse(before);
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    assert.equal((await admin.ask(PATH, { method })).status, 405);
    assert.equal((await admin.ask(`${PATH}/${entry.id}`, { method })).status, 404);
  }
  assert.equal((await admin.ask(PATH)).text, before);
});

async function targets(admin: AdminUnderTest, query: string): Promise<readonly string[]> {
  const found: string[] = [];
  let cursor = "";
  for (;;) {
    const { json } = await admin.ask(`${PATH}?${query}${cursor}`);
    found.push(...json.audit.map(({ target }: { target: string }) => target));
    if (json.nextCursor === undefined) return found;
    cursor = `&cursor=${json.nextCursor}`;
  }
}
