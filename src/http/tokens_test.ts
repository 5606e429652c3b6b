import assert from "node:assert/strict";
import { type AdminUnderTest, openAdmin } from "../../tests/admin_under_test.ts";

const PATH = "/internal/tokens";
const NEW_TOKEN = { workspaceId: "ws-1", sandboxId: "sb-1" };
const HOUR_MS = 3_600_000;

Deno.test("/internal/tokens makes a token that works at once, and shows it only then", async () => {
  await using admin = await openAdmin();
  const { status, headers, json } = await post(admin, { ...NEW_TOKEN, expiresAt: "2026-01-31T14:00:00+01:00" });
  assert.equal(status, 201);
  assert.equal(headers.get("cache-control"), "no-store");
  assert.match(json.token, /^llmp_[\w-]{43}$/);
  const record = { id: json.id, ...NEW_TOKEN, createdAt: "2026-01-31T12:00:00.000Z", expiresAt: "2026-01-31T13:00:00.000Z" };
  assert.deepEqual(json, { token: json.token, ...record });
  assert.deepEqual(await admin.sandboxOf(json.token), { ...NEW_TOKEN, tokenId: json.id });
  const listed = await admin.ask(PATH);
  assert.deepEqual(listed.json, { tokens: [record] });
  assert.ok(!listed.text.includes(json.token));
  admin.deps.now += HOUR_MS;
  await assert.rejects(admin.sandboxOf(json.token), { code: "unauthenticated" });
});

Deno.test("/internal/tokens makes tokens that never expire if expiresAt is missing or null", async () => {
  await using admin = await openAdmin();
  for (const wanted of [NEW_TOKEN, { ...NEW_TOKEN, expiresAt: null }]) {
    const { status, json } = await post(admin, wanted);
    assert.equal(status, 201);
    assert.ok(!("expiresAt" in json));
  }
});

Deno.test("/internal/tokens lists the tokens of one workspace, or of all", async () => {
  await using admin = await openAdmin();
  for (const workspaceId of ["ws-1", "ws-2", "ws-2"]) await post(admin, { workspaceId, sandboxId: "sb" });
  assert.equal((await admin.ask(PATH)).json.tokens.length, 3);
  assert.equal((await admin.ask(`${PATH}?workspace_id=ws-2`)).json.tokens.length, 2);
  assert.deepEqual((await admin.ask(`${PATH}?workspace_id=${encodeURIComponent("' OR 1=1 --")}`)).json, { tokens: [] });
  for (const query of ["workspace_id=", "sandbox_id=sb", "limit=1", "workspace_id=a&workspace_id=b"]) {
    assert.equal((await admin.ask(`${PATH}?${query}`)).status, 400, query);
  }
});

Deno.test("/internal/tokens/:id revokes a token at once, and twice keeps the first time", async () => {
  await using admin = await openAdmin();
  const { token, id } = (await post(admin, NEW_TOKEN)).json;
  await admin.sandboxOf(token);
  const { status, json } = await admin.ask(`${PATH}/${id}`, { method: "DELETE" });
  assert.equal(status, 200);
  assert.deepEqual([json.id, json.revokedAt, json.token], [id, "2026-01-31T12:00:00.000Z", undefined]);
  await assert.rejects(admin.sandboxOf(token), { code: "unauthenticated" });
  admin.deps.now += HOUR_MS;
  assert.equal((await admin.ask(`${PATH}/${id}`, { method: "DELETE" })).json.revokedAt, "2026-01-31T12:00:00.000Z");
});

Deno.test("/internal/tokens/:id answers 404 if there is no such token", async () => {
  await using admin = await openAdmin();
  await post(admin, NEW_TOKEN);
  for (const id of ["nobody", encodeURIComponent("' OR 1=1 --"), "%25", "x".repeat(5_000)]) {
    const { status, json } = await admin.ask(`${PATH}/${id}`, { method: "DELETE" });
    assert.deepEqual([status, json.error.type], [404, "not_found_error"], id);
  }
  assert.ok(!("revokedAt" in (await admin.ask(PATH)).json.tokens[0]));
});

Deno.test("/internal/tokens refuses each token that it cannot read with a 400 that names what is wrong", async () => {
  await using admin = await openAdmin();
  const cases: readonly (readonly [body: string, said: RegExp])[] = [
    ["", /^Cannot read the body as JSON$/],
    ["{", /^Cannot read the body as JSON$/],
    ['{"workspaceId":"\xff', /^Cannot read the body as JSON$/],
    ["null", /^Cannot read the body as a JSON object/],
    ["[]", /^Cannot read the body as a JSON object/],
    ['"x"', /^Cannot read the body as a JSON object/],
    ["{}", /^Cannot read workspaceId as an id .*: it is missing$/],
    ['{"workspaceId":"ws"}', /^Cannot read sandboxId as .*: it is missing$/],
    ['{"workspaceId":"","sandboxId":"s"}', /^Cannot read workspaceId as .*: current value is ""$/],
    ['{"workspaceId":7,"sandboxId":"s"}', /^Cannot read workspaceId as .*: current value is "7"$/],
    ['{"workspaceId":null,"sandboxId":"s"}', /^Cannot read workspaceId .*"null"$/],
    ['{"workspaceId":{"a":1},"sandboxId":"s"}', /^Cannot read workspaceId/],
    ['{"workspaceId":"a b","sandboxId":"s"}', /^Cannot read workspaceId .*"a b"$/],
    ['{"workspaceId":"a\\u0000","sandboxId":"s"}', /^Cannot read workspaceId .*"a\\u0000"$/],
    ['{"workspaceId":"ü","sandboxId":"s"}', /^Cannot read workspaceId/],
    [`{"workspaceId":"w","sandboxId":"${"s".repeat(129)}"}`, /^Cannot read sandboxId .*"s{100}"…$/],
    ['{"workspaceId":"w","sandboxId":"s","expires":"30d"}', /^Cannot read "expires" in the body: there is no such key$/],
    ['{"workspaceId":"w","sandboxId":"s","__proto__":1}', /^Cannot read "__proto__" in the body/],
    ['{"workspaceId":"w","sandboxId":"s","expiresAt":"tomorrow"}', /^Cannot read expiresAt as a time .*"tomorrow"$/],
    ['{"workspaceId":"w","sandboxId":"s","expiresAt":1769860800}', /^Cannot read expiresAt/],
    [
      '{"workspaceId":"w","sandboxId":"s","expiresAt":"2026-01-31T12:00:00Z"}',
      /^Cannot take expiresAt: it is not in the future$/,
    ],
  ];
  for (const [body, said] of cases) {
    const { status, json } = await admin.ask(PATH, { method: "POST", body });
    assert.equal(status, 400, body);
    assert.equal(json.error.type, "invalid_request_error");
    assert.match(json.error.message, said);
  }
  const invalidUtf8 = Uint8Array.of(0x22, 0xff, 0x22);
  assert.equal((await admin.ask(PATH, { method: "POST", body: invalidUtf8 })).status, 400);
  assert.equal((await admin.ask(`${PATH}?x=1`, { method: "POST", body: JSON.stringify(NEW_TOKEN) })).status, 400);
  assert.deepEqual((await admin.ask(PATH)).json, { tokens: [] });
});

Deno.test("/internal/tokens reads no more than 16 KB", async () => {
  await using admin = await openAdmin();
  const padded = (length: number) => JSON.stringify(NEW_TOKEN).padEnd(length);
  assert.equal((await admin.ask(PATH, { method: "POST", body: padded(16_384) })).status, 201);
  const { status, json } = await admin.ask(PATH, { method: "POST", body: padded(16_385) });
  assert.deepEqual([status, json.error.type], [413, "request_too_large"]);
  let pulled = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      controller.enqueue(new Uint8Array(1_024));
    },
  });
  assert.equal((await admin.ask(PATH, { method: "POST", body: endless })).status, 413);
  assert.ok(pulled < 20, `${pulled}`);
});

function post(admin: AdminUnderTest, wanted: unknown) {
  return admin.ask(PATH, { method: "POST", body: JSON.stringify(wanted) });
}
