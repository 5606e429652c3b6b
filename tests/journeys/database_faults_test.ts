import assert from "node:assert/strict";
import { callOf, closingOf, T0, traceOf } from "../conformance/samples.ts";
import { connectPostgres } from "../../src/stores/postgres/store.ts";
import { PACE, type Report, Shipper } from "../../src/stores/shipping/shipper.ts";
import { migrateSpool } from "../../src/stores/sqlite/migrate.ts";
import { LEDGER_DEFAULTS, openLedger } from "../../src/stores/sqlite/spool/ledger.ts";
import { openOutgoing } from "../../src/stores/sqlite/spool/outgoing.ts";
import { startFakeUpstream } from "../fake_upstream.ts";
import { assertExactRows, callAndRead, type SeenAnswer, textOf } from "../metered_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { metricOf, readinessOf } from "../process_metrics.ts";
import { startProxyProcess } from "../proxy_process.ts";
import { type ProxyUnderTest, startProxy } from "../proxy_under_test.ts";
import { arrivedRows, sharedRows } from "../shared_rows.ts";
import { waitFor } from "../wait.ts";

const postgres = await startPostgres({ own: true });
Deno.test.afterAll(async () => await postgres[Symbol.asyncDispose]());

/** A database that takes no rows at all, by what the server says then. */
const REFUSALS: readonly {
  readonly what: string;
  readonly words: RegExp;
  readonly begin: (url: string) => Promise<unknown>;
  readonly end: (url: string) => Promise<unknown>;
}[] = [
  {
    what: "whose disk is full",
    words: /No space left on device/,
    begin: (url) => postgres.psql(raising("53100", "could not extend file: No space left on device"), url),
    end: (url) => postgres.psql("DROP TRIGGER refusal ON usage", url),
  },
  {
    what: "that is read-only",
    words: /read-only transaction/,
    begin: async (url) => {
      await setReadOnly(url, "on");
      await postgres.cutConnections();
    },
    end: (url) => setReadOnly(url, "off"),
  },
  {
    what: "whose schema was changed by hand",
    words: /column "speed" of relation "usage" does not exist/,
    begin: (url) => postgres.psql("ALTER TABLE usage RENAME COLUMN speed TO hurry", url),
    end: (url) => postgres.psql("ALTER TABLE usage RENAME COLUMN hurry TO speed", url),
  },
];

for (const { what, words, begin, end } of REFUSALS) {
  Deno.test(`a database ${what} stops no call and quarantines no row; the log says why, and all rows arrive when it is mended`, async () => {
    const url = await postgres.newDatabase();
    await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: url } });
    const token = await proxy.token();
    await begin(url);
    const answers: SeenAnswer[] = [];
    for (let n = 0; n < 5; n++) answers.push(await callAndRead(proxy.url, { token, text: textOf(n) }));
    await waitFor(() => failureOf(proxy) !== null, { what: "the log to tell of it" });
    assert.match(failureOf(proxy)!, words);
    await waitFor(async () => await metricOf(proxy, "llmproxy_unshipped_rows") === 5, { what: "the metric to count them" });
    assert.ok(await metricOf(proxy, "llmproxy_ship_errors_total") > 0);
    assert.equal(await metricOf(proxy, "llmproxy_quarantined_rows"), 0);
    const { code, status } = await readinessOf(proxy);
    assert.deepEqual([code, status], [200, "degraded"]);

    await end(url);
    assertExactRows(await arrivedRows(postgres, { count: 5, url }), answers);
    await waitFor(async () => (await readinessOf(proxy)).status === "ok", { what: "/readyz to be ok again" });
  });
}

Deno.test("a row that the database refuses is quarantined and reported, and the others arrive", async () => {
  const url = await postgres.newDatabase();
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: url } });
  const [good, bad] = [await proxy.token("w-good"), await proxy.token("w-bad")];
  await postgres.psql("ALTER TABLE usage ADD CONSTRAINT no_bad_rows CHECK (workspace_id <> 'w-bad')", url);
  const answers: SeenAnswer[] = [];
  await callAndRead(proxy.url, { token: bad, text: "refused" });
  for (let n = 0; n < 5; n++) answers.push(await callAndRead(proxy.url, { token: good, text: textOf(n) }));

  assertExactRows(await arrivedRows(postgres, { count: 5, url }), answers);
  await waitFor(async () => await metricOf(proxy, "llmproxy_quarantined_rows") === 1, { what: "the row to be counted" });
  await waitFor(async () => await metricOf(proxy, "llmproxy_unshipped_rows") === 0, { what: "no row to wait any more" });
  const said = await waitFor(
    () => recordOf(proxy, "the shared database refused a row; it is quarantined and retried from time to time"),
    { what: "the log to tell of it" },
  );
  assert.match(String(said.reason), /no_bad_rows/);
  assert.deepEqual([said.level, said.workspaceId], ["error", "w-bad"]);
  assert.deepEqual(await readinessOf(proxy), {
    code: 200,
    status: "degraded",
    reason: "Rows quarantined because the shared database rejects them: 1",
  });
});

Deno.test("quarantined rows are retried, arrive when the database accepts them, and count once", async () => {
  const url = await postgres.newDatabase();
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  const path = `${dir}/spool-0.db`;
  migrateSpool(path);
  const ledger = openLedger({ ...LEDGER_DEFAULTS, path, synchronous: "normal", now: () => T0, onTrouble: () => {} });
  const shared = connectPostgres(url);
  await shared.migrate();
  await postgres.psql("ALTER TABLE usage ADD CONSTRAINT no_bad_rows CHECK (workspace_id <> 'w-bad')", url);
  const calls = Array.from({ length: 100 }, (_, n) => callOf({ workspaceId: n % 10 === 3 ? "w-bad" : "w-good" }));
  for (const call of calls) {
    await ledger.open(call, traceOf(call));
    await ledger.close(call, closingOf({ inputTokens: 1, outputTokens: 2 }));
  }

  const spool = openOutgoing(path, { synchronous: "normal", store: "shared" });
  const reports: Report[] = [];
  const shipper = new Shipper({
    spool,
    sink: () => Promise.resolve(shared.store),
    pace: { ...PACE, idleMs: 5, retryMs: 50 },
    random: () => 0,
    onReport: (report) => reports.push(report),
  });
  const running = shipper.run();
  assert.equal((await arrivedRows(postgres, { count: 90, url })).length, 90);
  await waitFor(() => spool.backlog().quarantined === 10, { what: "the refused rows to be quarantined" });
  const reasons = reports.flatMap((report) => report.quarantined.map(({ reason }) => reason));
  assert.ok(reasons.length >= 10 && reasons.every((reason) => reason.includes("no_bad_rows")));
  // Tried again, and refused again.
  await waitFor(() => reports.flatMap(({ quarantined }) => quarantined).length >= 20, { what: "a second try" });

  await postgres.psql("ALTER TABLE usage DROP CONSTRAINT no_bad_rows", url);
  const rows = await arrivedRows(postgres, { count: 100, url });
  await waitFor(() => spool.backlog().quarantined === 0, { what: "nothing to be quarantined any more" });
  assert.deepEqual(rows.map((row) => row.id).sort(), calls.map((call) => call.id).sort());
  const totals = await postgres.psql("SELECT sum(request_count) AS calls, sum(total_output_tokens) AS output FROM traces", url);
  assert.deepEqual([Number(totals[0]?.calls), Number(totals[0]?.output)], [100, 200]);
  shipper.stop();
  await running;
  spool.close();
  await shared.store.close();
  await ledger.end();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a database whose password changes takes nothing until SIGHUP has the new URL read from its file; then all rows arrive", async () => {
  const { pathname, host } = new URL(await postgres.newDatabase());
  const database = pathname.slice(1);
  const urlOf = (password: string) => `postgres://rotated:${password}@${host}/${database}`;
  await postgres.psql(`CREATE ROLE rotated LOGIN PASSWORD 'first-password'; ALTER DATABASE ${database} OWNER TO rotated`);
  const dir = await Deno.makeTempDir({ prefix: "llmproxy-test-" });
  await Deno.writeTextFile(`${dir}/url`, urlOf("first-password"));
  await using upstream = await startFakeUpstream();
  const env = { LLMPROXY_DATABASE_URL_FILE: `${dir}/url` };
  {
    await using proxy = await startProxyProcess({ upstreamUrl: upstream.url, dataDir: `${dir}/data`, env });
    const token = await proxy.token();
    const answers = [await callAndRead(proxy.url, { token, text: textOf(0) })];
    await arrivedRows(postgres, { count: 1, url: urlOf("first-password") });

    await postgres.psql("ALTER ROLE rotated PASSWORD 'second-password'");
    await postgres.cutConnections();
    for (let n = 1; n < 5; n++) answers.push(await callAndRead(proxy.url, { token, text: textOf(n) }));
    const failure = await waitFor(() => proxy.logs().find(({ failure }) => failure !== undefined) ?? null, {
      what: "the log to tell of it",
    });
    assert.match(String(failure.failure), /password authentication failed/);
    assert.equal((await readinessOf(proxy)).status, "degraded");

    await Deno.writeTextFile(`${dir}/url`, urlOf("second-password"));
    proxy.kill("SIGHUP");
    assertExactRows(await arrivedRows(postgres, { count: 5, url: urlOf("second-password") }), answers);
    await waitFor(async () => (await readinessOf(proxy)).status === "ok", { what: "/readyz to be ok again" });
    assert.equal((await sharedRows(postgres, urlOf("second-password"))).length, 5);
    assert.doesNotMatch(proxy.output(), /(first|second)-password/);
  }
  await Deno.remove(dir, { recursive: true });
});

/** SQL that has each row refused with that SQLSTATE and those words. */
function raising(code: string, words: string): string {
  return `
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION '${words}' USING ERRCODE = '${code}'; END
    $$;
    CREATE TRIGGER refusal BEFORE INSERT ON usage FOR EACH ROW EXECUTE FUNCTION refuse()`;
}

/** For connections that are made from now on. */
async function setReadOnly(url: string, value: "on" | "off"): Promise<void> {
  await postgres.psql(`ALTER DATABASE ${new URL(url).pathname.slice(1)} SET default_transaction_read_only = ${value}`);
}

function recordOf(proxy: ProxyUnderTest, message: string): Readonly<Record<string, unknown>> | null {
  return proxy.logs.map((line) => JSON.parse(line)).find(({ msg }) => msg === message) ?? null;
}

/** Why the shared database takes nothing, as the log says it. */
function failureOf(proxy: ProxyUnderTest): string | null {
  const said = recordOf(proxy, "cannot write to the shared database; calls continue and are spooled locally");
  return said === null ? null : String(said.failure);
}
