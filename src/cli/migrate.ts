import { openDataDir } from "../stores/sqlite/data_dir.ts";
import { migrateSqlite } from "../stores/sqlite/migrate.ts";
import { loadStorageConfig, type StorageConfig } from "./config.ts";
import { configSourceOf, type Platform } from "./platform.ts";

/** `llmproxy migrate`: brings the database up to this program and says from where to where. */
export function migrateCommand(platform: Platform): void {
  const { from, to } = platform.migrate(loadStorageConfig(configSourceOf(platform)));
  platform.stdout(
    from === to ? `nothing to apply: the schema has version ${to}\n` : `the schema went from version ${from} to ${to}\n`,
  );
}

/** Migrates the embedded database. Throws `DataDirLocked` while a proxy runs on it, `DataDirUnusable`, or `SchemaTooNew`. */
export function migrateEmbedded(storage: StorageConfig): { readonly from: number; readonly to: number } {
  const dir = openDataDir(storage.dataDir);
  try {
    return migrateSqlite(dir.databasePath);
  } finally {
    dir.release();
  }
}
