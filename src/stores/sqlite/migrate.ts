import type { DatabaseSync } from "node:sqlite";
import {
  type AppliedMigration,
  type Migrated,
  type Migration,
  missingMigrations,
  readMigrations,
  schemaVersion,
} from "../migrations.ts";
import { inTransaction, openConnection } from "./connection.ts";

/** In the executable, the folder that was included at compilation. */
const FOLDER = new URL("../../../migrations/sqlite/", import.meta.url);
const SPOOL_FOLDER = new URL("../../../migrations/spool/", import.meta.url);

/**
 * Migrates the database to this program's schema, one transaction for each migration, and creates a
 * missing one. Throws `SchemaTooNew` or SQLite's error; earlier migrations stay.
 */
export function migrateSqlite(path: string, folder: URL = FOLDER): Migrated {
  const known = readMigrations(folder);
  Deno.openSync(path, { create: true, write: true, mode: 0o600 }).close();
  const db = openConnection(path, { synchronous: "full", busyTimeoutMs: 5_000, autoCheckpointPages: 1_000, cacheKib: 2_000 });
  try {
    const from = schemaVersion(appliedMigrations(db));
    while (inTransaction(db, () => applyNext(db, known))) continue;
    return { from, to: schemaVersion(appliedMigrations(db)) };
  } finally {
    db.close();
  }
}

/** As `migrateSqlite`, for a spool. */
export function migrateSpool(path: string): Migrated {
  return migrateSqlite(path, SPOOL_FOLDER);
}

/** The version of this program's schema. */
export function newestMigration(): number {
  return schemaVersion(readMigrations(FOLDER));
}

/** False if nothing was missing. */
function applyNext(db: DatabaseSync, known: readonly Migration[]): boolean {
  const next = missingMigrations(known, appliedMigrations(db))[0];
  if (next === undefined) return false;
  db.exec(next.sql);
  db.prepare("INSERT INTO schema_migrations (version, name) VALUES (?, ?)").run(next.version, next.name);
  return true;
}

/** Those that the database has had. */
export function appliedMigrations(db: DatabaseSync): readonly AppliedMigration[] {
  const table = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'").get();
  if (table === undefined) return [];
  return db.prepare("SELECT version, name FROM schema_migrations").all()
    .map((row) => ({ version: Number(row.version), name: String(row.name) }));
}
