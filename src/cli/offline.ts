import { openDataDir } from "../stores/sqlite/data_dir.ts";
import { migrateSqlite } from "../stores/sqlite/migrate.ts";
import { openSqliteStore } from "../stores/sqlite/store.ts";
import type { StorageConfig } from "./config.ts";
import type { Offline } from "./platform.ts";

/** The store of a proxy that does not run. Rejects with `DataDirLocked` where it does. */
export async function openOffline(storage: StorageConfig): Promise<Offline> {
  const dir = openDataDir(storage.dataDir);
  try {
    migrateSqlite(dir.databasePath);
    const store = await openSqliteStore({ path: dir.databasePath, synchronous: "full", checkpointMs: 0 });
    return { tokens: store, end: () => store.close().finally(() => dir.release()) };
  } catch (error) {
    dir.release();
    throw error;
  }
}
