import { DatabaseSync } from "node:sqlite";
import { schemaVersion } from "../migrations.ts";
import { appliedMigrations, newestMigration } from "./migrate.ts";

export interface SqliteFacts {
  /** The schema's version; null if there is no file. */
  readonly version: number | null;
  /** The version that this program needs. */
  readonly needed: number;
  /** Why the file cannot be read; null if it can. */
  readonly fault: string | null;
}

/** Reads the embedded database's version. Changes nothing, and a proxy may run on the file. */
export function examineSqlite(path: string): SqliteFacts {
  const needed = newestMigration();
  try {
    Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { version: null, needed, fault: null };
    return { version: null, needed, fault: (error as Error).message };
  }
  try {
    using db = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
    return { version: schemaVersion(appliedMigrations(db)), needed, fault: null };
  } catch (error) {
    return { version: null, needed, fault: (error as Error).message };
  }
}
