import { statfsSync } from "node:fs";
import type { Ledger } from "../../domain/ledger.ts";
import type { OwnedRecords } from "../../domain/owned.ts";
import type { SessionRecords } from "../../domain/sessions.ts";
import type { Migrated } from "../migrations.ts";
import type { Synchronous } from "./connection.ts";
import type { TokenCopies, Tokens } from "../../domain/tokens.ts";
import { damageOf, DatabaseDamaged, isDamage, moveAside } from "./damage.ts";
import { openDataDir } from "./data_dir.ts";
import { DatabaseFiles, type Loss } from "./database_files.ts";
import type { SpoolBound } from "./disk_quota.ts";
import { LEDGER_DEFAULTS, openLedger } from "./ledger.ts";
import { migrateSqlite } from "./migrate.ts";
import { takeRole } from "./role.ts";
import { CHECKPOINT_MS, openSqliteStore, type SqliteStore } from "./store.ts";

export interface EmbeddedOptions {
  /** The data directory. */
  readonly dir: string;
  /** This run of the proxy: rows that other runs left open are swept. */
  readonly instanceId: string;
  readonly synchronous: Synchronous;
  readonly now: () => number;
  /** As `LedgerOptions.onTrouble`. */
  readonly onTrouble: (trouble: string | null) => void;
  /** As `LedgerOptions.spool`. */
  readonly spool: SpoolBound | null;
}

/** The embedded database, ready: the ledger on this thread, store and tokens in Workers, all on one file. */
export interface Embedded {
  readonly ledger: Ledger;
  readonly store: Omit<SqliteStore, keyof Tokens | keyof TokenCopies>;
  /** On a Worker of their own, with the checkpoints: neither must wait for a query over a million rows. */
  readonly tokens: Tokens & TokenCopies;
  /** On the Worker of the tokens. */
  readonly owned: Pick<OwnedRecords, "findOwned">;
  /** On the Worker of the tokens. */
  readonly sessions: SessionRecords;
  readonly databasePath: string;
  /** Looks whether the path still names the files that are open. Nothing may be opened by the path if it does not. */
  readonly loss: () => Loss | null;
  readonly migrated: Migrated;
  /** Rows that the file had recorded as the spool of a shared database, and that are counted here now. */
  readonly counted: number;
  /** Rows of earlier runs that were closed as `unknown`. */
  readonly swept: number;
  /** A damaged spool, which was moved aside: its new path, and what is wrong with it. Null where there was none. */
  readonly moveAside: { readonly path: string; readonly damage: string } | null;
  /** Commits what waits, closes both and gives the directory free; rejects as `Ledger.end` does, when all is closed. */
  readonly end: () => Promise<void>;
}

/**
 * Locks the directory, brings the schema up to date, makes the file database or spool, opens the ledger, sweeps, and starts the store.
 * Rejects with `DataDirLocked`, `DataDirUnusable`, `SchemaTooNew`, `DatabaseDamaged`, `Fault` `ledger_unavailable` (the sweep), or
 * SQLite's own error; then nothing is held.
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
    // The log is there by now. A first look knows it again if it is removed before the second.
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

/** To whoever is not root; null where the system does not tell. */
function freeBytesOf(dir: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** A spool that is damaged must not stop the calls: most of it is in the shared database. The only database is not moved aside. */
function moveAsideDamaged(path: string, now: number): Embedded["moveAside"] {
  const damage = damageOf(path);
  return damage === null ? null : { path: moveAside(path, now), damage };
}

/** Ends all in order, whatever becomes of each; then rejects with the first failure. */
async function endAll(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const end of parts) await end().catch((error) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
