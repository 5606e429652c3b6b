import type { NewId } from "../domain/ids.ts";
import type { Store } from "../domain/store.ts";
import type { Tokens } from "../domain/tokens.ts";
import type { BatchPace } from "../journey/batch_accounts.ts";
import type { PriceList } from "../pricing/price_list.ts";
import type { Config, Secrets } from "./config.ts";
import type { StorageConfig } from "./storage_config.ts";
import type { ConfigProblems } from "./config_problems.ts";
import type { ConfigSource } from "./environment.ts";

/** What the program runs on. main.ts hands it in; a test hands in another. */
export interface Platform {
  readonly env: ConfigSource["env"];
  /** The names of all environment variables that are set. */
  readonly envNames: ConfigSource["names"];
  readonly readFile: ConfigSource["readFile"];
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Writes all of it to stdout, no faster than it is taken. */
  readonly writeOut: (bytes: Uint8Array) => Promise<void>;
  /** Whether somebody watches stderr. */
  readonly isTerminal: () => boolean;
  /** Reaches the proxy itself and carries the admin token, so it should go through no HTTP proxy. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  readonly newId: NewId;
  /** That many bytes from a cryptographic source. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Name and version of the runtime, for `llmproxy version`. */
  readonly runtime: string;
  /** Serves until told to stop; resolves to the exit code. */
  readonly serve: (config: Config) => Promise<number>;
  /** Brings the databases up to this program; gives the schemas' versions before and after. Rejects where one is newer. */
  readonly migrate: (storage: StorageConfig) => Promise<readonly MigratedDatabase[]>;
  /** The data directory of a proxy that does not run, locked until `end`. Rejects where one runs. */
  readonly openOffline: (storage: StorageConfig) => Promise<Offline>;
}

/** What a serving proxy takes from its process. */
export interface Machine {
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number;
  readonly newId: NewId;
  /** That many bytes from a cryptographic source. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Takes one log line, its line end included. It never waits for who reads the log. */
  readonly writeLog: (line: string) => void;
  /** How many log lines were dropped since the start, because nobody read them. */
  readonly logLinesDropped: () => number;
  /** Resolves when the log's lines are written, or soon, if nobody reads them. */
  readonly flushLog: () => Promise<void>;
  /** The secrets again, or what is wrong with them. */
  readonly rereadSecrets: () => Secrets | ConfigProblems;
  /** The prices again, or what is wrong with them. */
  readonly rereadPrices: () => PriceList | ConfigProblems;
  readonly batchPace: BatchPace;
}

export interface MigratedDatabase {
  /** For an operator. */
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

export interface Offline {
  readonly tokens: Tokens;
  readonly records: Pick<Store, "recordUsage" | "recordTraces">;
  readonly end: () => Promise<void>;
}

/** A command did not do what it was asked for. The message is all that its user sees. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
}

/** The program was told to work where it cannot; starting it again changes nothing. Its exit code is 2. */
export class SettingsRefused extends Error {
  override readonly name = "SettingsRefused";
}

export function configSourceOf({ env, envNames, readFile }: Platform): ConfigSource {
  return { env, names: envNames, readFile };
}
