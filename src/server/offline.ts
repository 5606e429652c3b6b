import type { StorageConfig } from "../config/config.ts";
import type { Store } from "../domain/store.ts";
import type { Tokens } from "../domain/tokens.ts";
import { connectPostgres } from "../stores/postgres/store.ts";
import { SharedDatabase, storeOver } from "../stores/shipping/shared_database.ts";
import { openDataDir } from "../stores/sqlite/data_dir.ts";
import { migrateSpool } from "../stores/sqlite/migrate.ts";
import { openSqliteStore } from "../stores/sqlite/store.ts";
import { upgradeDatabase } from "../stores/sqlite/upgrade.ts";
import type { StoreVerbs } from "../stores/verbs.ts";

/** The databases of a proxy that does not run. */
export interface Offline {
  readonly tokens: Tokens;
  readonly records: Pick<Store, "recordUsage" | "recordTraces">;
  readonly end: () => Promise<void>;
}

/** Rejects with `DataDirLocked` if a proxy runs on the data directory. */
export async function openOffline(
  storage: Pick<StorageConfig, "dataDir" | "database">,
): Promise<Offline & { readonly records: StoreVerbs }> {
  if (storage.database !== null) {
    const shared = new SharedDatabase(connectPostgres, storage.database.url);
    const store = storeOver(shared);
    return { tokens: store, records: store, end: () => shared.close() };
  }
  const dir = openDataDir(storage.dataDir);
  try {
    // What the spool holds is shipped by the next start.
    const spoolPath = dir.spoolPath(0);
    migrateSpool(spoolPath);
    upgradeDatabase(dir.databasePath, { spoolPath, isStore: true });
    const store = await openSqliteStore({ path: dir.databasePath, synchronous: "full" });
    return { tokens: store, records: store, end: () => store.close().finally(() => dir.release()) };
  } catch (error) {
    dir.release();
    throw error;
  }
}

export interface MigratedDatabase {
  /** For an operator. */
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/**
 * Migrates the databases that the settings name. Rejects with `DataDirLocked` while a proxy runs
 * here, `DataDirUnusable`, or `SchemaTooNew`.
 */
export async function migrateAll(storage: StorageConfig): Promise<readonly MigratedDatabase[]> {
  const dir = openDataDir(storage.dataDir);
  const migrated: MigratedDatabase[] = [];
  try {
    const spoolPath = dir.spoolPath(0);
    const [first, ...others] = dir.spoolPaths(1).map((path) => migrateSpool(path));
    migrated.push({ name: "spool", ...first! }, ...others.map((other, n) => ({ name: `spool of worker ${n + 2}`, ...other })));
    if (storage.database === null) {
      const { migrated: database } = upgradeDatabase(dir.databasePath, { spoolPath, isStore: true });
      migrated.push({ name: "embedded database", ...database });
    }
  } finally {
    dir.release();
  }
  if (storage.database === null) return migrated;
  const { store, migrate } = connectPostgres(storage.database.url);
  try {
    return [...migrated, { name: "shared database", ...await migrate() }];
  } finally {
    await store.close();
  }
}
