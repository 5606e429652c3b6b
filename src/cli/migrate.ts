import { connectPostgres } from "../stores/postgres/connect.ts";
import type { Migrated } from "../stores/migrations.ts";
import { openDataDir } from "../stores/sqlite/data_dir.ts";
import { migrateSqlite } from "../stores/sqlite/migrate.ts";
import { loadStorageConfig } from "./config.ts";
import type { StorageConfig } from "./storage_config.ts";
import { configSourceOf, type MigratedDatabase, type Platform } from "./platform.ts";

/** `llmproxy migrate`: brings the databases up to this program and says from where to where. */
export async function migrateCommand(platform: Platform): Promise<void> {
  for (const { name, from, to } of await platform.migrate(loadStorageConfig(configSourceOf(platform)))) {
    const did = from === to ? `nothing to apply: the schema has version ${to}` : `the schema went from version ${from} to ${to}`;
    platform.stdout(`${name}: ${did}\n`);
  }
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
