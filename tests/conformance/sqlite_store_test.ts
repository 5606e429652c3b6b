import { migrateSqlite } from "../../src/stores/sqlite/migrate.ts";
import { openSqliteStore } from "../../src/stores/sqlite/store.ts";
import { retryLaws } from "./retry_laws.ts";
import { storeLaws } from "./store_laws.ts";

storeLaws("SQLite store", make);
retryLaws("SQLite store", make);

async function make() {
  const dir = Deno.makeTempDirSync();
  migrateSqlite(`${dir}/llmproxy.db`);
  const store = await openSqliteStore({ path: `${dir}/llmproxy.db`, synchronous: "normal", checkpointMs: 0 });
  return { store, dispose: () => store.close().then(() => Deno.removeSync(dir, { recursive: true })) };
}
