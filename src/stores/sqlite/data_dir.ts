/** The data directory, held by this process alone until `release`. */
export interface DataDir {
  readonly path: string;
  readonly databasePath: string;
  /** Lets another process have the directory. */
  readonly release: () => void;
}

/** Another process holds the data directory. */
export class DataDirLocked extends Error {
  constructor(path: string) {
    super(
      `Cannot use the data directory "${path}": another llmproxy holds it. ` +
        `Stop that one, or give this one a directory of its own with LLMPROXY_DATA_DIR`,
    );
    this.name = "DataDirLocked";
  }
}

/** The data directory cannot be made or written. */
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

/**
 * Makes the directory where it is missing (mode 0700) and takes its exclusive lock, which the kernel gives up when the
 * process dies. Throws `DataDirLocked` or `DataDirUnusable`.
 */
export function openDataDir(path: string): DataDir {
  const lock = openLockFile(path);
  if (!tryLock(lock, path)) {
    lock.close();
    throw new DataDirLocked(path);
  }
  let isHeld = true;
  return {
    path,
    databasePath: `${path}/llmproxy.db`,
    release() {
      if (!isHeld) return;
      isHeld = false;
      // Closing alone would leave it held for as long as a child that is just being started has the file too (flock(2)).
      lock.unlockSync();
      lock.close();
    },
  };
}

function openLockFile(path: string): Deno.FsFile {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    return Deno.openSync(`${path}/lock`, { create: true, write: true, mode: 0o600 });
  } catch (error) {
    throw new DataDirUnusable(path, error);
  }
}

function tryLock(lock: Deno.FsFile, path: string): boolean {
  try {
    return lock.tryLockSync(true);
  } catch (error) {
    lock.close();
    throw new DataDirUnusable(path, error);
  }
}
