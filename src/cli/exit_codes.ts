/** What an exit code tells a script. docs/cli.md has the same table. */
export const EXIT = {
  /** Also if the reader of the output left first, or the user ended a command that follows. */
  done: 0,
  /** The proxy refuses, what was asked for is not there, or `doctor` found a fault. */
  failed: 1,
  /** The command line or a setting is wrong. No change was asked for. */
  misused: 2,
  /** No proxy answers, or it cannot serve this now. The same command may work later. */
  unavailable: 3,
} as const;

export type ExitCode = typeof EXIT[keyof typeof EXIT];
