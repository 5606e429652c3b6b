import { isSame } from "./database_files.ts";

/** The data directory, which only this process holds until `release`. */
export interface DataDir {
  /** The embedded database's file; whether there is one depends on the settings. */
  readonly databasePath: string;
  /** The file in which the worker of that number records. */
  readonly spoolPath: (worker: number) => string;
  /** Those of the first so many workers, then others that are here since more of them ran. */
  readonly spoolPaths: (workers: number) => readonly string[];
  /**
   * Takes the lock again if its file was removed or replaced: otherwise a second proxy could start.
   * Returns why it cannot, for an operator; null if the directory is held. Call it only while the
   * directory is the one that was opened.
   */
  readonly keepHold: () => string | null;
  readonly release: () => void;
}

export class DataDirLocked extends Error {
  constructor(path: string) {
    super(
      `Cannot use the data directory "${path}": another llmproxy holds it. ` +
        `Stop that one, or give this one a directory of its own with LLMPROXY_DATA_DIR`,
    );
    this.name = "DataDirLocked";
  }
}

export class DataDirUnusable extends Error {
  constructor(path: string, cause: unknown) {
    super(
      `Cannot use the data directory "${path}": ${cause instanceof Error ? cause.message : cause}. ` +
        `LLMPROXY_DATA_DIR must name a directory on a local disk that this user may write`,
      { cause },
    );
    this.name = "DataDirUnusable";
  }
}

/** The file in which the worker of that number records. */
export function spoolPathIn(dir: string, worker: number): string {
  return `${dir}/spool-${worker}.db`;
}

const SPOOL = /^spool-\d+\.db$/;

/**
 * Makes the directory if it is missing (mode 0700) and takes its exclusive lock, which the kernel
 * releases if the process dies. Throws `DataDirLocked` or `DataDirUnusable`.
 */
export function openDataDir(path: string): DataDir {
  const lockPath = `${path}/lock`;
  let lock: Deno.FsFile | null;
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    lock = openLocked(lockPath);
  } catch (error) {
    throw new DataDirUnusable(path, error);
  }
  if (lock === null) throw new DataDirLocked(path);
  let held = lock;
  let isHeld = true;
  return {
    databasePath: `${path}/llmproxy.db`,
    spoolPath: (worker) => spoolPathIn(path, worker),
    spoolPaths(workers) {
      const first = Array.from({ length: workers }, (_, worker) => spoolPathIn(path, worker));
      const here = [...Deno.readDirSync(path)].filter(({ name }) => SPOOL.test(name)).map(({ name }) => `${path}/${name}`);
      return [...first, ...here.filter((spool) => !first.includes(spool)).sort()];
    },
    keepHold() {
      if (!isHeld || isNamed(held, lockPath)) return null;
      try {
        const again = openLocked(lockPath);
        if (again === null) {
          return "Another llmproxy has taken the data directory, because the lock file in it was removed while this one ran. " +
            "Stop both, then start one";
        }
        held.close();
        held = again;
      } catch {
        // What this process cannot open, another proxy of the same user cannot open either.
      }
      return null;
    },
    release() {
      if (!isHeld) return;
      isHeld = false;
      // Closing is not enough: a child that is being started may have the file too (flock(2)).
      held.unlockSync();
      held.close();
    },
  };
}

/** Null if another process has locked it. */
function openLocked(path: string): Deno.FsFile | null {
  const file = Deno.openSync(path, { create: true, write: true, mode: 0o600 });
  let isLocked = false;
  try {
    isLocked = file.tryLockSync(true);
  } finally {
    if (!isLocked) file.close();
  }
  return isLocked ? file : null;
}

function isNamed(file: Deno.FsFile, path: string): boolean {
  try {
    return isSame(Deno.statSync(path), file.statSync());
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}
