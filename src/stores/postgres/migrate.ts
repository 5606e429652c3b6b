import { DatabaseUnavailable } from "../../domain/unavailable.ts";
import {
  type AppliedMigration,
  type Migrated,
  type Migration,
  missingMigrations,
  readMigrations,
  schemaVersion,
} from "../migrations.ts";
import type { Ask } from "./connection.ts";
import { openPool } from "./pool.ts";

/** In the executable, the folder that was included at compilation. */
const FOLDER = new URL("../../../migrations/postgres/", import.meta.url);

/** Lock by which replicas that start together take turns: any number that no one else uses. */
const MIGRATING = 7_242_013_000;

export interface MigrateOptions {
  readonly url: string;
  readonly connectSeconds: number;
  /** For one migration, and the wait for another replica's. */
  readonly seconds: number;
  readonly folder: URL;
}

export const MIGRATE_DEFAULTS = { connectSeconds: 5, seconds: 600, folder: FOLDER } as const;

/**
 * Migrates the database to this program's schema, one transaction for each migration. If many race,
 * each migration runs once. Rejects with `SchemaTooNew`, or the server's or the system's error;
 * earlier migrations stay.
 */
export async function migratePostgres(options: MigrateOptions): Promise<Migrated> {
  const { url, connectSeconds, seconds, folder } = options;
  const known = readMigrations(folder);
  const pool = openPool(url, { max: 1, connectSeconds, idleSeconds: seconds });
  try {
    let from: number | null = null;
    for (;;) {
      const before = await pool.run({ access: "write", seconds, ask: (ask) => applyNext(ask, known) });
      from ??= before.version;
      if (before.isUpToDate) return { from, to: before.version };
    }
  } finally {
    await pool.close();
  }
}

/** The version of this program's schema. */
export function newestMigration(): number {
  return schemaVersion(readMigrations(FOLDER));
}

/** Returns what it found before. */
async function applyNext(ask: Ask, known: readonly Migration[]) {
  await ask("SELECT pg_advisory_xact_lock($1)", [MIGRATING]);
  const applied = await migrationsOf(ask);
  const next = missingMigrations(known, applied)[0];
  if (next !== undefined) {
    await assertEncoding(ask);
    await ask(next.sql);
    await ask("INSERT INTO schema_migrations (version, name) VALUES ($1, $2)", [next.version, next.name]);
  }
  return { version: schemaVersion(applied), isUpToDate: next === undefined };
}

/** Agents send any text. SQL_ASCII stores the bytes as they are. */
async function assertEncoding(ask: Ask): Promise<void> {
  const [row] = await ask("SHOW server_encoding");
  const encoding = String(row?.server_encoding);
  if (encoding === "UTF8" || encoding === "SQL_ASCII") return;
  throw new DatabaseUnavailable(
    `The shared database is encoded in ${encoding}, which does not hold every text: make one with ENCODING 'UTF8'`,
  );
}

/** Those that the database has had. */
export async function migrationsOf(ask: Ask): Promise<readonly AppliedMigration[]> {
  const [table] = await ask("SELECT to_regclass('schema_migrations') IS NOT NULL AS is_there");
  if (table?.is_there !== true) return [];
  return (await ask("SELECT version, name FROM schema_migrations"))
    .map((row) => ({ version: Number(row.version), name: String(row.name) }));
}
