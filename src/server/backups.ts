import { join } from "node:path";
import type { WorkerRpc } from "../async/worker_rpc.ts";
import { type BackUp, type Backup, BackupUnderWay } from "../domain/operations.ts";
import { DatabaseUnavailable } from "../domain/unavailable.ts";
import type { OpenCall } from "../domain/usage.ts";
import type { RowBounds } from "../stores/sqlite/backup.ts";
import type { Loss } from "../stores/sqlite/database_files.ts";
import type { ExportMethods } from "./export_worker/protocol.ts";

const COPY = /^backup-\d+\.partial$/;

/** What a backup copies: the embedded database, or the spools of a shared one. */
export interface BackupSource {
  readonly of: Backup["of"];
  readonly paths: readonly string[];
  readonly loss: () => Loss | null;
  /**
   * Resolves to the calls that are open, when all that ended before is in the file. Rejects in
   * words for an operator.
   */
  readonly ready: () => Promise<readonly OpenCall[]>;
  /** As `ShippingMethods.copyInto`. */
  readonly copyInto: (path: string, openCalls: readonly OpenCall[]) => Promise<RowBounds>;
}

/**
 * The Worker copies the database, next to it, and checks the copy. The proxy sends its
 * bytes and keeps no file. One backup at a time.
 */
export function backups(
  rpc: WorkerRpc<ExportMethods>,
  { of, paths, loss, ready, copyInto: rescueInto }: BackupSource,
  dataDir: string,
): BackUp {
  let isUnderWay = false;
  let last = 0;

  async function copy(): Promise<Backup> {
    // A proxy that died during a backup left its copy.
    for (const { name } of namesIn(dataDir)) if (COPY.test(name)) Deno.removeSync(join(dataDir, name));
    const path = join(dataDir, `backup-${++last}.partial`);
    try {
      const { bounds, isRescued } = await copyInto(path);
      const rows = await rpc.call("checkCopy", path, bounds);
      const file = await Deno.open(path);
      const { size } = await file.stat();
      return { of, bytes: size, rows, isRescued, body: file.readable };
    } finally {
      // An open file can be read without its name.
      await Deno.remove(path).catch(() => {});
    }
  }

  /** The Worker opens the database by its path, which must name our files before and after. */
  async function copyInto(path: string): Promise<{ readonly bounds: RowBounds; readonly isRescued: boolean }> {
    const openCalls = await ready();
    if (loss() === null) {
      const copied = of === "spool" ? rpc.call("backUpSpools", paths, path) : rpc.call("backUp", paths[0]!, path, openCalls);
      const bounds = await copied.catch((error) => {
        if (loss() === null) throw error;
        return null;
      });
      if (bounds !== null && loss() === null) return { bounds, isRescued: false };
      await Deno.remove(path).catch(() => {});
    }
    const lost = loss()!;
    if (!lost.isHeld) throw new DatabaseUnavailable(lost.reason);
    const bounds = await rescueInto(path, openCalls).catch((cause) => {
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

/** Empty if the directory is gone. */
function namesIn(dir: string): readonly Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(dir)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
