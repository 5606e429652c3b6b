import assert from "node:assert/strict";
import { type AdminUnderTest, openAdmin, usageRow } from "../../tests/admin_under_test.ts";

const PATH = "/internal/quotas";
const MIDNIGHT = "2026-02-01T00:00:00.000Z";
const NOON = "2026-01-31T12:00:00.000Z";

Deno.test("/internal/quotas/:workspace_id answers in the Go package's shape, and with all limits", async () => {
  await using admin = await openAdmin();
  assert.equal(
    (await admin.ask(`${PATH}/ws-1`)).text,
    '{"default_max_rpd":0,"today_request_count":0,"workspace_quota":null,"limits":[]}',
  );
  const { status, json } = await put(admin, "/ws-1", { max_rpd: 500, max_cost_per_day_usd: "12.50" });
  assert.equal(status, 200);
  assert.deepEqual(json, {
    default_max_rpd: 0,
    today_request_count: 0,
    workspace_quota: { workspace_id: "ws-1", max_rpd: 500, updated_at: NOON },
    limits: [
      { kind: "rpd", max: 500, used: 0, source: "workspace", resets_at: MIDNIGHT },
      { kind: "cost_per_day", max: "12.500000000", used: "0.000000000", source: "workspace", resets_at: MIDNIGHT },
    ],
  });
  assert.deepEqual((await admin.ask(`${PATH}/ws-1`)).json, json);
});

Deno.test("/internal/quotas/:workspace_id counts what was used, of that workspace, today", async () => {
  await using admin = await openAdmin();
  await admin.embedded.store.recordUsage([
    usageRow({ id: "ar-1" }),
    usageRow({ id: "ar-2", sandboxId: "sb-2" }),
    usageRow({ id: "ar-3", createdAt: Date.UTC(2026, 0, 30, 23, 59) }),
    usageRow({ id: "ar-4", workspaceId: "ws-2" }),
  ]);
  const all = { max_rpd: 5, max_tokens_per_day: 100, max_cost_per_day_usd: "1", max_cost_per_month_usd: "2", max_concurrent: 3 };
  const { json } = await put(admin, "/ws-1", all);
  assert.equal(json.today_request_count, 2);
  assert.deepEqual(json.limits, [
    { kind: "rpd", max: 5, used: 2, source: "workspace", resets_at: MIDNIGHT },
    { kind: "tokens_per_day", max: 100, used: 60, source: "workspace", resets_at: MIDNIGHT },
    { kind: "cost_per_day", max: "1.000000000", used: "0.024691356", source: "workspace", resets_at: MIDNIGHT },
    { kind: "cost_per_month", max: "2.000000000", used: "0.037037034", source: "workspace", resets_at: MIDNIGHT },
    { kind: "concurrent", max: 3, used: 0, source: "workspace" },
  ]);
});

Deno.test("/internal/quotas: null removes a limit, 0 is no limit, and a key that is missing keeps what it was", async () => {
  await using admin = await openAdmin();
  await put(admin, "", { max_rpd: 1_000, max_concurrent: 4 });
  await put(admin, "/ws-1", { max_rpd: 10, max_tokens_per_day: 20 });
  const kept = await put(admin, "/ws-1", { max_rpd: 0 });
  assert.deepEqual(kindsOf(kept.json), ["tokens_per_day 20 workspace", "concurrent 4 default"]);
  assert.deepEqual([kept.json.default_max_rpd, kept.json.workspace_quota.max_rpd], [1_000, 0]);
  const removed = await put(admin, "/ws-1", { max_rpd: null, max_tokens_per_day: null });
  assert.deepEqual(kindsOf(removed.json), ["rpd 1000 default", "concurrent 4 default"]);
  assert.equal(removed.json.workspace_quota, null);
});

Deno.test("/internal/quotas sets the defaults, and DELETE removes all limits of one place only", async () => {
  await using admin = await openAdmin();
  assert.deepEqual((await admin.ask(PATH)).json, { limits: [] });
  assert.deepEqual((await put(admin, "", { max_cost_per_month_usd: "100" })).json, {
    limits: [{ kind: "cost_per_month", max: "100.000000000", source: "default" }],
  });
  await put(admin, "/ws-1", { max_rpd: 5, max_concurrent: 6 });
  const { status, text } = await admin.ask(`${PATH}/ws-1`, { method: "DELETE" });
  assert.deepEqual([status, text], [204, ""]);
  assert.deepEqual(kindsOf((await admin.ask(`${PATH}/ws-1`)).json), ["cost_per_month 100.000000000 default"]);
  assert.equal((await admin.ask(`${PATH}/ws-1`, { method: "DELETE" })).status, 204);
  await admin.ask(PATH, { method: "DELETE" });
  assert.deepEqual((await admin.ask(PATH)).json, { limits: [] });
});

for (const place of ["sandboxes", "traces"]) {
  Deno.test(`/internal/quotas/:workspace_id/${place}/:id holds limits of its own`, async () => {
    await using admin = await openAdmin();
    const id = encodeURIComponent("a/b ü%");
    await put(admin, "", { max_rpd: 1_000 });
    const { status, json } = await put(admin, `/ws-1/${place}/${id}`, { max_rpd: 3, max_cost_per_month_usd: "0.5" });
    assert.equal(status, 200);
    const source = place === "sandboxes" ? "sandbox" : "trace";
    assert.deepEqual(json, {
      limits: [
        { kind: "rpd", max: 3, used: 0, source, resets_at: MIDNIGHT },
        { kind: "cost_per_month", max: "0.500000000", used: "0.000000000", source, resets_at: MIDNIGHT },
      ],
    });
    assert.deepEqual((await admin.ask(`${PATH}/ws-1/${place}/another`)).json, { limits: [] });
    assert.deepEqual((await admin.ask(`${PATH}/ws-2/${place}/${id}`)).json, { limits: [] });
    assert.equal((await admin.ask(`${PATH}/ws-1/${place}/${id}`, { method: "DELETE" })).status, 204);
    assert.deepEqual((await admin.ask(`${PATH}/ws-1/${place}/${id}`)).json, { limits: [] });
  });
}

Deno.test("/internal/quotas refuses what it cannot read, names it, and changes nothing", async () => {
  await using admin = await openAdmin();
  const wrong: readonly (readonly [body: string, says: RegExp])[] = [
    ["", /^Cannot read the body/],
    ["{", /^Cannot read the body/],
    ["null", /^Cannot read the body as a JSON object/],
    ["[]", /^Cannot read the body as a JSON object/],
    ["{}", /^Cannot read a limit in the body: it takes one or more of max_rpd, /],
    ['{"max_rpm":1}', /^Cannot read "max_rpm" in the body: it takes one or more of max_rpd, max_tokens_per_day, /],
    ['{"max_rpd":1,"workspace_id":"x"}', /^Cannot read "workspace_id" in the body/],
    ...["-1", "1.5", '"1"', "true", "1e300", "9007199254740992", "[1]"].map((value) =>
      [`{"max_rpd":${value}}`, /^Cannot read max_rpd as a whole number from 0, or null: current value is "/] as const
    ),
    ...["5", '"-1"', '"1e3"', '"$5"', '"NaN"', '""', '"9000000.01"', '"0.0000000001"', "true", "{}"].map((value) =>
      [`{"max_cost_per_day_usd":${value}}`, /^Cannot read max_cost_per_day_usd as dollars in a text, such as "12.50"/] as const
    ),
  ];
  for (const [body, says] of wrong) {
    const { status, json } = await admin.ask(`${PATH}/ws-1`, { method: "PUT", body });
    assert.deepEqual([status, json?.error.type], [400, "invalid_request_error"], body);
    assert.match(json.error.message, says, body);
  }
  assert.deepEqual(await admin.embedded.shipping.listLimits(), []);
  assert.equal((await put(admin, "/ws-1", { max_rpd: 1, junk: "x".repeat(20_000) })).status, 413);
  for (const path of ["/ws-1?a=b", "?workspace_id=ws-1"]) assert.equal((await admin.ask(PATH + path)).status, 400, path);
  assert.equal((await admin.ask(`${PATH}/a%00b`)).status, 404);
  assert.equal((await admin.ask(`${PATH}/ws-1`, { method: "POST", body: "{}" })).status, 405);
  assert.equal((await admin.askBare(`${PATH}/ws-1`)).status, 401);
});

Deno.test("/internal/quotas takes the largest amounts and returns them exactly", async () => {
  await using admin = await openAdmin();
  const { json } = await put(admin, "/ws-1", {
    max_tokens_per_day: Number.MAX_SAFE_INTEGER,
    max_cost_per_day_usd: "9000000",
    max_cost_per_month_usd: "0.000000001",
  });
  assert.deepEqual(kindsOf(json), [
    "tokens_per_day 9007199254740991 workspace",
    "cost_per_day 9000000.000000000 workspace",
    "cost_per_month 0.000000001 workspace",
  ]);
});

function put(admin: AdminUnderTest, path: string, body: unknown) {
  return admin.ask(PATH + path, {
    method: "PUT",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  });
}

function kindsOf({ limits }: { readonly limits: readonly Readonly<Record<string, unknown>>[] }): readonly string[] {
  return limits.map(({ kind, max, source }) => `${kind} ${max} ${source}`);
}
