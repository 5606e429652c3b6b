import type { NewId } from "../domain/ids.ts";
import type { Config } from "../config/config.ts";
import type { StorageConfig } from "../config/config.ts";
import type { ConfigSource } from "../config/settings_reader.ts";

import type { MigratedDatabase, Offline } from "../server/offline.ts";

/** What the program runs on. main.ts hands it in; a test hands in another. */
export interface CliSystem {
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

/** A command did not do what it was asked for. The message is all that its user sees. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
}

export function configSourceOf({ env, envNames, readFile }: CliSystem): ConfigSource {
  return { env, names: envNames, readFile };
}
