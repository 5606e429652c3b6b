import { schemaVersion } from "../migrations.ts";
import { migrationsOf, newestMigration } from "./migrate.ts";
import { openPool } from "./pool.ts";

/** A PostgreSQL as it was found. Nothing was changed. */
export interface PostgresFacts {
  /** As `server_version_num` has it: 140005 is 14.5. */
  readonly version: number;
  readonly encoding: string;
  /** It takes no writes, because it is a standby or because someone said so. */
  readonly isReadOnly: boolean;
  /** Where tables are made; null if no schema of the search path is there. */
  readonly schema: string | null;
  readonly canCreate: boolean;
  /** Tables of ours that another role owns. */
  readonly foreignTables: readonly string[];
  /** 0: no migration has run. */
  readonly schemaVersion: number;
  /** The version that this program needs. */
  readonly neededVersion: number;
  /** How far the server's clock is ahead, milliseconds. */
  readonly aheadMs: number;
}

/** Rejects with `DatabaseUnavailable`, or as `openPool` does. No error holds the password. */
export async function examinePostgres(
  url: string,
  { seconds, now }: { readonly seconds: number; readonly now: () => number },
): Promise<PostgresFacts> {
  const pool = openPool(url, { max: 1, connectSeconds: seconds, idleSeconds: seconds });
  try {
    return await pool.run({
      access: "read latest",
      seconds,
      ask: async (ask) => {
        const before = now();
        const [server] = await ask(SERVER);
        const at = (before + now()) / 2;
        const foreign = await ask(FOREIGN_TABLES);
        return {
          version: Number(server!.version),
          encoding: String(server!.encoding),
          isReadOnly: server!.is_standby === true || server!.default_read_only === "on",
          schema: server!.schema === null ? null : String(server!.schema),
          canCreate: server!.can_create === true,
          foreignTables: foreign.map((row) => String(row.name)),
          schemaVersion: schemaVersion(await migrationsOf(ask)),
          neededVersion: newestMigration(),
          aheadMs: Number(server!.now) - at,
        };
      },
    });
  } finally {
    await pool.close();
  }
}

const SERVER = `
  SELECT
    current_setting('server_version_num')                            AS version,
    current_setting('server_encoding')                               AS encoding,
    pg_is_in_recovery()                                              AS is_standby,
    current_setting('default_transaction_read_only')                 AS default_read_only,
    current_schema()                                                 AS schema,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS can_create,
    floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint      AS now`;

/** Replicas attach and drop partitions, which only the owner may (decision 0061). */
const FOREIGN_TABLES = `
  SELECT relname AS name
  FROM pg_class
  WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
    AND (relname IN ('schema_migrations', 'traces', 'usage', 'usage_hours', 'usage_rollups', 'tokens', 'limits', 'audit')
      OR relname LIKE 'usage\\_2%')
    AND NOT pg_has_role(relowner, 'USAGE')
  ORDER BY relname`;
