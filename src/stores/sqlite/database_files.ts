/** The database's files are not those any more that the proxy has open. */
export interface Loss {
  /** What happened and what to do, for an operator. */
  readonly reason: string;
  /** The open connections still have every record: the files have only lost their names. */
  readonly isHeld: boolean;
}

export interface DatabaseFilesOptions {
  /** As `DataDir.keepHold`. */
  readonly keepHold: () => string | null;
}

/** Database header: https://sqlite.org/fileformat2.html#the_database_header */
const HEADER_BYTES = 100;
const DATABASE_MAGIC = "SQLite format 3\0";
/** Write-ahead log header: https://sqlite.org/fileformat2.html#the_write_ahead_log */
const LOG_HEADER_BYTES = 32;
const LOG_MAGICS = [0x377f0682, 0x377f0683];

/**
 * Sees that the files of an open database are removed, replaced, moved or cut short. SQLite itself goes on writing into files
 * that have no name any more, and says nothing.
 *
 * Warning: nothing may open and close the database file by itself while a connection is open. POSIX drops all locks of the
 * process on a file when any descriptor of it is closed (https://sqlite.org/howtocorrupt.html, 2.2). So this opens the file
 * once, before the connections, and `close` must come after theirs.
 */
export class DatabaseFiles {
  readonly #path: string;
  readonly #options: DatabaseFilesOptions;
  readonly #file: Deno.FsFile;
  readonly #identity: Deno.FileInfo;
  /** `-wal` and `-shm` as they were first seen. They keep their inodes while a connection is open. */
  readonly #beside = new Map<string, Deno.FileInfo>();
  /** Of the last look. */
  #bytes: number;
  #header: Header;
  #loss: Loss | null = null;

  /** Throws if the file is not there or is no database. */
  constructor(path: string, options: DatabaseFilesOptions) {
    this.#path = path;
    this.#options = options;
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

  /** Null while all is well. A loss stays until the end. */
  look(): Loss | null {
    try {
      this.#loss ??= this.#lost() ?? this.#spoiled() ?? this.#unlocked();
    } catch {
      // A disk that reports an error fails the ledger's writes too, which say so.
    }
    return this.#loss;
  }

  /** After all connections. */
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
    // A second reading, because a checkpoint may be writing the header this very moment.
    const why = this.#whySpoiled() === null ? null : this.#whySpoiled();
    return why === null ? null : {
      isHeld: false,
      reason: `The database's files were cut short or overwritten while the proxy ran: ${why}. ${REMEDY}`,
    };
  }

  /**
   * The file may lag behind what is committed, which the log has. But checkpoints only let it grow, unless another program ran
   * VACUUM, and then the new header says the new size.
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
    const reason = this.#options.keepHold();
    return reason === null ? null : { reason, isHeld: true };
  }
}

const REMEDY = "Stop it, put the files back from a backup (or start with an empty directory), start it again";

interface Header {
  readonly pageBytes: number;
  /** Both only count on. */
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

/** In 32 bits that may begin at zero again. */
function isBefore(counter: number, last: number): boolean {
  return ((counter - last) | 0) < 0;
}

/** An empty file and none are logs too. SQLite holds no lock on this file, so it may be opened and closed. */
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

/** Null if nothing has that name. `unknown` if the system does not say: then nothing is concluded. */
function lookAt(path: string): Deno.FileInfo | null | "unknown" {
  try {
    return Deno.statSync(path);
  } catch (error) {
    return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ? null : "unknown";
  }
}

/** Whether both are of the same file. */
export function isSame(one: Deno.FileInfo, other: Deno.FileInfo): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}
