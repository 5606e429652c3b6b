import type { Config, StorageConfig } from "../config/config.ts";
import type { ConfigSource } from "../config/settings_reader.ts";
import { ACTOR } from "../http/audit.ts";
import type { NewId } from "../domain/ids.ts";
import type { Finding } from "../server/doctor/finding.ts";
import type { MigratedDatabase, Offline } from "../server/offline.ts";
import { EXIT, type ExitCode } from "./exit_codes.ts";
import type { Screen } from "./table.ts";

/** What the program runs on. main.ts passes it in; a test passes another. */
export interface CliSystem {
  readonly source: ConfigSource;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Writes all bytes to stdout, no faster than its reader takes them. */
  readonly writeOut: (bytes: Uint8Array) => Promise<void>;
  /** Whether stderr is a terminal. */
  readonly isTerminal: () => boolean;
  /** The terminal that stdout writes to, as large as it is now; null: a file or a pipe. */
  readonly screen: () => Screen | null;
  /**
   * Sends the admin token to the proxy itself, so it must use no HTTP proxy. `caCertificates`: PEM
   * to trust besides the public ones.
   */
  readonly fetch: (url: string, init: RequestInit, caCertificates?: string | null) => Promise<Response>;
  /** Tells which keys the user presses, until it is disposed of; without a terminal, none. */
  readonly keyboard: (pressed: (key: string) => void) => Disposable;
  /** Aborts when the user presses Ctrl-C, or the system ends the command, instead of ending it. */
  readonly interrupted: () => AbortSignal;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  readonly newId: NewId;
  /** That many bytes from a cryptographic source. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Name and version of the runtime, for `llmproxy version`. */
  readonly runtime: string;
  /** Serves until told to stop; resolves to the exit code. */
  readonly serve: (config: Config) => Promise<number>;
  /** Serves as one of several processes, as its parent orders over the standard streams. */
  readonly work: () => Promise<void>;
  /** Looks at all that a proxy with these settings needs. Never throws. */
  readonly examine: () => AsyncGenerator<Finding, void>;
  /** Returns the schemas' versions before and after. Rejects if a database is newer. */
  readonly migrate: (storage: StorageConfig) => Promise<readonly MigratedDatabase[]>;
  /** Locks the data directory until `end`. Rejects if a proxy runs on it. */
  readonly openOffline: (storage: StorageConfig) => Promise<Offline>;
}

/** A command failed. Its user sees only the message. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly exitCode: ExitCode;

  constructor(message: string, { exitCode = EXIT.failed, ...options }: ErrorOptions & { readonly exitCode?: ExitCode } = {}) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** The user who runs the command; null if the environment names none that can be recorded. */
export function userOf({ env }: ConfigSource): string | null {
  const user = env("SUDO_USER") ?? env("USER") ?? env("LOGNAME") ?? "";
  return ACTOR.test(user) ? user : null;
}

/** A time as it stands in URLs and tables. */
export function isoOf(at: number): string {
  return new Date(at).toISOString();
}
