import assert from "node:assert/strict";
import { run } from "../fake_system.ts";
import { messageCall, type ProxyUnderTest, received, startProxy } from "../proxy_under_test.ts";

const TIER = { input: "1", write5m: "1", write1h: "1", read: "1", output: "1" };

/** A prices file in which every token of the model costs as many dollars a million as given. */
function pricesFile(dollars: string): string {
  const tier = Object.fromEntries(Object.keys(TIER).map((key) => [key, dollars]));
  return JSON.stringify({ models: { "claude-haiku-4-5": [{ from: "1970-01-01", fastPercent: null, tiers: [tier] }] } });
}

Deno.test("llmproxy reprice --dry-run shows exactly the rows and the difference that the real run then makes", async () => {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(file, pricesFile("1"));
  await using proxy = await startProxy({ env: { LLMPROXY_PRICES_FILE: file } });
  const token = await proxy.token();
  for (let n = 0; n < 5; n++) await received(await fetch(`${proxy.url}/v1/messages`, messageCall(token, { text: `call ${n}` })));
  const before = await proxy.closedRows(5);

  await Deno.writeTextFile(file, pricesFile("3"));
  proxy.running.reload();
  await Deno.remove(file);
  const dry = await reprice(proxy, ["--dry-run"]);
  assert.deepEqual(proxy.rows(), before);
  const real = await reprice(proxy, []);
  assert.deepEqual({ ...real.result, until: null, dryRun: true }, { ...dry.result, until: null });
  assert.deepEqual(real.rows, dry.rows);

  const after = proxy.rows();
  assert.deepEqual(dry.rows.map((row) => row.id), before.map((row) => row.id));
  const usd = (cost: unknown) => (Number(cost) / 1e9).toFixed(9);
  assert.deepEqual(
    dry.rows.map((row) => [row.oldCostUsd, row.newCostUsd]),
    before.map(({ cost }) => [usd(cost), usd(3 * Number(cost))]),
  );
  assert.deepEqual(after.map((row) => [row.revision, row.cost]), before.map((row) => [3, 3 * Number(row.cost)]));
  const sum = before.reduce((sum, row) => sum + Number(row.cost), 0);
  const { oldCostUsd, newCostUsd, differenceUsd, repricedCount, readCount } = real.result;
  assert.deepEqual([oldCostUsd, newCostUsd, differenceUsd, repricedCount, readCount], [
    usd(sum),
    usd(3 * sum),
    usd(2 * sum),
    5,
    5,
  ]);
  const [group] = (await proxy.ask("/internal/usage")).usage as [Record<string, unknown>];
  assert.equal(group.costUsd, usd(3 * sum));
  assert.equal((await reprice(proxy, [])).result.repricedCount, 0);
});

Deno.test("llmproxy reprice shows a table, and its progress on a terminal only", async () => {
  await using proxy = await startProxy();
  await received(await fetch(`${proxy.url}/v1/messages`, messageCall(await proxy.token())));
  await proxy.closedRows(1);
  const piped = await command(proxy, ["--dry-run"]);
  assert.match(piped.stdout, /^0 of 1 rows would change by the prices \d{4}-\d\d-\d\d /);
  assert.equal(piped.stderr, "");
  assert.match((await command(proxy, [], { isTerminal: () => true })).stderr, /1 rows read/);
});

Deno.test("POST /internal/reprice answers one JSON, and refuses what it cannot read", async () => {
  await using proxy = await startProxy();
  const post = async (query: string) => {
    const headers = { authorization: `Bearer ${proxy.adminToken}` };
    const answer = await fetch(`${proxy.adminUrl}/internal/reprice${query}`, { method: "POST", headers });
    return [answer.status, await answer.json()];
  };
  const [status, body] = await post("?since=2026-01-01T00:00:00Z&dry_run=true");
  assert.equal(status, 200);
  assert.deepEqual([body.dryRun, body.readCount, body.differenceUsd], [true, 0, "0.000000000"]);
  for (const query of ["", "?since=2026-01-01T00:00:00Z&dry_run=yes", "?since=2026-01-01T00:00:00Z&rows=true"]) {
    assert.equal((await post(query))[0], 400, query);
  }
});

async function reprice(proxy: ProxyUnderTest, args: readonly string[]) {
  const { stdout } = await command(proxy, ["--rows", "--json", ...args]);
  const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  return { rows: lines.slice(0, -1) as Record<string, unknown>[], result: lines.at(-1) as Record<string, unknown> };
}

async function command(proxy: ProxyUnderTest, args: readonly string[], given: { readonly isTerminal?: () => boolean } = {}) {
  const { host } = new URL(proxy.adminUrl);
  const done = await run(["reprice", "--since", "2020-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z", ...args], {
    env: { LLMPROXY_ADMIN_ADDR: host, LLMPROXY_ADMIN_TOKEN: proxy.adminToken },
    fetch: (url, init) => fetch(url, init),
    ...given,
  });
  assert.equal(done.code, 0, done.stderr);
  return done;
}
