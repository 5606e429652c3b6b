import { connectPostgres } from "../stores/postgres/store.ts";
import { SharedDatabase, storeOver } from "../stores/shipping/shared_database.ts";
import { openDataDir } from "../stores/sqlite/data_dir.ts";
import { migrateSqlite } from "../stores/sqlite/migrate.ts";
import { takeRole } from "../stores/sqlite/role.ts";
import { openSqliteStore } from "../stores/sqlite/store.ts";
import type { StorageConfig } from "../config/storage_config.ts";
import type { Store } from "../domain/store.ts";
import type { Tokens } from "../domain/tokens.ts";

export interface Offline {
  readonly tokens: Tokens;
  readonly records: Pick<Store, "recordUsage" | "recordTraces">;
  readonly end: () => Promise<void>;
}

/** The tokens and records of a proxy that does not run, wherever they are kept. Rejects with `DataDirLocked` where it does. */
export async function openOffline(storage: StorageConfig): Promise<Offline> {
  if (storage.database !== null) {
    const shared = new SharedDatabase(connectPostgres, storage.database.url);
    const store = storeOver(shared);
    return { tokens: store, records: store, end: () => shared.close() };
  }
  const dir = openDataDir(storage.dataDir);
  try {
    migrateSqlite(dir.databasePath);
    // What is written here is counted here; a shared database gets it when the file is a spool again.
    takeRole(dir.databasePath, "database");
    const store = await openSqliteStore({ path: dir.databasePath, synchronous: "full", checkpointMs: 0 });
    return { tokens: store, records: store, end: () => store.close().finally(() => dir.release()) };
  } catch (error) {
    dir.release();
    throw error;
  }
}
