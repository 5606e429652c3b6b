import type { Migrated } from "../migrations.ts";
import { isOwnFault } from "./errors.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "./migrate.ts";
import { openPostgresStore, POSTGRES_DEFAULTS, type PostgresOptions } from "./store.ts";

/** A PostgreSQL of which nothing may be there yet: it is connected to when it is first asked. */
export interface ConnectedPostgres {
  readonly store: ReturnType<typeof openPostgresStore> & { readonly isOwnFault: (error: unknown) => boolean };
  /** As `migratePostgres`. */
  readonly migrate: () => Promise<Migrated>;
}

/** Throws where the URL, or the root certificate that it names, cannot be read. */
export function connectPostgres(url: string, options: Partial<PostgresOptions> = {}): ConnectedPostgres {
  const { connectSeconds } = { ...POSTGRES_DEFAULTS, ...options };
  return {
    store: { ...openPostgresStore({ ...POSTGRES_DEFAULTS, ...options, url }), isOwnFault },
    migrate: () => migratePostgres({ ...MIGRATE_DEFAULTS, connectSeconds, url }),
  };
}
