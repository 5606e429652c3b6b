import { join } from "node:path";
import { DatabaseUnavailable } from "../domain/unavailable.ts";
import { type BackUp, type Backup, BackupUnderWay } from "../http/backup.ts";
import type { RowBounds } from "../stores/sqlite/backup.ts";
import type { Loss } from "../stores/sqlite/database_files.ts";
import type { TakeoutLink } from "./export_worker/link.ts";

export interface BackupsOptions {
  readonly databasePath: string;
  readonly dataDir: string;
  readonly of: Backup["of"];
  /** As `Embedded.loss`. */
  readonly loss: () => Loss | null;
  /** Copies on a connection that is open, which still has what the files have lost. */
  readonly rescue: (into: string) => Promise<RowBounds>;
}

const COPY = /^backup-\d+\.partial$/;

/**
 * Copies the embedded database in the Worker, next to itself, checks the copy and hands it out; nothing of it stays. One at a
 * time.
 */
export function backups(link: TakeoutLink, { databasePath, dataDir, of, loss, rescue }: BackupsOptions): BackUp {
  let isUnderWay = false;
  let last = 0;

  async function copy(): Promise<Backup> {
    // What a proxy left that died in the middle of one.
    for (const { name } of namesIn(dataDir)) if (COPY.test(name)) Deno.removeSync(join(dataDir, name));
    const path = join(dataDir, `backup-${++last}.partial`);
    try {
      const { bounds, isRescued } = await copyInto(path);
      const rows = await link.ask("checkCopy", path, bounds);
      const file = await Deno.open(path);
      const { size } = await file.stat();
      return { of, bytes: size, rows, isRescued, body: file.readable };
    } finally {
      // Open, it can be read without its name.
      await Deno.remove(path).catch(() => {});
    }
  }

  /** The Worker opens the database by its path. What it copied counts only if the path named our files before and after. */
  async function copyInto(path: string): Promise<{ readonly bounds: RowBounds; readonly isRescued: boolean }> {
    if (loss() === null) {
      const bounds = await link.ask("backUp", databasePath, path).catch((error) => {
        if (loss() === null) throw error;
        return null;
      });
      if (bounds !== null && loss() === null) return { bounds, isRescued: false };
      await Deno.remove(path).catch(() => {});
    }
    const lost = loss()!;
    if (!lost.isHeld) throw new DatabaseUnavailable(lost.reason);
    const bounds = await rescue(path).catch((cause) => {
      throw new DatabaseUnavailable(`${lost.reason}. The records cannot be saved into ${dataDir}: ${cause.message}`, { cause });
    });
    return { bounds, isRescued: true };
  }

  return async () => {
    if (isUnderWay) throw new BackupUnderWay();
    isUnderWay = true;
    try {
      return await copy();
    } finally {
      isUnderWay = false;
    }
  };
}

/** None if the directory is gone. */
function namesIn(dir: string): readonly Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(dir)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
