import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { rowOf, T0 } from "../../../tests/conformance/samples.ts";
import { startPostgres } from "../../../tests/postgres_server.ts";
import { startStandby } from "../../../tests/postgres_standby.ts";
import { waitFor } from "../../../tests/wait.ts";
import { isUnavailable, wordsOf } from "../../domain/unavailable.ts";
import { openGoProgram } from "./agentserver_source.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "./migrate.ts";
import { openPool } from "./pool.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "./store.ts";

const server = await startPostgres({ own: true });
Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());

const LOGIN = new URL(server.url);
const [USER, DATABASE] = [`${LOGIN.username}:${LOGIN.password}`, LOGIN.pathname];
const HERE = `127.0.0.1:${server.port}`;
/** Nothing listens there. */
const DEAD = "127.0.0.1:1";

/** What one question is answered over that URL. */
async function answerOf(url: string, sql: string): Promise<unknown> {
  const pool = openPool(url, { max: 1, connectSeconds: 10, idleSeconds: 60 });
  try {
    const [row] = await pool.run({ access: "read", seconds: 20, ask: (ask) => ask(sql) });
    return Object.values(row ?? {})[0];
  } finally {
    await pool.close();
  }
}

Deno.test("a Unix socket is found by its folder, written in either way, whatever sslmode says", async () => {
  const folder = server.folder!.path;
  for (
    const url of [
      `postgres://${USER}@${DATABASE}?host=${folder}&port=${server.port}`,
      `postgres://${USER}@${folder.replaceAll("/", "%2F")}:${server.port}${DATABASE}?sslmode=require`,
    ]
  ) {
    assert.equal(await answerOf(url, "SELECT inet_client_addr() IS NULL"), true, url);
  }
  await assert.rejects(answerOf(`postgres://${USER}@${DATABASE}?host=/no/such/folder`, "SELECT 1"), (error) => {
    assert.ok(isUnavailable(error));
    assert.match(error.message, /^PostgreSQL cannot be reached \(ENOENT\)/);
    return true;
  });
});

Deno.test("application_name is what pg_stat_activity shows, options are the session's, and keepalives_idle is the socket's", async () => {
  const name = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()";
  assert.equal(await answerOf(`postgres://${USER}@${HERE}${DATABASE}`, name), "llmproxy");
  assert.equal(await answerOf(`postgres://${USER}@${HERE}${DATABASE}?application_name=billing%20eu`, name), "billing eu");
  const path = `postgres://${USER}@${HERE}${DATABASE}?options=-c%20search_path%3Dours%20-c%20lock_timeout%3D7s`;
  assert.equal(
    await answerOf(path, "SELECT current_setting('search_path') || ' ' || current_setting('lock_timeout')"),
    "ours 7s",
  );

  const pool = openPool(`postgres://${USER}@${HERE}${DATABASE}?keepalives_idle=7777`, {
    max: 1,
    connectSeconds: 10,
    idleSeconds: 60,
  });
  const idle = await pool.run({ access: "read", seconds: 20, ask: () => Promise.resolve(keepAliveSecondsTo(server.port)) });
  await pool.close();
  assert.ok(idle.some((seconds) => seconds > 7_700 && seconds <= 7_777), String(idle));
});

/** When the kernel will ask whether the other side of each connection to that port is there. */
function keepAliveSecondsTo(port: number): readonly number[] {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return Deno.readTextFileSync("/proc/net/tcp").split("\n").map((line) => line.trim().split(/\s+/))
    .filter(([, , to, , , timer]) => to?.endsWith(remote) && timer?.startsWith("02:"))
    .map(([, , , , , timer]) => parseInt(timer!.slice(3), 16) / 100);
}

Deno.test("hostaddr is where the connection goes, and the host is the name", async () => {
  const url = `postgres://${USER}@no-such-host.invalid:${server.port}${DATABASE}?hostaddr=127.0.0.1`;
  assert.equal(await answerOf(url, "SELECT 7"), 7);
});

Deno.test("connect_timeout limits the wait for a server that accepts connections and says nothing", async () => {
  await using silent = await startSilent();
  const began = performance.now();
  await assert.rejects(
    answerOf(`postgres://${USER}@127.0.0.1:${silent.port}/db?connect_timeout=1&sslmode=disable`, "SELECT 1"),
    (error) => isUnavailable(error) && error.message === "The database took no connection within 1 s",
  );
  assert.ok(performance.now() - began < 5_000);
});

Deno.test("of two hosts the second is used while the first is down, and is asked first from then on", async () => {
  await using silent = await startSilent();
  const url = `postgres://${USER}@127.0.0.1:${silent.port},${HERE}${DATABASE}?connect_timeout=1&sslmode=disable`;
  const pool = openPool(url, { max: 1, connectSeconds: 10, idleSeconds: 60 });
  const ask = (sql: string) => pool.run({ access: "read", seconds: 20, ask: (ask) => ask(sql) });
  await ask("SELECT 1");
  // The connection is lost; the next one goes straight to the host that was there.
  await assert.rejects(ask("SELECT pg_terminate_backend(pg_backend_pid())"), isUnavailable);
  await ask("SELECT 1");
  assert.equal(silent.connections(), 1);
  await pool.close();
});

Deno.test("if no host can be used, the error says why for each, in the URL's order and without names or passwords", async () => {
  const url = `postgres://u:s3cr3t@${DEAD},/db`.replace(",/", ",127.0.0.1:2/");
  await assert.rejects(answerOf(url, "SELECT 1"), (error) => {
    assert.ok(isUnavailable(error));
    assert.match(error.message, /^None of the hosts in PostgreSQL's URL can be used: 1\. .*ECONNREFUSED.*; 2\. .*ECONNREFUSED/);
    assert.ok(!/127\.0\.0\.1|s3cr3t/.test(error.message));
    assert.ok(!wordsOf(error).includes("s3cr3t"));
    return true;
  });
  const wrong = `postgres://${LOGIN.username}:s3cr3t@${HERE},${DEAD}${DATABASE}`;
  // As in libpq: a login that is refused is not tried elsewhere.
  await assert.rejects(answerOf(wrong, "SELECT 1"), /^DatabaseUnavailable: PostgreSQL refuses the login/);
  await assert.rejects(openGoProgram(wrong).check(), /^DatabaseUnavailable: PostgreSQL refuses the login/);
});

Deno.test("target_session_attrs=read-write finds the host that takes writes, and again when they have changed places", async () => {
  await using primary = await startPostgres({ own: true });
  await using standby = await startStandby(primary);
  const second = new URL(standby.urlOf(primary.url)).host;
  const both = `postgres://${USER}@${second},127.0.0.1:${primary.port}${new URL(primary.url).pathname}`;
  const port = "SELECT current_setting('port')::int AS port";
  const portOf = async (parameters: string) => Number(await answerOf(both + parameters, port));
  const away = Number(second.split(":")[1]);
  await waitFor(() => portOf("").then((found) => found === away, () => false), { what: "the standby to take connections" });
  assert.equal(await portOf("?target_session_attrs=any"), away);
  assert.equal(await portOf("?target_session_attrs=read-write"), primary.port);
  assert.equal(await portOf("?target_session_attrs=primary"), primary.port);

  const url = `${both}?target_session_attrs=read-write`;
  await migratePostgres({ ...MIGRATE_DEFAULTS, url });
  const store = openPostgresStore({ ...POSTGRES_DEFAULTS, url });
  await store.recordUsage([rowOf()]);
  await standby.caughtUp();
  await primary.kill();
  await assert.rejects(store.recordUsage([rowOf({ id: "ar-2" })]), isUnavailable);
  await standby.promote();
  await store.recordUsage([rowOf({ id: "ar-2", createdAt: T0 + 1 })]);
  await store.close();
  assert.equal(await answerOf(`postgres://${USER}@${second}${new URL(primary.url).pathname}`, "SELECT count(*) FROM usage"), 2n);
});

Deno.test("the error of a standby says how to find the host that takes writes", async () => {
  await server.psql(`ALTER DATABASE ${DATABASE.slice(1)} SET default_transaction_read_only = on`);
  const url = `postgres://${USER}@${HERE}${DATABASE}`;
  const pool = openPool(url, { max: 1, connectSeconds: 10, idleSeconds: 60 });
  await assert.rejects(pool.run({ access: "write", seconds: 20, ask: (ask) => ask("CREATE TABLE t (a int)") }), (error) => {
    assert.ok(isUnavailable(error));
    assert.match(error.message, /^PostgreSQL takes no writes: the server is a standby.*target_session_attrs=read-write/);
    return true;
  });
  await pool.close();
  await assert.rejects(
    answerOf(`${url}?target_session_attrs=read-write`, "SELECT 1"),
    /not what target_session_attrs=read-write in its URL asks for/,
  );
  assert.equal(await answerOf(`${url}?target_session_attrs=primary`, "SELECT 1"), 1);
  await server.psql(
    `ALTER DATABASE ${DATABASE.slice(1)} RESET default_transaction_read_only`,
    server.url.replace(DATABASE, "/postgres"),
  );
});

/** A server that takes connections and never says a word. */
async function startSilent(): Promise<AsyncDisposable & { readonly port: number; readonly connections: () => number }> {
  const sockets: Socket[] = [];
  const listener: Server = createServer((socket) => {
    socket.on("error", () => {});
    socket.resume();
    sockets.push(socket);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    port: (listener.address() as { readonly port: number }).port,
    connections: () => sockets.length,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => listener.close(() => resolve()));
    },
  };
}
