import assert from "node:assert/strict";
import { startReplicas } from "../chaos/replicas.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { assertExactRows, callAndRead, countsOf, countsOfText, type SeenAnswer, textOf } from "../metered_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { metricOf, readinessOf } from "../process_metrics.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { arrivedRows } from "../shared_rows.ts";
import { waitFor } from "../wait.ts";

const DAY_MS = 86_400_000;

const postgres = await startPostgres({ own: true });
Deno.test.afterAll(async () => await postgres[Symbol.asyncDispose]());

Deno.test("calls go on while PostgreSQL is away: /readyz says degraded with 200, metrics say how far behind it is, and all rows arrive", async () => {
  const url = await postgres.newDatabase();
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: url } });
  const token = await proxy.token();
  const answers = await callsOf(proxy, { token, from: 0, count: 3 });
  await arrivedRows(postgres, { count: 3, url });
  assert.deepEqual(await readinessOf(proxy), { code: 200, status: "ok", reason: "" });

  await postgres.stop();
  answers.push(...await callsOf(proxy, { token, from: 3, count: 10 }));
  const away = await waitFor(async () => {
    const readiness = await readinessOf(proxy);
    return readiness.status !== "ok" && readiness.reason.includes("10 calls") && readiness;
  }, { what: "/readyz to tell of it" });
  assert.deepEqual(away, {
    code: 200,
    status: "degraded",
    reason: "Cannot write to the shared database: 10 calls wait in the spool",
  });
  assert.equal(await metricOf(proxy, "llmproxy_unshipped_rows"), 10);
  assert.ok(await metricOf(proxy, "llmproxy_oldest_unshipped_seconds") > 0);
  assert.ok(await metricOf(proxy, "llmproxy_ship_errors_total") > 0);
  assert.ok(await metricOf(proxy, "llmproxy_ledger_bytes") > 0);
  assert.ok(logOf(proxy, "cannot write to the shared database; calls continue and are spooled locally"));

  await postgres.start();
  const rows = await arrivedRows(postgres, { count: 13, url });
  assertExactRows(rows, answers);
  await waitFor(async () => (await readinessOf(proxy)).status === "ok", { what: "/readyz to be ok again" });
  assert.equal(await metricOf(proxy, "llmproxy_unshipped_rows"), 0);
  assert.equal(await metricOf(proxy, "llmproxy_oldest_unshipped_seconds"), 0);
  assert.ok(await metricOf(proxy, "llmproxy_shipped_rows_total") >= 13);
  assert.ok(logOf(proxy, "the shared database accepts writes again; shipping the spool"));
  const { usage } = await proxy.ask("/internal/usage") as { readonly usage: readonly { readonly requestCount: number }[] };
  assert.equal(usage.reduce((sum, { requestCount }) => sum + requestCount, 0), 13);
});

Deno.test("a proxy that starts while PostgreSQL is away serves the tokens that were used on its machine, and ships when it can", async () => {
  const url = await postgres.newDatabase();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const env = { LLMPROXY_DATABASE_URL: url };
  const answers: SeenAnswer[] = [];
  const token = { value: "" };
  {
    await using proxy = await startProxy({ env, dataDir });
    token.value = await proxy.token();
    answers.push(...await callsOf(proxy, { token: token.value, from: 0, count: 2 }));
  }
  await postgres.kill();
  {
    await using proxy = await startProxy({ env, dataDir });
    assert.ok(logOf(proxy, "the shared database cannot be used yet: calls are recorded in the spool until it can"));
    answers.push(...await callsOf(proxy, { token: token.value, from: 2, count: 3, prefix: "other " }));
    await postgres.start();
    const rows = await arrivedRows(postgres, { count: 5, url });
    assert.equal(new Set(rows.map((row) => row.id)).size, 5);
    assert.ok(answers.every((answer) => answer.isWhole));
  }
  await Deno.remove(dataDir, { recursive: true });
});

Deno.test("three replicas started at once on an empty database: one migrates, and all serve the same tokens and answer alike", async () => {
  const url = await postgres.newDatabase();
  await using upstream = await startFakeUpstream();
  await using replicas = await startReplicas({ count: 3, upstreamUrl: upstream.url, databaseUrl: url });
  const proxies = replicas.all.map(({ proxy }) => proxy!);
  const token = await proxies[0]!.token();
  const answers = await Promise.all(
    proxies.map((proxy, n) => callAndRead(proxy.url, { token, text: textOf(n), traceId: "at-shared" })),
  );
  assertExactRows(await arrivedRows(postgres, { count: 3, url }), answers);
  const applied = await postgres.psql("SELECT version FROM schema_migrations ORDER BY version", url);
  const migrations = [...Deno.readDirSync(new URL("../../migrations/postgres/", import.meta.url))];
  assert.deepEqual(applied.map(({ version }) => Number(version)), migrations.map((_, n) => n + 1));
  const traces = await Promise.all(proxies.map(async (proxy) => await proxy.ask("/internal/traces")));
  assert.deepEqual(traces[1], traces[0]);
  assert.deepEqual(traces[2], traces[0]);
  assert.equal((traces[0]!.traces as readonly { readonly requestCount: number }[])[0]!.requestCount, 3);
  for (const proxy of proxies) {
    assert.deepEqual(await readinessOf(proxy), { code: 200, status: "ok", reason: "" });
    assert.deepEqual(proxy.logs().filter(({ level }) => level === "warn" || level === "error"), []);
  }
});

Deno.test("a clock that is set back by a day and forward by 40 loses no row, whether PostgreSQL is there or away meanwhile", async () => {
  const url = await postgres.newDatabase();
  const clock = { aheadMs: 0 };
  const system = { now: () => Date.now() + clock.aheadMs };
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: url }, system });
  const token = await proxy.token();
  const answers: SeenAnswer[] = [];
  for (const [n, aheadMs] of [0, -DAY_MS, 40 * DAY_MS, 0, 40 * DAY_MS, -DAY_MS, 0].entries()) {
    if (n === 3) await postgres.stop();
    clock.aheadMs = aheadMs;
    answers.push(await callAndRead(proxy.url, { token, text: textOf(n) }));
  }
  await postgres.start();
  const rows = await arrivedRows(postgres, { count: 7, url });
  assertExactRows(rows, answers);
  const days = rows.map((row) => Math.round((Number(row.created_at) - Date.now()) / DAY_MS) + 0);
  assert.deepEqual(days, [-1, -1, 0, 0, 0, 40, 40]);
  const { traces } = await proxy.ask("/internal/traces") as { readonly traces: readonly { readonly requestCount: number }[] };
  assert.equal(traces.reduce((sum, { requestCount }) => sum + requestCount, 0), 7);
});

Deno.test("a machine whose clock is 400 days ahead drops nothing of what others have recorded, and its log says why", async () => {
  const url = await postgres.newDatabase();
  const env = { LLMPROXY_DATABASE_URL: url, LLMPROXY_RETENTION_DAYS: "30" };
  await using right = await startProxy({ env });
  await callsOf(right, { token: await right.token(), from: 0, count: 1 });
  await arrivedRows(postgres, { count: 1, url });
  {
    await using ahead = await startProxy({ env, system: { now: () => Date.now() + 400 * DAY_MS } });
    const said = await waitFor(() => ahead.logs.find((line) => /maintenance failed/.test(line)) ?? null, {
      what: "the log to tell of it",
    });
    assert.match(said, /clock is 400 days ahead of the shared database's: nothing is dropped/);
  }
  await callsOf(right, { token: await right.token(), from: 1, count: 1 });
  assert.equal((await arrivedRows(postgres, { count: 2, url })).length, 2);
});

Deno.test("what was recorded before there was a shared database arrives there however old it is, and is counted here again when that is gone", async () => {
  const url = await postgres.newDatabase();
  const dataDir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const answers: SeenAnswer[] = [];
  const spent = async (proxy: ProxyUnderTest) => (await proxy.ask("/internal/usage")).totals;
  {
    await using proxy = await startProxy({ dataDir, system: { now: () => Date.now() - 40 * DAY_MS } });
    answers.push(...await callsOf(proxy, { token: await proxy.token(), from: 0, count: 3 }));
  }
  let shared: unknown;
  {
    await using proxy = await startProxy({ dataDir, env: { LLMPROXY_DATABASE_URL: url } });
    const token = await proxy.token();
    answers.push(...await callsOf(proxy, { token, from: 3, count: 2 }));
    const rows = await arrivedRows(postgres, { count: 5, url });
    assert.deepEqual(
      rows.map((row) => String(countsOf(row))).sort(),
      answers.map(({ text }) => String(countsOfText(text))).sort(),
    );
    shared = await spent(proxy);
  }
  await using proxy = await startProxy({ dataDir });
  assert.deepEqual(await spent(proxy), shared);
  await callsOf(proxy, { token: await proxy.token(), from: 5, count: 1 });
  assert.equal((await spent(proxy) as { readonly requestCount: number }).requestCount, 6);
});

/** Calls one after the other; each text is charged as no other is. */
async function callsOf(
  proxy: ProxyUnderTest,
  { token, from, count, prefix = "" }: {
    readonly token: string;
    readonly from: number;
    readonly count: number;
    readonly prefix?: string;
  },
): Promise<SeenAnswer[]> {
  const answers = [];
  for (let n = from; n < from + count; n++) {
    answers.push(await callAndRead(proxy.url, { token, text: prefix + textOf(n), stream: n % 2 === 0 }));
  }
  return answers;
}

function logOf(proxy: ProxyUnderTest, message: string): string | undefined {
  return proxy.logs.find((line) => JSON.parse(line).msg === message);
}
