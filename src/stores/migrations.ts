import { DatabaseUnavailable } from "../domain/unavailable.ts";

/** One step of a schema, read from `NNNN_name.sql`. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/** A migration that a database has had. */
export interface AppliedMigration {
  readonly version: number;
  readonly name: string;
}

/** The schema's version before and after a run of migrations; 0 is an empty database. */
export interface Migrated {
  readonly from: number;
  readonly to: number;
}

/** A newer program wrote the database. An older one could misread it, so it refuses. */
export class SchemaTooNew extends DatabaseUnavailable {
  constructor(found: number, known: number) {
    super(
      `Cannot use the database: its schema has version ${found}, and this llmproxy knows versions up to ${known}. ` +
        `Run the llmproxy that wrote it, or a newer one, or restore a backup from before the upgrade`,
    );
    this.name = "SchemaTooNew";
  }
}

const FILE_NAME = /^(\d{4})_([a-z0-9_]+)\.sql$/;

/**
 * The migrations in a folder, lowest version first. Versions must run from 1 without a gap.
 * Throws if the folder cannot be read or holds another file.
 */
export function readMigrations(folder: URL): readonly Migration[] {
  const migrations: Migration[] = [];
  for (const entry of Deno.readDirSync(folder)) {
    const [, version, name] = FILE_NAME.exec(entry.name) ?? [];
    if (version === undefined || name === undefined) {
      throw new Error(`Cannot read the migrations: "${entry.name}" is not named NNNN_name.sql`);
    }
    migrations.push({ version: Number(version), name, sql: Deno.readTextFileSync(new URL(entry.name, folder)) });
  }
  migrations.sort((a, b) => a.version - b.version);
  const gap = migrations.findIndex((migration, index) => migration.version !== index + 1);
  if (gap !== -1) throw new Error(`Cannot read the migrations: the one after version ${gap} is not version ${gap + 1}`);
  return migrations;
}

/** The migrations that a database lacks, in order. Throws `SchemaTooNew` if it has unknown ones. */
export function missingMigrations(
  known: readonly Migration[],
  applied: readonly AppliedMigration[],
): readonly Migration[] {
  const found = schemaVersion(applied);
  const newest = schemaVersion(known);
  if (found > newest) throw new SchemaTooNew(found, newest);
  return known.filter((migration) => migration.version > found);
}

/** The highest version, or 0. */
export function schemaVersion(migrations: readonly AppliedMigration[]): number {
  return migrations.reduce((highest, migration) => Math.max(highest, migration.version), 0);
}
