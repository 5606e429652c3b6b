import { join } from "node:path";
import { type BackUp, type Backup, BackupUnderWay } from "../http/backup.ts";
import type { TakeoutLink } from "./takeout_link.ts";

export interface BackupsOptions {
  readonly databasePath: string;
  readonly dataDir: string;
  readonly of: Backup["of"];
}

const COPY = /^backup-\d+\.partial$/;

/** Copies the embedded database in the Worker, next to itself, and hands the copy out; nothing of it stays. One at a time. */
export function backups(link: TakeoutLink, { databasePath, dataDir, of }: BackupsOptions): BackUp {
  let isUnderWay = false;
  let last = 0;

  async function copy(): Promise<Backup> {
    // What a proxy left that died in the middle of one.
    for (const { name } of Deno.readDirSync(dataDir)) if (COPY.test(name)) Deno.removeSync(join(dataDir, name));
    const path = join(dataDir, `backup-${++last}.partial`);
    try {
      await link.ask("backUp", databasePath, path);
      const file = await Deno.open(path);
      const { size } = await file.stat();
      return { of, bytes: size, body: file.readable };
    } finally {
      // Open, it can be read without its name.
      await Deno.remove(path).catch(() => {});
    }
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
