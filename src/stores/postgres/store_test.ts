import assert from "node:assert/strict";
import postgres from "postgres";
import { ALL, ALL_TRACES, callOf, rowOf, stampAt, T0, traceOf } from "../../../tests/conformance/samples.ts";
import { type PostgresServer, startPostgres } from "../../../tests/postgres_server.ts";
import { certificates } from "../../../tests/tls_upstream.ts";
import { waitFor } from "../../../tests/wait.ts";
import { isUnavailable, wordsOf } from "../../domain/unavailable.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "./migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS, type PostgresOptions } from "./store.ts";

const PATIENT = { ...POSTGRES_DEFAULTS, max: 2, promptSeconds: 30 };
/** So that a test need not be patient. */
const HASTY = { ...PATIENT, connectSeconds: 2, promptSeconds: 2, patientSeconds: 2 };

/** Shared by the tests that do nothing to it. */
const server = await startPostgres();
Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());

const LATE = /^The database (did not answer|took no connection) within 2 s$/;

Deno.test("a silent server costs each question its deadline and no more, and answers again when it is back", async () => {
  await using server = await startPostgres({ own: true });
  await using store = await storeOn(server, HASTY);
  await store.createToken(TOKEN, "a", stampAt(T0));
  await server.freeze();
  // More than there are connections, on ones that were there and on new ones.
  const asked = Array.from({ length: 6 }, () => store.findToken("a"));
  for (const question of asked) await assert.rejects(question, { message: LATE });
  await server.thaw();
  // All connections at once: none is held by a question that has been given up.
  const answers = Array.from({ length: 6 }, () => store.findToken("a"));
  for (const answer of answers) assert.equal((await answer)?.token.id, TOKEN.id);
});

Deno.test("a killed server fails its questions, and when it is back it answers and has all that was committed", async () => {
  await using server = await startPostgres({ own: true });
  await using store = await storeOn(server, PATIENT);
  await store.recordUsage([rowOf()]);
  await server.freeze();
  const failed = assert.rejects(store.findToken("a"), /ECONNRESET|CONNECTION_CLOSED/);
  await server.kill();
  await failed;
  await assert.rejects(store.findToken("a"), /refused/i);
  await server.start();
  assert.equal(await store.findToken("a"), null);
  assert.equal((await store.queryUsage(ALL)).usage[0]?.requestCount, 1);
});

Deno.test("connections that the server ended meanwhile cost no question its answer", async () => {
  await using store = await storeOn(server, PATIENT);
  await Promise.all([store.findToken("a"), store.findToken("b")]);
  await server.cutConnections();
  await waitFor(() => server.psql(ours(store.url)).then((rows) => rows.length === 0), { what: "both connections to end" });
  assert.deepEqual(await Promise.all([store.findToken("a"), store.findToken("b")]), [null, null]);
});

Deno.test("the server cancels a statement that waits too long, and its connection stays usable", async () => {
  await using store = await storeOn(server, HASTY);
  await store.findToken("a");
  const other = postgres(store.url, { max: 1 });
  const holder = await other.reserve();
  await holder.unsafe("BEGIN; LOCK TABLE tokens");
  await assert.rejects(store.findToken("a"), { message: LATE });
  await waitFor(async () => (await server.psql(`${ours(store.url)} AND state <> 'idle'`)).length === 0, {
    what: "the server to cancel what was given up",
  });
  await holder.unsafe("ROLLBACK");
  holder.release();
  await other.end();
  assert.equal(await store.findToken("a"), null);
});

Deno.test("callsAfter() waits for a transaction that started first and commits last, and for no transaction of others", async () => {
  await using store = await storeOn(server, PATIENT);
  const other = postgres(store.url, { max: 1 });
  const everything = { workspaceId: null, sandboxId: null, traceId: null, limit: 100 };
  const [slow, quick, late] = [["slow", T0], ["quick", T0 + 1], ["late", T0 + 2]].map(([workspaceId, createdAt]) =>
    rowOf(callOf({ workspaceId: String(workspaceId), createdAt: Number(createdAt) }))
  );
  await store.recordUsage([rowOf(callOf({ workspaceId: "slow", createdAt: T0 + 3 }))]);
  const { next: begin } = await store.callsAfter({ ...everything, after: null });

  const holder = await other.reserve();
  // The transaction of `slow` has its row when it comes to this hour's totals.
  await holder.unsafe("BEGIN; SELECT 1 FROM usage_hours WHERE workspace_id = 'slow' FOR UPDATE");
  const writing = store.recordUsage([slow!]);
  await waitFor(async () => (await server.psql(`${ours(store.url)} AND wait_event_type = 'Lock'`)).length === 1, {
    what: "the slow transaction to wait",
  });
  await using second = storeAt(store.url, PATIENT);
  await second.recordUsage([quick!]);
  const meanwhile = await second.callsAfter({ ...everything, after: begin });
  assert.deepEqual(meanwhile.calls, []);
  await holder.unsafe("COMMIT");
  await writing;
  // That one has a number too, but inserts no row of ours.
  await holder.unsafe("BEGIN; CREATE TEMP TABLE other (x INT); INSERT INTO other VALUES (1)");
  await second.recordUsage([late!]);
  const { calls } = await second.callsAfter({ ...everything, after: meanwhile.next });
  assert.deepEqual(calls.map(({ workspaceId }) => workspaceId), ["slow", "quick", "late"]);
  await holder.unsafe("ROLLBACK");
  holder.release();
  await other.end();
});

Deno.test("the store keeps to its number of connections, however much it is asked", async () => {
  await using store = await storeOn(server, PATIENT);
  const asked = Array.from({ length: 200 }, (_, n) => store.getOrCreateTrace(traceOf(callOf({ traceId: `at-${n}` }))));
  assert.equal((await server.psql(ours(store.url))).length <= PATIENT.max, true);
  await Promise.all(asked);
  assert.equal((await server.psql(ours(store.url))).length, PATIENT.max);
});

Deno.test("a row in a month that was never analyzed costs the same, however many there are", async () => {
  const { url } = await storeOn(server, PATIENT);
  const most = 3_000;
  const rows = Array.from({ length: 2 * most }, (_, n) => {
    const traceId = `at-7f9c24e8-3b12-4fef-91e0-${String(n % 16).padStart(12, "0")}`;
    return rowOf({ workspaceId: "w", traceId, createdAt: T0 + n, messagesHash: String(n).padStart(64, "0") });
  });
  const read = [];
  for (const some of [rows.slice(0, most), rows.slice(most)]) {
    const store = openPostgresStore({ ...PATIENT, url });
    await store.recordUsage(some);
    // What its connections have counted is told when they end.
    await store.close();
    const told = async () => (await server.psql(READ_OF_INDEXES, url))[0]!;
    await waitFor(async () => Number((await told()).scans) >= most * (read.length + 1), { what: "what was read of the indexes" });
    read.push(Number((await told()).entries));
  }
  // While a month has some hundred rows, one index is as good as another to the planner.
  const [few, all] = read;
  assert.ok(all! - few! < 5 * most, `${few} entries of indexes for the first ${most} rows, ${all! - few!} for as many more`);
});

Deno.test("close() ends even if the server is silent", async () => {
  await using server = await startPostgres({ own: true });
  const store = await storeOn(server, HASTY);
  await store.findToken("a");
  await server.freeze();
  const asked = store.findToken("a");
  const [closed, answered] = await Promise.allSettled([store.close(), asked]);
  assert.equal(closed.status, "fulfilled");
  assert.equal(answered.status, "rejected");
  await server.thaw();
});

Deno.test("a partition that was removed by hand is made again for the next rows", async () => {
  await using store = await storeOn(server, PATIENT);
  await store.recordUsage([rowOf()]);
  await server.psql("DROP TABLE usage_2026_01", store.url);
  await assert.rejects(store.recordUsage([rowOf()]), /no partition/);
  await store.recordUsage([rowOf()]);
  assert.equal((await store.getTraceDetail("at-1", null))[0]?.requests.length, 1);
});

Deno.test("makeReady() makes this month's and the next two partitions, and dropMonths() leaves no table behind", async () => {
  await using store = await storeOn(server, PATIENT);
  const partitions = async () =>
    (await server.psql("SELECT relname FROM pg_class WHERE relname ~ '^usage_[0-9_]+$' ORDER BY 1", store.url))
      .map((row) => row.relname);
  await store.makeReady(Date.UTC(2026, 10, 30, 23, 59, 59, 999));
  assert.deepEqual(await partitions(), ["usage_2026_11", "usage_2026_12", "usage_2027_01"]);
  assert.equal(await store.dropMonths(Date.UTC(2027, 0)), false);
  assert.deepEqual(await partitions(), ["usage_2027_01"]);
});

Deno.test("dropMonths() in a race with recordings of the same month drops each row after it is counted, and counts none twice", async () => {
  await using one = await storeOn(server, PATIENT);
  const other = openPostgresStore({ ...PATIENT, url: one.url });
  const rows = Array.from({ length: 300 }, (_, n) => rowOf({ createdAt: T0 + n }));
  const pieces = Array.from({ length: 30 }, (_, n) => rows.slice(n * 10, n * 10 + 10));
  const recorded = [one, other].map(async (store) => {
    for (const piece of pieces) await store.recordUsage(piece);
  });
  await waitFor(() => one.queryUsage(ALL).then(({ usage }) => usage.length > 0), { what: "a row to be counted" });
  await Promise.all([...recorded, other.dropMonths(Date.UTC(2026, 1))]);
  const counted = (await one.queryUsage(ALL)).usage[0]!.requestCount;
  assert.ok(counted <= rows.length, String(counted));
  await one.recordUsage(rows);
  await other.recordUsage(rows);
  assert.equal((await one.queryUsage(ALL)).usage[0]!.requestCount, counted);
  const [found] = await one.getTraceDetail("at-1", null);
  assert.deepEqual(found?.requests, []);
  assert.equal((await one.queryTraces(ALL_TRACES)).traces[0]?.requestCount, counted);
  await other.close();
});

Deno.test("a wrong password and an unreachable server reject with words that hold no password", async () => {
  await using server = await startPostgres({ own: true });
  const wrong = new URL(server.url);
  wrong.password = "s3cr3t";
  const nowhere = new URL(server.url);
  [nowhere.password, nowhere.port] = ["s3cr3t", "1"];
  for (
    const [url, says] of [[wrong, /refuses the login.*password authentication failed/], [
      nowhere,
      /cannot be reached \(ECONNREFUSED\)/,
    ]] as const
  ) {
    const store = openPostgresStore({ ...PATIENT, url: url.href });
    await assert.rejects(store.findToken("a"), (error: Error) => {
      assert.match(wordsOf(error), says);
      assert.equal(Deno.inspect(error, { depth: 9, showHidden: true } as Deno.InspectOptions).includes("s3cr3t"), false);
      return true;
    });
    await store.close();
  }
});

Deno.test("sslmode says whether the connection is encrypted and who is trusted", async () => {
  await using tls = await startPostgres({ ssl: true });
  const dir = Deno.makeTempDirSync();
  Deno.writeTextFileSync(`${dir}/ca.pem`, tls.caPem!);
  Deno.writeTextFileSync(`${dir}/another.pem`, (await certificates()).caPem);
  const named = tls.url.replace("127.0.0.1", "localhost");
  const cases: readonly (readonly [url: string, says: RegExp | null])[] = [
    [`${tls.url}?sslmode=disable`, /no pg_hba.conf entry/],
    [`${tls.url}?sslmode=prefer`, null],
    [`${tls.url}?sslmode=require`, null],
    [`${tls.url}?sslmode=require&sslrootcert=${dir}/another.pem`, /certificate|issuer/i],
    [`${tls.url}?sslmode=verify-ca&sslrootcert=${dir}/ca.pem`, null],
    [`${tls.url}?sslmode=verify-ca&sslrootcert=${dir}/another.pem`, /certificate|issuer/i],
    [`${named}?sslmode=verify-full&sslrootcert=${dir}/ca.pem`, null],
    [`${named}?sslmode=verify-full&sslrootcert=${dir}/another.pem`, /certificate|issuer/i],
    [`${named}?sslmode=verify-full`, /certificate|issuer/i],
    [`${server.url}?sslmode=disable`, null],
    [`${server.url}?sslmode=prefer`, null],
    [`${server.url}?sslmode=require`, /does not offer TLS/],
  ];
  for (const [url, says] of cases) {
    const migrated = migratePostgres({ ...MIGRATE_DEFAULTS, url });
    if (says === null) assert.equal((await migrated).to >= 1, true, url);
    else await assert.rejects(migrated, (error) => isUnavailable(error) && says.test(wordsOf(error)), url);
  }
  assert.throws(
    () => openPostgresStore({ ...PATIENT, url: `${named}?sslmode=verify-full&sslrootcert=${dir}/none.pem` }),
    /none.pem/,
  );
  Deno.removeSync(dir, { recursive: true });
});

const TOKEN = { id: "tok-1", workspaceId: "w-1", sandboxId: "sb-1", createdAt: T0, expiresAt: null, revokedAt: null };

async function storeOn(server: PostgresServer, options: Omit<PostgresOptions, "url">) {
  const url = await server.newDatabase();
  await migratePostgres({ ...MIGRATE_DEFAULTS, url });
  return storeAt(url, options);
}

function storeAt(url: string, options: Omit<PostgresOptions, "url">) {
  const store = openPostgresStore({ ...options, url });
  return { ...store, url, [Symbol.asyncDispose]: () => store.close() };
}

const READ_OF_INDEXES = `
  SELECT sum(idx_scan) AS scans, sum(idx_tup_read) AS entries
  FROM pg_stat_user_indexes
  WHERE relname LIKE 'usage_2%'`;

/** The connections of the store on that database. */
function ours(url: string): string {
  const database = new URL(url).pathname.slice(1);
  return `SELECT pid FROM pg_stat_activity WHERE datname = '${database}' AND application_name = 'llmproxy'`;
}
