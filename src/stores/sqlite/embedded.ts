import { statfsSync } from "node:fs";
import type { Ledger } from "../../domain/ledger.ts";
import type { OwnedRecords } from "../../domain/owned.ts";
import type { SessionRecords } from "../../domain/sessions.ts";
import type { Migrated } from "../migrations.ts";
import type { Synchronous } from "./connection.ts";
import type { TokenCopies, Tokens } from "../../domain/tokens.ts";
import { damageOf, DatabaseDamaged, moveAside } from "./damage.ts";
import { openDataDir } from "./data_dir.ts";
import { DatabaseFiles, type Loss } from "./database_files.ts";
import type { SpoolBound } from "./disk_quota.ts";
import { isDamage } from "./errors.ts";
import { LEDGER_DEFAULTS, openLedger } from "./ledger.ts";
import { migrateSqlite } from "./migrate.ts";
import { takeRole } from "./role.ts";
import { CHECKPOINT_MS, openSqliteStore, type SqliteStore } from "./store.ts";

export interface EmbeddedOptions {
  readonly dir: string;
  /** This run of the proxy. Rows that other runs left open are swept. */
  readonly instanceId: string;
  readonly synchronous: Synchronous;
  readonly now: () => number;
  readonly onTrouble: (trouble: string | null) => void;
  readonly spool: SpoolBound | null;
}

/** The embedded database, one file: the ledger on this thread, store and tokens in Workers. */
export interface Embedded {
  readonly ledger: Ledger;
  readonly store: Omit<SqliteStore, keyof Tokens | keyof TokenCopies>;
  /** In their own Worker, with the checkpoints: neither may wait for a long query. */
  readonly tokens: Tokens & TokenCopies;
  /** In the Worker of the tokens, like the sessions. */
  readonly owned: Pick<OwnedRecords, "findOwned">;
  readonly sessions: SessionRecords;
  readonly databasePath: string;
  /** Checks that the path still names the open files. If it does not, open nothing by the path. */
  readonly loss: () => Loss | null;
  readonly migrated: Migrated;
  /** Rows that were recorded while the file was a spool, and are now counted here. */
  readonly counted: number;
  /** Rows of earlier runs that were closed as `unknown`. */
  readonly swept: number;
  /** The new path of a damaged spool that was moved aside, and SQLite's words; otherwise null. */
  readonly moveAside: { readonly path: string; readonly damage: string } | null;
  /**
   * Commits what waits, closes all and releases the directory; then rejects as `Ledger.end` did.
   */
  readonly end: () => Promise<void>;
}

/**
 * Locks the directory, migrates, makes the file database or spool, opens the ledger, sweeps, and
 * starts the store. Rejects with `DataDirLocked`, `DataDirUnusable`, `SchemaTooNew`,
 * `DatabaseDamaged`, `Fault` `ledger_unavailable` (the sweep), or SQLite's error; then nothing is
 * held.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { synchronous, now, onTrouble, spool } = options;
  const dir = openDataDir(options.dir);
  const opened: (() => Promise<void>)[] = [() => Promise.resolve(dir.release())];
  const end = () => endAll(opened);
  try {
    const path = dir.databasePath;
    const aside = spool === null ? null : moveAsideDamaged(path, now());
    const migrated = migrateSqlite(path);
    const counted = takeRole(path, spool === null ? "database" : "spool");
    const files = new DatabaseFiles(path, { keepHold: dir.keepHold });
    opened.unshift(() => Promise.resolve(files.close()));
    const whyLost = () => files.look()?.reason ?? null;
    const store = await openSqliteStore({ path, synchronous, checkpointMs: 0 }, whyLost);
    opened.unshift(() => store.close());
    const tokens = await openSqliteStore({ path, synchronous, checkpointMs: CHECKPOINT_MS }, whyLost);
    opened.unshift(() => tokens.close());
    const ledger = openLedger({
      ...LEDGER_DEFAULTS,
      path,
      synchronous,
      now,
      onTrouble,
      spool,
      freeBytes: () => freeBytesOf(options.dir),
      whyLost,
    });
    opened.unshift(() => ledger.end());
    const swept = await ledger.sweep(options.instanceId);
    // The log exists by now. This look remembers it, so that the next one sees if it was removed.
    files.look();
    return {
      ledger,
      store,
      tokens,
      owned: tokens,
      sessions: tokens,
      databasePath: path,
      loss: () => files.look(),
      migrated,
      counted,
      swept,
      moveAside: aside,
      end,
    };
  } catch (error) {
    await end().catch(() => {});
    throw isDamage(error) ? new DatabaseDamaged(dir.databasePath, (error as Error).message) : error;
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

/** A damaged spool must not stop calls: most of it is in the shared database. For a spool only. */
function moveAsideDamaged(path: string, now: number): Embedded["moveAside"] {
  const damage = damageOf(path);
  return damage === null ? null : { path: moveAside(path, now), damage };
}

/** Ends all in order, even after failures; then rejects with the first failure. */
async function endAll(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const end of parts) await end().catch((error) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
