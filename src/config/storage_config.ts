import { parsePostgresUrl } from "../stores/postgres/url.ts";
import type { EnvironmentReader } from "./environment.ts";
import type { ValueOf } from "./settings.ts";

export interface StorageConfig {
  readonly dataDir: string;
  readonly sync: ValueOf<"LLMPROXY_LEDGER_SYNC">;
  /** The shared database; null: everything is in the data directory. */
  readonly database: DatabaseConfig | null;
  /** Rows older than this are dropped; null: all are kept. */
  readonly retentionMs: number | null;
}

export interface DatabaseConfig {
  /** Holds a password. */
  readonly url: string;
  /** How long a local token that was used here works on while the database is away. */
  readonly tokenGraceMs: number;
  readonly spool: {
    readonly keepMs: number;
    readonly maxBytes: number;
    readonly onFull: ValueOf<"LLMPROXY_SPOOL_FULL">;
  };
}

const MS_PER_SECOND = 1_000;
const MS_PER_HOUR = 3_600_000;
const MS_PER_DAY = 24 * MS_PER_HOUR;
const BYTES_PER_MB = 1_048_576;

export function readStorage(reader: EnvironmentReader): StorageConfig {
  const days = reader.read("LLMPROXY_RETENTION_DAYS");
  return {
    dataDir: readDataDir(reader),
    sync: reader.read("LLMPROXY_LEDGER_SYNC"),
    database: readDatabase(reader),
    retentionMs: days === null ? null : days * MS_PER_DAY,
  };
}

function readDatabase(reader: EnvironmentReader): DatabaseConfig | null {
  const url = readDatabaseUrl(reader);
  const spool = {
    keepMs: reader.read("LLMPROXY_SPOOL_KEEP_HOURS") * MS_PER_HOUR,
    maxBytes: reader.read("LLMPROXY_SPOOL_MAX_MB") * BYTES_PER_MB,
    onFull: reader.read("LLMPROXY_SPOOL_FULL"),
  };
  const tokenGraceMs = reader.read("LLMPROXY_TOKEN_GRACE_SECONDS") * MS_PER_SECOND;
  return url === null ? null : { url, tokenGraceMs, spool };
}

/** No message of `parsePostgresUrl` holds the URL. */
export function readDatabaseUrl(reader: EnvironmentReader): string | null {
  const url = reader.read("LLMPROXY_DATABASE_URL");
  try {
    if (url !== null) parsePostgresUrl(url);
    return url;
  } catch (error) {
    const why = (error as Error).message.replace("Cannot read the database's URL: ", "");
    reader.problems.push(`Cannot use LLMPROXY_DATABASE_URL: ${why}`);
    return null;
  }
}

/** systemd's STATE_DIRECTORY may name several folders, with colons between them; the first is ours (systemd.exec(5)). */
export function readDataDir(reader: EnvironmentReader): string {
  const state = reader.foreign("STATE_DIRECTORY")?.split(":")[0];
  return !reader.isSet("LLMPROXY_DATA_DIR") && state ? state : reader.read("LLMPROXY_DATA_DIR");
}
