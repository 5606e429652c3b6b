import { MIGRATE_DEFAULTS, migratePostgres } from "../../src/stores/postgres/migrate.ts";
import { openPostgresRepricing } from "../../src/stores/postgres/repricing.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "../../src/stores/postgres/store.ts";
import { startPostgres } from "../postgres_server.ts";
import { auditLaws } from "./audit_laws.ts";
import { limitLaws } from "./limit_laws.ts";
import { ownedLaws } from "./owned_laws.ts";
import { repricingLaws } from "./repricing_laws.ts";
import { retryLaws } from "./retry_laws.ts";
import { sessionLaws } from "./session_laws.ts";
import { storeLaws } from "./store_laws.ts";
import { suspensionLaws } from "./suspension_laws.ts";

const server = await startPostgres();
// Each law has its own database: a copy of this one, because migrating takes longer than many laws.
await migratePostgres({ ...MIGRATE_DEFAULTS, url: server.url });
Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());

storeLaws("PostgreSQL store", make);
retryLaws("PostgreSQL store", make);
ownedLaws("PostgreSQL store", make);
sessionLaws("PostgreSQL store", make);
limitLaws("PostgreSQL store", async () => {
  const { url, ...made } = await make();
  return { ...made, expire: async () => void await server.psql("UPDATE reservation_holders SET expires_at = 0", url) };
});
suspensionLaws("PostgreSQL store", make);
auditLaws("PostgreSQL store", async () => {
  const { url, ...stand } = await make();
  return { ...stand, run: (sql) => server.psql(sql, url) };
});
repricingLaws("PostgreSQL repricing", async () => {
  const { store, url, dispose } = await make();
  return { store, repricing: openPostgresRepricing(url), dispose };
});

async function make() {
  const url = await server.newDatabase(server.url);
  const store = openPostgresStore({ ...POSTGRES_DEFAULTS, url });
  return { store, url, dispose: () => store.close() };
}
