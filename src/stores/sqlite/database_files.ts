import type { DataDir } from "./data_dir.ts";

/** The open files are no longer the files of the database. */
export interface Loss {
  /** What happened and what to do, for an operator. */
  readonly reason: string;
  /** The open connections still have every record, because the files lost only their names. */
  readonly isHeld: boolean;
}

/** Database header: https://sqlite.org/fileformat2.html#the_database_header */
const HEADER_BYTES = 100;
const DATABASE_MAGIC = "SQLite format 3\0";
/** Write-ahead log header: https://sqlite.org/fileformat2.html#the_write_ahead_log */
const LOG_HEADER_BYTES = 32;
const LOG_MAGICS = [0x377f0682, 0x377f0683];

/**
 * Notices that the files of an open database are removed, replaced, moved or cut. SQLite itself
 * keeps writing into files without a name, and says nothing.
 *
 * Warning: nothing may open and close the database file while a connection is open. When a process
 * closes any descriptor of a file, POSIX drops all its locks on that file
 * (https://sqlite.org/howtocorrupt.html, 2.2). So this opens the file before the connections, and
 * `close` must come after theirs.
 */
export class DatabaseFiles {
  readonly #path: string;
  readonly #keepHold: DataDir["keepHold"];
  readonly #file: Deno.FsFile;
  readonly #identity: Deno.FileInfo;
  /** `-wal` and `-shm` as first seen. They keep their inodes while a connection is open. */
  readonly #beside = new Map<string, Deno.FileInfo>();
  /** At the last look. */
  #bytes: number;
  #header: Header;
  #loss: Loss | null = null;

  /** Throws if the file is missing or is no database. */
  constructor(path: string, { keepHold }: Pick<DataDir, "keepHold">) {
    this.#path = path;
    this.#keepHold = keepHold;
    this.#file = Deno.openSync(path);
    try {
      this.#identity = this.#file.statSync();
      this.#bytes = this.#identity.size;
      const header = readHeader(this.#file);
      if (header === null) throw new Error(`Cannot use the database ${path}: it has no header`);
      this.#header = header;
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /** False if another process has taken the file for itself. The lock ends with the process. */
  take(): boolean {
    return this.#file.tryLockSync(true);
  }

  /** Null while all is well. A loss is final. */
  look(): Loss | null {
    try {
      this.#loss ??= this.#lost() ?? this.#spoiled() ?? this.#unlocked();
    } catch {
      // If the disk reports an error, the ledger's writes fail too, and say so.
    }
    return this.#loss;
  }

  /** Call it after closing all connections. */
  close(): void {
    this.#file.close();
  }

  #lost(): Loss | null {
    const database = lookAt(this.#path);
    if (database === "unknown") return null;
    if (database === null || !isSame(database, this.#identity)) return this.#renamed("", database);
    for (const suffix of ["-wal", "-shm"]) {
      const first = this.#beside.get(suffix);
      const found = lookAt(this.#path + suffix);
      if (found === "unknown") continue;
      // SQLite makes them when it first needs them.
      if (first === undefined) {
        if (found !== null) this.#beside.set(suffix, found);
      } else if (found === null || !isSame(found, first)) return this.#renamed(suffix, found);
    }
    return null;
  }

  #renamed(suffix: string, found: Deno.FileInfo | null): Loss {
    const what = `${this.#path}${suffix} is ${found === null ? "gone" : "another file now"}`;
    return {
      isHeld: true,
      reason: `The database's files were removed or replaced while the proxy ran: ${what}. The proxy still holds the records: ` +
        `"llmproxy backup FILE" can save them. ${REMEDY}`,
    };
  }

  #spoiled(): Loss | null {
    // Read twice, because a checkpoint may be writing the header right now.
    const why = this.#whySpoiled() === null ? null : this.#whySpoiled();
    return why === null ? null : {
      isHeld: false,
      reason: `The database's files were cut short or overwritten while the proxy ran: ${why}. ${REMEDY}`,
    };
  }

  /**
   * The file may lag behind the log, but checkpoints only make it grow. If another program runs
   * VACUUM, the new header says the new size.
   */
  #whySpoiled(): string | null {
    const bytes = this.#file.statSync().size;
    const header = readHeader(this.#file);
    if (header === null || header.pageBytes !== this.#header.pageBytes) return `${this.#path} is no database any more`;
    if (bytes < this.#bytes && bytes < header.pages * header.pageBytes) return `${this.#path} is shorter than it was`;
    if (isBefore(header.changes, this.#header.changes) || isBefore(header.schema, this.#header.schema)) {
      return `${this.#path} holds an older database`;
    }
    if (!isLog(`${this.#path}-wal`)) return `${this.#path}-wal is no write-ahead log any more`;
    this.#bytes = bytes;
    this.#header = header;
    return null;
  }

  #unlocked(): Loss | null {
    const reason = this.#keepHold();
    return reason === null ? null : { reason, isHeld: true };
  }
}

const REMEDY = "Stop it, put the files back from a backup (or start with an empty directory), start it again";

interface Header {
  readonly pageBytes: number;
  /** Both counters only increase. */
  readonly changes: number;
  readonly schema: number;
  readonly pages: number;
}

function readHeader(file: Deno.FsFile): Header | null {
  const bytes = new Uint8Array(HEADER_BYTES);
  file.seekSync(0, Deno.SeekMode.Start);
  if (file.readSync(bytes) !== HEADER_BYTES) return null;
  if (new TextDecoder().decode(bytes.subarray(0, 16)) !== DATABASE_MAGIC) return null;
  const view = new DataView(bytes.buffer);
  return {
    pageBytes: view.getUint16(16) === 1 ? 65_536 : view.getUint16(16),
    changes: view.getUint32(24),
    pages: view.getUint32(28),
    schema: view.getUint32(40),
  };
}

/** The 32-bit counters may wrap around. */
function isBefore(counter: number, last: number): boolean {
  return ((counter - last) | 0) < 0;
}

/** An empty or missing file is fine. SQLite does not lock this file, so it may be closed. */
function isLog(path: string): boolean {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path);
  } catch {
    return true;
  }
  try {
    const bytes = new Uint8Array(LOG_HEADER_BYTES);
    const read = file.readSync(bytes);
    return read === null || read < LOG_HEADER_BYTES || LOG_MAGICS.includes(new DataView(bytes.buffer).getUint32(0));
  } finally {
    file.close();
  }
}

/** Null if nothing has that name; `unknown` if the system does not say. */
function lookAt(path: string): Deno.FileInfo | null | "unknown" {
  try {
    return Deno.statSync(path);
  } catch (error) {
    return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ? null : "unknown";
  }
}

export function isSame(one: Deno.FileInfo, other: Deno.FileInfo): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}
