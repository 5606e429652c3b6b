import type { StorageConfig } from "../../config/config.ts";
import { wordsOf } from "../../domain/unavailable.ts";
import { examinePostgres, type PostgresFacts } from "../../stores/postgres/examine.ts";
import { examineSqlite } from "../../stores/sqlite/examine.ts";
import { type Finding, findingsOf } from "./finding.ts";
import { ofClock } from "./upstream.ts";

const database = findingsOf("database");

/** For connecting, and for all questions. */
const SECONDS = 10;
const OLDEST_VERSION = 14;

/** The database of the settings: whether it is there, is up to date and can be used. */
export async function examineDatabase(
  { dataDir, database: shared }: StorageConfig,
  now: () => number,
): Promise<readonly Finding[]> {
  if (shared === null) return [ofSqlite(`${dataDir}/llmproxy.db`)];
  try {
    return ofPostgres(await examinePostgres(shared.url, { seconds: SECONDS, now }));
  } catch (error) {
    return [
      database.failed(
        wordsOf(error),
        "docs/scaling.md says what the role and the database need. Calls go on; their rows wait in the spool.",
      ),
    ];
  }
}

function ofSqlite(path: string): Finding {
  const { version, needed, fault } = examineSqlite(path);
  if (fault !== null) {
    return database.failed(`${path} cannot be read: ${fault}`, "If it is damaged, restore a backup: docs/operations.md#back-up.");
  }
  if (version === null) return database.skipped("There is no embedded database yet; serve makes it");
  return ofVersion(version, { needed, what: "The embedded database" });
}

function ofVersion(version: number, { needed, what }: { readonly needed: number; readonly what: string }): Finding {
  if (version === needed) return database.ok(`${what} is up to date (schema version ${version})`);
  return version > needed
    ? database.failed(
      `${what} has schema version ${version}, and this llmproxy knows ${needed}`,
      "Run the llmproxy that wrote it, or a newer one, or restore a backup from before the upgrade.",
    )
    : database.warning(
      `${what} has schema version ${version}; this llmproxy needs ${needed}`,
      "serve upgrades it at its start, and so does llmproxy migrate.",
    );
}

export function ofPostgres(facts: PostgresFacts): readonly Finding[] {
  const { version, encoding, isReadOnly, schema, canCreate, foreignTables, schemaVersion, neededVersion, aheadMs } = facts;
  const major = Math.floor(version / 10_000);
  const faults = [
    major < OLDEST_VERSION && database.failed(`PostgreSQL ${major} is too old`, `Upgrade it to ${OLDEST_VERSION} or later.`),
    !["UTF8", "SQL_ASCII"].includes(encoding) &&
    database.failed(`The database is encoded in ${encoding}, which does not hold every text`, "Make one with ENCODING 'UTF8'."),
    isReadOnly && database.failed(
      "PostgreSQL takes no writes: it is a standby, or was made read-only",
      "Correct LLMPROXY_DATABASE_URL. With several hosts in it, target_session_attrs=read-write finds the one that takes writes.",
    ),
    (schema === null || !canCreate) && database.failed(
      schema === null ? "No schema of the role's search path is there" : `The role may not create tables in the schema ${schema}`,
      "GRANT USAGE, CREATE ON SCHEMA … TO the role; docs/scaling.md has the statements.",
    ),
    foreignTables.length > 0 && database.failed(
      `Another role owns ${foreignTables.join(", ")}`,
      "ALTER TABLE … OWNER TO the role: replicas attach and drop partitions, which only the owner may.",
    ),
  ].filter((finding) => finding !== false);
  const minor = version % 10_000;
  const reached = faults.length > 0
    ? []
    : [database.ok(`PostgreSQL ${major}.${minor} answers, and the role has the rights that it needs`)];
  const upToDate = schemaVersion === 0
    ? database.skipped("The shared database is empty; serve makes its tables")
    : ofVersion(schemaVersion, { needed: neededVersion, what: "The shared database" });
  return [...reached, ...faults, upToDate, ofClock([aheadMs], "PostgreSQL's")];
}
