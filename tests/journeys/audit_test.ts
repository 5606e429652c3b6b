import assert from "node:assert/strict";
import { run } from "../fake_system.ts";
import { callAndRead } from "../metered_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { waitFor } from "../wait.ts";

interface Entry {
  readonly id: string;
  readonly at: string;
  readonly action: string;
  readonly target: string;
  readonly before?: Readonly<Record<string, unknown>>;
  readonly after?: Readonly<Record<string, unknown>>;
}

Deno.test("the audit over SQLite tells who changed tokens and prices, what was before and what is now", async () => {
  await assertAudited({});
});

Deno.test("the audit over PostgreSQL tells who changed tokens and prices, what was before and what is now", async () => {
  await using server = await startPostgres();
  await assertAudited({ LLMPROXY_DATABASE_URL: server.url });
});

Deno.test("a change of prices is made and logged if its audit entry cannot be written", async () => {
  await using server = await startPostgres({ own: true });
  const file = await pricesFile("1");
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: server.url, LLMPROXY_PRICES_FILE: file } });
  await server.stop();
  await Deno.writeTextFile(file, pricesOf("3"));
  proxy.running.reload();
  await waitFor(() => proxy.logs.some((line) => line.includes("could not be recorded in the audit")), { what: "the log line" });
  assert.ok(proxy.logs.some((line) => line.includes("the prices were read again")));
  assert.ok(proxy.logs.some((line) => line.includes('"action":"prices.read"')));
  await Deno.remove(file);
});

async function assertAudited(env: Readonly<Record<string, string>>): Promise<void> {
  const file = await pricesFile("1");
  await using proxy = await startProxy({ env: { LLMPROXY_PRICES_FILE: file, ...env } });
  const token = await proxy.token("w1", "s1");
  await callAndRead(proxy.url, { token, text: "hello" });
  const created = await commanded(proxy, ["token", "create", "--workspace", "w2", "--sandbox", "s2"]);
  const { tokens: [{ id }] } = await proxy.ask("/internal/tokens?workspace_id=w2") as { tokens: [{ id: string }] };
  await commanded(proxy, ["token", "revoke", id]);
  await commanded(proxy, ["token", "revoke", id]);

  await Deno.writeTextFile(file, pricesOf("3"));
  proxy.running.reload();
  proxy.running.reload();
  await waitFor(async () => (await auditOf(proxy)).length === 4, { what: "the entry of the prices" });
  await commanded(proxy, ["reprice", "--since", "1h", "--dry-run"]);
  await commanded(proxy, ["reprice", "--since", "1h"]);
  await Deno.remove(file);

  const [repriced, read, revoked, made, first] = await auditOf(proxy);
  const byAlice = { who: "admin", claimed: "alice", address: "127.0.0.1" };
  assert.match(first!.id, /^au-[0-9A-Z]{26}$/);
  assert.ok(Math.abs(Date.parse(first!.at) - Date.now()) < 60_000);
  const record = { id, workspaceId: "w2", sandboxId: "s2", createdAt: made?.after?.createdAt };
  const { id: _, at: __, ...about } = made!;
  assert.deepEqual(about, { ...byAlice, action: "token.create", target: id, workspaceId: "w2", after: record });
  assert.deepEqual([revoked?.action, revoked?.target, revoked?.before], ["token.revoke", id, record]);
  assert.deepEqual(revoked?.after, { ...record, revokedAt: revoked?.at });
  assert.deepEqual([read?.action, read?.target], ["prices.read", "prices"]);
  assert.equal((read as unknown as { who: string }).who, "signal");
  assert.notEqual(read?.before?.priceVersion, read?.after?.priceVersion);
  assert.equal(repriced?.action, "prices.reprice");
  assert.deepEqual(repriced?.before?.priceVersions, [read?.before?.priceVersion]);
  assert.deepEqual([repriced?.after?.priceVersion, repriced?.after?.repricedCount], [read?.after?.priceVersion, 1]);
  assert.equal(Number(repriced?.after?.costUsd), 3 * Number(repriced?.before?.costUsd));

  const text = await proxy.text("/internal/audit");
  for (const secret of [token, created.stdout.trim(), proxy.adminToken, "llmp_"]) assert.ok(!text.includes(secret), secret);
  const json = JSON.parse((await commanded(proxy, ["audit", "--json", "--workspace", "w2"])).stdout);
  assert.deepEqual(json, { audit: [revoked, made] });
  assert.match((await commanded(proxy, ["audit"])).stdout, /\n\S+ +admin \(alice\) from 127\.0\.0\.1 +token\.revoke/);
}

async function auditOf(proxy: ProxyUnderTest): Promise<readonly Entry[]> {
  return (await proxy.ask("/internal/audit")).audit as Entry[];
}

/** Runs a command as the user alice. */
async function commanded(proxy: ProxyUnderTest, args: readonly string[]) {
  const address = new URL(proxy.adminUrl).host;
  const env = { LLMPROXY_ADMIN_ADDR: address, LLMPROXY_ADMIN_TOKEN: proxy.adminToken, USER: "alice" };
  const done = await run(args, { env, fetch, now: Date.now });
  assert.deepEqual([done.code, done.code === 0 ? "" : done.stderr], [0, ""]);
  return done;
}

/** A prices file in which every token costs as many dollars a million as given. */
async function pricesFile(dollars: string): Promise<string> {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(file, pricesOf(dollars));
  return file;
}

function pricesOf(dollars: string): string {
  const tier = { input: dollars, write5m: dollars, write1h: dollars, read: dollars, output: dollars };
  return JSON.stringify({ models: { "claude-haiku-4-5": [{ from: "1970-01-01", fastPercent: null, tiers: [tier] }] } });
}
