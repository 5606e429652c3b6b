import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { ALL } from "../../../tests/conformance/samples.ts";
import { startPostgres } from "../../../tests/postgres_server.ts";
import { rowOf } from "../../../tests/conformance/samples.ts";
import { DatabaseSync } from "node:sqlite";
import { readMigrations, SchemaTooNew } from "../migrations.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "./migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "./store.ts";

const server = await startPostgres();
Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());

Deno.test("migratePostgres() by three replicas at once migrates an empty database once, and all three can store", async () => {
  const url = await server.newDatabase();
  const row = rowOf({}, { inputTokens: 1 });
  const stores = await Promise.all([1, 2, 3].map(async () => {
    const { to } = await migratePostgres({ ...MIGRATE_DEFAULTS, url });
    assert.ok(to >= 1);
    const store = openPostgresStore({ ...POSTGRES_DEFAULTS, url });
    await store.makeReady(row.call.createdAt);
    await store.recordUsage([row]);
    return store;
  }));
  for (const store of stores) {
    const [group] = (await store.queryUsage(ALL)).usage;
    assert.equal(group?.inputTokens, 1n);
    await store.close();
  }
  const { from, to } = await migratePostgres({ ...MIGRATE_DEFAULTS, url });
  assert.equal(from, to);
  assert.equal((await server.psql("SELECT version FROM schema_migrations", url)).length, to);
});

Deno.test("migratePostgres() refuses a database of a newer program and leaves it as it was", async () => {
  const url = await server.newDatabase();
  const { from, to } = await migratePostgres({ ...MIGRATE_DEFAULTS, url });
  assert.equal(from, 0);
  await server.psql(`INSERT INTO schema_migrations VALUES (${to + 1}, 'from_the_future')`, url);
  await assert.rejects(migratePostgres({ ...MIGRATE_DEFAULTS, url }), SchemaTooNew);
});

Deno.test("migratePostgres() refuses a database that cannot hold every text, and says what to create", async () => {
  const url = new URL(await server.newDatabase());
  const name = `${url.pathname.slice(1)}_latin`;
  await server.psql(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`);
  url.pathname = `/${name}`;
  try {
    await assert.rejects(
      migratePostgres({ ...MIGRATE_DEFAULTS, url: url.href }),
      /encoded in LATIN1.*make one with ENCODING 'UTF8'/,
    );
  } finally {
    await server.psql(`DROP DATABASE ${name} WITH (FORCE)`);
  }
});

Deno.test("migratePostgres() keeps the migrations before one that fails, and nothing of that one", async () => {
  const url = await server.newDatabase();
  const dir = Deno.makeTempDirSync();
  const folder = pathToFileURL(`${dir}/`);
  const write = (name: string, sql: string) => Deno.writeTextFileSync(`${dir}/${name}`, sql);
  write("0001_first.sql", "CREATE TABLE schema_migrations (version BIGINT, name TEXT); CREATE TABLE a (x INT)");
  write("0002_bad.sql", "CREATE TABLE b (x INT); CREATE TABLE a (x INT)");
  await assert.rejects(migratePostgres({ ...MIGRATE_DEFAULTS, url, folder }), /already exists/);
  write("0002_bad.sql", "CREATE TABLE b (x INT)");
  assert.deepEqual(await migratePostgres({ ...MIGRATE_DEFAULTS, url, folder }), { from: 1, to: 2 });
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("migrations/postgres has the tables of migrations/sqlite, column by column, except what only one of them needs", async () => {
  const url = await server.newDatabase();
  await migratePostgres({ ...MIGRATE_DEFAULTS, url });
  const rows = await server.psql(
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    url,
  );
  const shared = sqliteColumns().filter((column) => !/^handed_over\.|^usage\.(attempt|counted)$/.test(column));
  const columns = rows.map((row) => `${row.table_name}.${row.column_name}`);
  assert.deepEqual(columns.filter((column) => !/^reservations\.is_late$|^usage\.arrival$/.test(column)), shared);
});

/** In the order of tables, and of columns within each. */
function sqliteColumns(): readonly string[] {
  const db = new DatabaseSync(":memory:");
  for (const { sql } of readMigrations(new URL("../../../migrations/sqlite/", import.meta.url))) db.exec(sql);
  const columns = db.prepare(`
    SELECT t.name || '.' || c.name AS name
    FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'
    ORDER BY t.name, c.cid`).all();
  db.close();
  return columns.map((row) => String(row.name));
}
