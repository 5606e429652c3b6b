import { MIGRATE_DEFAULTS, migratePostgres } from "../../src/stores/postgres/migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS } from "../../src/stores/postgres/store.ts";
import { startPostgres } from "../postgres_server.ts";
import { ownedLaws } from "./owned_laws.ts";
import { storeLaws } from "./store_laws.ts";

const server = await startPostgres();
Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());

storeLaws("PostgreSQL store", open);
ownedLaws("PostgreSQL store", open);

async function open() {
  const url = await server.newDatabase();
  await migratePostgres({ ...MIGRATE_DEFAULTS, url });
  const store = openPostgresStore({ ...POSTGRES_DEFAULTS, url });
  return { store, dispose: () => store.close() };
}
