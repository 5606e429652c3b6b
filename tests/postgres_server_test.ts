import assert from "node:assert/strict";
import postgres from "postgres";
import { type PostgresServer, startPostgres } from "./postgres_server.ts";
import { waitFor } from "./wait.ts";

const ROOT = new URL("../", import.meta.url);
/** Many times what an answer takes. */
const SILENCE_MS = 200;

/** For one test after the other: each leaves it running. */
const server = await startPostgres({ own: true, settings: { max_connections: "17" } });
Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());

Deno.test("startPostgres() gives an empty database, and newDatabase() others beside it, in UTF-8 and ordered by code point", async () => {
  const other = await server.newDatabase();
  await server.psql("CREATE TABLE t (word text)");
  await server.psql("INSERT INTO t VALUES ('b'), ('é'), ('A'), ('a')");
  assert.deepEqual([...await server.psql("SELECT word FROM t ORDER BY word")].map((row) => row.word), ["A", "a", "b", "é"]);
  const [empty] = await server.psql("SELECT to_regclass('t') AS t, current_setting('server_encoding') AS encoding", other);
  assert.deepEqual({ ...empty }, { t: null, encoding: "UTF8" });
});

Deno.test("stop() and start() keep port, rows and settings", async () => {
  await using held = connectTo(server);
  await held.sql`CREATE TABLE stopped AS SELECT 1 AS n`;
  await server.stop();
  assert.equal(await portAnswers(server.port), false);
  await assert.rejects(server.freeze(), /not running/);
  await server.start();
  assert.equal((await held.sql`SELECT n FROM stopped`)[0]!.n, 1);
  assert.deepEqual({ ...(await server.psql("SHOW max_connections"))[0] }, { max_connections: "17" });
});

Deno.test("kill() ends every process at once, and start() recovers what was committed", async () => {
  await using held = connectTo(server);
  await held.sql`CREATE TABLE killed AS SELECT 1 AS n`;
  const sleep = failureOf(held.sql`SELECT pg_sleep(600)`);
  await waitFor(() => isSleeping(server), { what: "the statement to run" });
  await server.kill();
  assert.match(await sleep, /^(CONNECTION_CLOSED|ECONNRESET)$/);
  assert.equal(await portAnswers(server.port), false);
  await server.start();
  assert.match(server.log(), /was not properly shut down/);
  assert.equal((await server.psql("SELECT n FROM killed"))[0]!.n, 1);
});

Deno.test("freeze() holds back every answer until thaw(), while the port still takes connections", async () => {
  await using held = connectTo(server);
  await held.sql`SELECT 1`;
  await server.freeze();
  const answer = held.sql`SELECT clock_timestamp() AS at`.execute();
  const silence = new Promise((resolve) => setTimeout(resolve, SILENCE_MS, "silence"));
  assert.equal(await Promise.race([answer, silence]), "silence");
  assert.equal(await portAnswers(server.port), true);
  const thawedAt = Date.now();
  await server.thaw();
  assert.ok((await answer)[0]!.at.getTime() >= thawedAt);
});

Deno.test("cutConnections() ends the connections of others and says how many", async () => {
  await using held = connectTo(server);
  await held.sql`SELECT 1`;
  const sleep = failureOf(held.sql`SELECT pg_sleep(600)`);
  await waitFor(() => isSleeping(server), { what: "the statement to run" });
  assert.equal(await server.cutConnections(), 1);
  assert.match(await sleep, /^(57P01|CONNECTION_CLOSED)$/);
});

Deno.test("startPostgres() with ssl takes TLS connections only, with a certificate that caPem signed", async () => {
  await using server = await startPostgres({ ssl: true });
  assert.deepEqual({ ...(await server.psql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))[0] }, { ssl: true });
  await using plain = connectTo(server);
  await assert.rejects(plain.sql`SELECT 1`.execute(), { code: "28000" });
  await using strange = connectTo(server, { ssl: "verify-full" });
  await assert.rejects(strange.sql`SELECT 1`.execute(), /certificate/i);
});

Deno.test("startPostgres() takes the server of TEST_POSTGRES_URL, spares its life and leaves no database behind", async () => {
  const databases = () => server.psql("SELECT datname FROM pg_database ORDER BY 1");
  const before = await databases();
  const setting = Deno.env.get("TEST_POSTGRES_URL");
  Deno.env.set("TEST_POSTGRES_URL", server.url);
  try {
    await using shared = await startPostgres();
    assert.notEqual(shared.url, server.url);
    assert.equal(new URL(shared.url).host, new URL(server.url).host);
    await shared.newDatabase();
    assert.equal((await databases()).length, before.length + 2);
    for (const verb of ["stop", "kill", "freeze", "thaw", "start"] as const) await assert.rejects(shared[verb](), /own: true/);
  } finally {
    if (setting === undefined) Deno.env.delete("TEST_POSTGRES_URL");
    else Deno.env.set("TEST_POSTGRES_URL", setting);
  }
  assert.deepEqual([...await databases()], [...before]);
});

for (const state of ["running", "frozen"]) {
  Deno.test(`startPostgres() leaves no ${state} server and no folder where its process is killed`, async () => {
    const freeze = state === "frozen" ? "await server.freeze();" : "";
    const code = `import { startPostgres } from ${JSON.stringify(new URL("postgres_server.ts", import.meta.url).href)};
      const server = await startPostgres({ own: true });
      const [{ folder }] = await server.psql("SELECT current_setting('unix_socket_directories') AS folder");
      ${freeze}
      console.log(JSON.stringify({ port: server.port, folder }));
      await new Promise((resolve) => setTimeout(resolve, 600_000));`;
    await using child = new Deno.Command(Deno.execPath(), { args: ["eval", code], cwd: ROOT, stdout: "piped" }).spawn();
    const said = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { port, folder } = JSON.parse((await said.read()).value!);
    assert.equal(await portAnswers(port), true);
    child.kill("SIGKILL");
    await said.cancel();
    await waitFor(() => isGone(folder), { what: "the folder to go", deadlineMs: 30_000 });
    assert.equal(await portAnswers(port), false);
  });
}

function connectTo(
  server: PostgresServer,
  options: postgres.Options<Record<string, never>> = {},
): AsyncDisposable & { readonly sql: postgres.Sql } {
  const sql = postgres(server.url, { max: 1, ...options });
  return { sql, [Symbol.asyncDispose]: () => sql.end({ timeout: 0 }) };
}

/** The code with which it fails. */
async function failureOf(query: postgres.PendingQuery<postgres.Row[]>): Promise<string> {
  try {
    await query;
    return "it did not fail";
  } catch (error) {
    return (error as { readonly code?: string }).code ?? String(error);
  }
}

async function isSleeping(server: PostgresServer): Promise<boolean> {
  const rows = await server.psql("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'");
  return rows.length > 0;
}

async function portAnswers(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ port })).close();
    return true;
  } catch {
    return false;
  }
}

function isGone(path: string): boolean {
  try {
    Deno.statSync(path);
    return false;
  } catch {
    return true;
  }
}
