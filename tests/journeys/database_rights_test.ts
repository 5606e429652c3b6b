import assert from "node:assert/strict";
import { ALL, rowOf, T0 } from "../conformance/samples.ts";
import { connectPostgres } from "../../src/stores/postgres/store.ts";
import { isUnavailable } from "../../src/domain/unavailable.ts";
import { callAndRead } from "../metered_calls.ts";
import { startPostgres } from "../postgres_server.ts";
import { startProxy } from "../proxy_under_test.ts";
import { arrivedRows } from "../shared_rows.ts";

/** Roles are the server's, not a database's. */
const postgres = await startPostgres({ own: true });
Deno.test.afterAll(async () => await postgres[Symbol.asyncDispose]());

/** The statements of docs/scaling.md, for a role and a database of the test's own. */
const RIGHTS = /```sql\n(CREATE ROLE llmproxy [\s\S]*?)```/.exec(
  Deno.readTextFileSync(new URL("../../docs/scaling.md", import.meta.url)),
)![1]!;

let roles = 0;

/**
 * A database and the URL of a role that has what docs/scaling.md gives it, and nothing that
 * everybody has.
 */
async function withDocumentedRights(): Promise<{ readonly url: string; readonly owner: string; readonly role: string }> {
  const [role, database] = [`role_${++roles}`, `database_${roles}`];
  const owner = new URL(postgres.url);
  owner.pathname = `/${database}`;
  const [inServer, inDatabase] = RIGHTS.replace("ROLE llmproxy", `ROLE ${role}`).replace("TO llmproxy", `TO ${role}`)
    .replaceAll("DATABASE llmproxy", `DATABASE ${database}`).replace("public TO llmproxy", `public TO ${role}`).split(/^--.*$/m);
  for (const statement of inServer!.split(";")) if (statement.trim() !== "") await postgres.psql(statement);
  await postgres.psql(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC`, owner.href);
  await postgres.psql(inDatabase!, owner.href);
  const url = new URL(owner);
  [url.username, url.password] = [role, "choose-one"];
  return { url: url.href, owner: owner.href, role };
}

Deno.test("a role with the rights of docs/scaling.md migrates, ships, answers, exports, makes the months' partitions and drops them", async () => {
  const { url, role } = await withDocumentedRights();
  await using proxy = await startProxy({ env: { LLMPROXY_DATABASE_URL: url } });
  const token = await proxy.token();
  await callAndRead(proxy.url, { token, text: "hello" });
  await arrivedRows(postgres, { count: 1, url });
  const { totals } = await proxy.ask("/internal/usage") as { readonly totals: { readonly requestCount: number } };
  assert.equal(totals.requestCount, 1);
  assert.equal((await proxy.text("/internal/export?format=csv")).trimEnd().split("\n").length, 2);
  for (const path of ["/internal/traces", "/internal/refusals", "/internal/tokens"]) await proxy.ask(path);

  const { store } = connectPostgres(url);
  await store.recordUsage([rowOf()]);
  await store.makeReady(Date.UTC(2031, 0, 15));
  const partitions = async () =>
    (await postgres.psql("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'usage_20%' ORDER BY 1", url)).map(
      (row) => String(row.relname),
    );
  assert.ok((await partitions()).includes("usage_2031_03"));
  const month = new Date(T0).toISOString().slice(0, 7).replace("-", "_");
  assert.ok((await partitions()).includes(`usage_${month}`));
  await store.dropMonths(Date.UTC(2026, 8));
  assert.ok(!(await partitions()).includes(`usage_${month}`));
  assert.equal((await store.queryUsage(ALL)).totals.requestCount, 2);
  await store.close();
  const [rights] = await postgres.psql(
    `SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = '${role}'`,
  );
  assert.deepEqual(Object.values(rights!), [false, false, false, false, false]);
});

Deno.test("a role works in a schema of its own, which options in the URL name", async () => {
  const { url, owner, role } = await withDocumentedRights();
  await postgres.psql(`REVOKE ALL ON SCHEMA public FROM ${role}; CREATE SCHEMA metering AUTHORIZATION ${role}`, owner);
  const { store, migrate } = connectPostgres(`${url}?options=-c%20search_path%3Dmetering`);
  await migrate();
  await store.recordUsage([rowOf()]);
  assert.equal((await store.queryUsage(ALL)).totals.requestCount, 1);
  await store.close();
  const [there] = await postgres.psql("SELECT to_regclass('metering.usage') IS NOT NULL AS is_there", owner);
  assert.equal(there?.is_there, true);
});

Deno.test("a right that is missing is named, whichever it is", async () => {
  const { url, owner, role } = await withDocumentedRights();
  const { store, migrate } = connectPostgres(url);
  const refused = async (work: () => Promise<unknown>, says: RegExp) =>
    await assert.rejects(work(), (error) => {
      assert.ok(isUnavailable(error), String(error));
      assert.match(error.message, says);
      return true;
    });
  await postgres.psql(`REVOKE CREATE ON SCHEMA public FROM ${role}`, owner);
  await refused(migrate, /permission denied for schema public: USAGE and CREATE on the schema/);
  await postgres.psql(`REVOKE USAGE ON SCHEMA public FROM ${role}`, owner);
  await refused(migrate, /the role needs USAGE and CREATE on the schema/);
  await postgres.psql(`GRANT USAGE, CREATE ON SCHEMA public TO ${role}`, owner);

  // Someone else made the tables.
  const other = connectPostgres(owner);
  await other.migrate();
  await other.store.close();
  await refused(() => store.queryUsage(ALL), /permission denied for table .*to own llmproxy's tables, or to hold SELECT, INSERT/);
  await postgres.psql(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role}`, owner);
  await refused(() => store.makeReady(T0), /must be owner of table usage: the role has to own llmproxy's tables/);
  await store.close();

  await postgres.psql(`REVOKE CONNECT ON DATABASE ${new URL(url).pathname.slice(1)} FROM ${role}`);
  const shut = connectPostgres(url);
  await refused(shut.migrate, /permission denied for database .*: CONNECT on the database/);
  await shut.store.close();
});
