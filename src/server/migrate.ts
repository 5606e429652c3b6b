import { connectPostgres } from "../stores/postgres/store.ts";
import type { Migrated } from "../stores/migrations.ts";
import { openDataDir } from "../stores/sqlite/data_dir.ts";
import { migrateSqlite } from "../stores/sqlite/migrate.ts";
import type { StorageConfig } from "../config/storage_config.ts";

export interface MigratedDatabase {
  /** For an operator. */
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** Migrates what the settings name. Rejects with `DataDirLocked` while a proxy runs here, `DataDirUnusable`, or `SchemaTooNew`. */
export async function migrateAll(storage: StorageConfig): Promise<readonly MigratedDatabase[]> {
  const embedded = { name: "embedded database", ...migrateEmbedded(storage) };
  if (storage.database === null) return [embedded];
  const { store, migrate } = connectPostgres(storage.database.url);
  try {
    return [embedded, { name: "shared database", ...await migrate() }];
  } finally {
    await store.close();
  }
}

function migrateEmbedded(storage: StorageConfig): Migrated {
  const dir = openDataDir(storage.dataDir);
  try {
    return migrateSqlite(dir.databasePath);
  } finally {
    dir.release();
  }
}
