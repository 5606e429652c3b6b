import { migrateSqlite } from "../../src/stores/sqlite/migrate.ts";
import { openSqliteStore } from "../../src/stores/sqlite/store.ts";
import { ownedLaws } from "./owned_laws.ts";
import { storeLaws } from "./store_laws.ts";

storeLaws("SQLite store", open);
ownedLaws("SQLite store", open);

async function open() {
  const dir = Deno.makeTempDirSync();
  migrateSqlite(`${dir}/llmproxy.db`);
  const store = await openSqliteStore({ path: `${dir}/llmproxy.db`, synchronous: "normal", checkpointMs: 0 });
  return { store, dispose: () => store.close().then(() => Deno.removeSync(dir, { recursive: true })) };
}
