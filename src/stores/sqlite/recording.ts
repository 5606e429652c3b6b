import { statfsSync } from "node:fs";
import type { Ledger } from "../../domain/ledger.ts";
import type { Observe } from "../../domain/observe.ts";
import { type Shipping, startShipping } from "../shipping/link.ts";
import type { Synchronous } from "./connection.ts";
import { damageOf, DatabaseDamaged, moveAside } from "./damage.ts";
import { openDataDir } from "./data_dir.ts";
import { DatabaseFiles, type Loss } from "./database_files.ts";
import { isDamage } from "./errors.ts";
import { migrateSpool } from "./migrate.ts";
import type { SpoolBound } from "./spool/disk_quota.ts";
import { LEDGER_DEFAULTS, openLedger } from "./spool/ledger.ts";
import { type Upgraded, upgradeDatabase } from "./upgrade.ts";

export interface RecordingOptions {
  readonly dir: string;
  /** This run of the proxy. Calls that other runs left open are swept. */
  readonly instanceId: string;
  readonly synchronous: Synchronous;
  readonly now: () => number;
  readonly onTrouble: (trouble: string | null) => void;
  readonly observe: Pick<Observe, "note">;
  /** Null: rows go to the embedded database of the directory. */
  readonly shared: { readonly url: string; readonly spool: SpoolBound; readonly seed: number } | null;
}

/** What every mode has: the ledger on this thread, its spool, and the shipper in a Worker. */
export interface Recording {
  readonly ledger: Ledger;
  readonly shipping: Shipping;
  /** The embedded database's. */
  readonly databasePath: string;
  readonly spoolPath: string;
  /** Checks that the paths still name the open files. If not, open nothing by its path. */
  readonly loss: () => Loss | null;
  /** Null if the directory has no embedded database, because rows go to a shared one. */
  readonly upgraded: Upgraded | null;
  /** Calls of earlier runs that were closed as `unknown`. */
  readonly swept: number;
  /** The new path of a damaged file that was moved aside, and SQLite's words; otherwise null. */
  readonly moveAside: { readonly path: string; readonly damage: string } | null;
  /**
   * Commits what waits, ships what it can in a few seconds, closes all and releases the directory;
   * then rejects as `Ledger.end` did.
   */
  readonly end: () => Promise<void>;
}

/** How long an end waits for the store. */
const FINISH_MS = 5_000;

/**
 * Locks the directory, migrates, opens the ledger, sweeps, and starts the shipper. Rejects with
 * `DataDirLocked`, `DataDirUnusable`, `SchemaTooNew`, `DatabaseDamaged`, `Fault`
 * `ledger_unavailable` (the sweep), or SQLite's error; then nothing is held.
 */
export async function openRecording(options: RecordingOptions): Promise<Recording> {
  const { synchronous, now, onTrouble, shared, observe } = options;
  const dir = openDataDir(options.dir);
  const opened: (() => Promise<void>)[] = [() => Promise.resolve(dir.release())];
  const end = () => endAll(opened);
  const { databasePath } = dir;
  const spoolPath = dir.spoolPath(0);
  try {
    // A damaged spool must not stop calls: most of it is in the store.
    const aside = moveAsideDamaged(spoolPath, now());
    migrateSpool(spoolPath);
    const isHere = shared === null || isFile(databasePath);
    const upgraded = isHere ? upgradeDatabase(databasePath, { spoolPath, isStore: shared === null }) : null;
    const watched = [spoolPath, ...shared === null ? [databasePath] : []];
    const files = watched.map((path) => new DatabaseFiles(path, { keepHold: dir.keepHold }));
    opened.unshift(() => Promise.resolve(files.forEach((file) => file.close())));
    const loss = () => files.map((file) => file.look()).find((found) => found !== null) ?? null;
    let shipping: Shipping | null = null;
    const ledger = openLedger({
      ...LEDGER_DEFAULTS,
      path: spoolPath,
      synchronous,
      now,
      onTrouble,
      spool: shared?.spool ?? null,
      freeBytes: () => freeBytesOf(options.dir),
      whyLost: () => loss()?.reason ?? null,
      onCommit: () => shipping?.poke(),
    });
    opened.unshift(() => ledger.end());
    const swept = await ledger.sweep(options.instanceId);
    shipping = await startShipping({
      spools: () => {
        const lost = loss();
        if (lost !== null) throw new Error(lost.reason);
        return [spoolPath];
      },
      synchronous,
      seed: shared?.seed ?? 0,
      destination: shared === null
        ? { kind: "embedded", path: databasePath }
        : { kind: "shared", url: shared.url, handOver: isHere ? databasePath : null },
      observe,
    });
    // After the ledger's end: what it still commits is shipped too.
    opened.splice(1, 0, () => shipping!.finish(FINISH_MS));
    // The logs exist by now. This look remembers them, so that the next one sees a removal.
    loss();
    return { ledger, shipping, databasePath, spoolPath, loss, upgraded, swept, moveAside: aside, end };
  } catch (error) {
    await end().catch(() => {});
    throw isDamage(error) ? new DatabaseDamaged(databasePath, (error as Error).message) : error;
  }
}

/** Free for users other than root; null if the system does not tell. */
function freeBytesOf(dir: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize;
  } catch {
    return null;
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function moveAsideDamaged(path: string, now: number): Recording["moveAside"] {
  const damage = damageOf(path);
  return damage === null ? null : { path: moveAside(path, now), damage };
}

/** Ends all in order, even after failures; then rejects with the first failure. */
export async function endAll(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const end of parts) await end().catch((error) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
