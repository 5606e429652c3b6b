import { DatabaseSync } from "node:sqlite";
import { migrateSqlite } from "../../src/stores/sqlite/migrate.ts";
import { openSqliteRepricing } from "../../src/stores/sqlite/repricing.ts";
import { openSqliteStore } from "../../src/stores/sqlite/store.ts";
import { auditLaws } from "./audit_laws.ts";
import { limitLaws } from "./limit_laws.ts";
import { ownedLaws } from "./owned_laws.ts";
import { repricingLaws } from "./repricing_laws.ts";
import { retryLaws } from "./retry_laws.ts";
import { sessionLaws } from "./session_laws.ts";
import { storeLaws } from "./store_laws.ts";
import { suspensionLaws } from "./suspension_laws.ts";

storeLaws("SQLite store", make);
retryLaws("SQLite store", make);
ownedLaws("SQLite store", make);
sessionLaws("SQLite store", make);
limitLaws("SQLite store", async () => {
  const { path, ...made } = await make();
  return {
    ...made,
    expire: () => {
      const db = new DatabaseSync(path);
      db.exec("UPDATE reservation_holders SET expires_at = 0");
      db.close();
      return Promise.resolve();
    },
  };
});
suspensionLaws("SQLite store", make);
auditLaws("SQLite store", async () => {
  const { path, ...stand } = await make();
  return { ...stand, run: (sql) => Promise.try(() => onDatabase(path, sql)) };
});
repricingLaws("SQLite repricing", async () => {
  const { store, path, dispose } = await make();
  return { store, repricing: openSqliteRepricing(path, "normal"), dispose };
});

function onDatabase(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  try {
    db.exec(sql);
  } finally {
    db.close();
  }
}

async function make() {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/llmproxy.db`;
  migrateSqlite(path);
  const store = await openSqliteStore({ path, synchronous: "normal" });
  return { store, path, dispose: () => store.close().then(() => Deno.removeSync(dir, { recursive: true })) };
}
