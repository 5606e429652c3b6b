import { statfsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Ledger } from "../../domain/ledger.ts";
import type { Observe } from "../../domain/observe.ts";
import { type Shipping, shippingThread, startShipping } from "../shipping/link.ts";
import type { Synchronous } from "./connection.ts";
import { damageOf, DatabaseDamaged, moveAside } from "./damage.ts";
import { DataDirLocked, openDataDir } from "./data_dir.ts";
import { DatabaseFiles, type Loss } from "./database_files.ts";
import { isDamage } from "./errors.ts";
import { migrateSpool } from "./migrate.ts";
import type { SpoolBound } from "./spool/disk_quota.ts";
import { LEDGER_DEFAULTS, openLedger } from "./spool/ledger.ts";
import { type Upgraded, upgradeDatabase } from "./upgrade.ts";

export interface RecordingOptions {
  readonly dir: string;
  /** How many processes record calls, each in a spool of its own. */
  readonly workers: number;
  readonly synchronous: Synchronous;
  readonly now: () => number;
  readonly observe: Pick<Observe, "note">;
  /** Null: rows go to the embedded database of the directory. */
  readonly shared: { readonly url: string; readonly seed: number } | null;
}

/** What a machine has in every mode: the spools, and the shipper in a Worker. */
export interface Recording {
  readonly shipping: Shipping;
  /** The embedded database's. */
  readonly databasePath: string;
  /** That of the first worker is first. */
  readonly spoolPaths: readonly string[];
  /** Checks that the paths still name the open files. If not, open nothing by its path. */
  readonly loss: () => Loss | null;
  /** Null if the directory has no embedded database, because rows go to a shared one. */
  readonly upgraded: Upgraded | null;
  /** Calls of earlier runs that were closed as `unknown`, in spools that no worker uses now. */
  readonly swept: number;
  /** Damaged spools that were moved aside, and SQLite's words. */
  readonly movedAside: readonly { readonly path: string; readonly damage: string }[];
  /** Ships what it can in a few seconds, closes all and releases the directory. */
  readonly end: () => Promise<void>;
}

/** How long an end waits for the store. */
const FINISH_MS = 5_000;
/** How long a start waits for the workers of a proxy that was killed. They end by themselves. */
const RELEASE_MS = 10_000;
const LOOK_MS = 20;

/**
 * Locks the directory, migrates, and starts the shipper. Rejects with `DataDirLocked`,
 * `DataDirUnusable`, `SchemaTooNew`, `DatabaseDamaged`, or SQLite's error; then nothing is held.
 */
export async function openRecording(options: RecordingOptions): Promise<Recording> {
  const { workers, synchronous, now, shared, observe } = options;
  const dir = openDataDir(options.dir);
  const opened: (() => Promise<void>)[] = [() => Promise.resolve(dir.release())];
  const end = () => endAll(opened);
  const { databasePath } = dir;
  try {
    const thread = shippingThread();
    opened.unshift(() => Promise.resolve(thread.terminate()));
    const spoolPaths = dir.spoolPaths(workers);
    await released(spoolPaths, options.dir);
    // A damaged spool must not stop calls: most of it is in the store.
    const movedAside = spoolPaths.flatMap((path) => moveAsideDamaged(path, now()));
    for (const path of spoolPaths) migrateSpool(path);
    const isHere = shared === null || isFile(databasePath);
    const upgraded = isHere ? upgradeDatabase(databasePath, { spoolPath: spoolPaths[0]!, isStore: shared === null }) : null;
    const swept = await sweepUnused(spoolPaths.slice(workers), options);
    const watched = [...spoolPaths, ...shared === null ? [databasePath] : []];
    const files = watched.map((path) => new DatabaseFiles(path, { keepHold: dir.keepHold }));
    opened.unshift(() => Promise.resolve(files.forEach((file) => file.close())));
    const loss = () => files.map((file) => file.look()).find((found) => found !== null) ?? null;
    const shipping = await startShipping({
      thread,
      spools: () => {
        const lost = loss();
        if (lost !== null) throw new Error(lost.reason);
        return spoolPaths;
      },
      synchronous,
      seed: shared?.seed ?? 0,
      destination: shared === null
        ? { kind: "embedded", path: databasePath }
        : { kind: "shared", url: shared.url, handOver: isHere ? databasePath : null },
      observe,
    });
    opened.unshift(() => shipping.finish(FINISH_MS));
    // The logs exist by now. This look remembers them, so that the next one sees a removal.
    loss();
    return { shipping, databasePath, spoolPaths, loss, upgraded, swept, movedAside, end };
  } catch (error) {
    await end().catch(() => {});
    throw isDamage(error) ? new DatabaseDamaged(databasePath, (error as Error).message) : error;
  }
}

export interface OwnLedgerOptions extends Pick<RecordingOptions, "dir" | "synchronous" | "now"> {
  /** This process's spool, whose schema must be up to date. */
  readonly path: string;
  /** This run. Calls that other runs left open in the spool are swept. */
  readonly instanceId: string;
  /** Null: only the volume bounds the spool. */
  readonly spool: SpoolBound | null;
  readonly onTrouble: (trouble: string | null) => void;
  readonly onCommit: () => void;
  readonly loss: () => Loss | null;
}

export interface OwnLedger {
  /** Its `end` commits what waits. The shipper must end after it. */
  readonly ledger: Ledger;
  /** Calls of earlier runs that were closed as `unknown`. */
  readonly swept: number;
}

/** Opens a process's ledger and sweeps. Rejects with SQLite's error, or as `Ledger.sweep` does. */
export async function openOwnLedger(options: OwnLedgerOptions): Promise<OwnLedger> {
  const { dir, loss, instanceId } = options;
  const whyLost = () => loss()?.reason ?? null;
  const ledger = openLedger({ ...LEDGER_DEFAULTS, ...options, freeBytes: () => freeBytesOf(dir), whyLost });
  try {
    const swept = await ledger.sweep(instanceId);
    // As in `openRecording`.
    loss();
    return { ledger, swept };
  } catch (error) {
    await ledger.end().catch(() => {});
    throw error;
  }
}

/** A process's own spool, for itself alone. `close` it after the ledger's end. */
export function holdSpool(path: string): Pick<DatabaseFiles, "look" | "close"> {
  const files = new DatabaseFiles(path, { keepHold: () => null });
  if (files.take()) return files;
  files.close();
  throw new Error(`Another process records calls in ${path}`);
}

/** Resolves when no process has one of the spools for itself; rejects with `DataDirLocked`. */
async function released(paths: readonly string[], dir: string): Promise<void> {
  let looks = RELEASE_MS / LOOK_MS;
  for (const path of paths.filter(isFile)) {
    for (; isTaken(path); looks--) {
      if (looks <= 0) throw new DataDirLocked(dir);
      await sleep(LOOK_MS);
    }
  }
}

/** Call it only while this process has no connection to the database: see `DatabaseFiles`. */
function isTaken(path: string): boolean {
  using file = Deno.openSync(path);
  return !file.tryLockSync(true);
}

/** Closes what is left open in the spools of workers that no longer run; resolves to the number. */
async function sweepUnused(paths: readonly string[], { dir, synchronous, now }: RecordingOptions): Promise<number> {
  let total = 0;
  for (const path of paths) {
    const nothing = { onTrouble: () => {}, onCommit: () => {}, loss: () => null, spool: null };
    const { ledger, swept } = await openOwnLedger({ ...nothing, dir, path, synchronous, now, instanceId: "" });
    await ledger.end();
    total += swept;
  }
  return total;
}

/** Free for users other than root; null if the system does not tell. */
export function freeBytesOf(dir: string): number | null {
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

function moveAsideDamaged(path: string, now: number): Recording["movedAside"] {
  const damage = damageOf(path);
  return damage === null ? [] : [{ path: moveAside(path, now), damage }];
}

/** Ends all in order, even after failures; then rejects with the first failure. */
export async function endAll(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const end of parts) await end().catch((error) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
