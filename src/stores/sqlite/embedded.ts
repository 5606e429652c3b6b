import type { JournalCare } from "../../domain/journal.ts";
import type { Ledger } from "../../domain/ledger.ts";
import type { Store } from "../../domain/store.ts";
import type { Tokens } from "../../domain/tokens.ts";
import type { Migrated } from "../migrations.ts";
import type { Synchronous } from "./connection.ts";
import { openDataDir } from "./data_dir.ts";
import type { JournalBound } from "./fullness.ts";
import { LEDGER_DEFAULTS, openLedger } from "./ledger.ts";
import { migrateSqlite } from "./migrate.ts";
import { CHECKPOINT_MS, openSqliteStore } from "./store.ts";

export interface EmbeddedOptions {
  /** The data directory. */
  readonly dir: string;
  /** This run of the proxy: rows that other runs left open are swept. */
  readonly instanceId: string;
  readonly synchronous: Synchronous;
  readonly now: () => number;
  /** As `LedgerOptions.onTrouble`. */
  readonly onTrouble: (trouble: string | null) => void;
  /** As `LedgerOptions.journal`. */
  readonly journal: JournalBound | null;
}

/** The embedded database, ready: the ledger on this thread, the store in a Worker, both on one file. */
export interface Embedded {
  readonly ledger: Ledger;
  readonly store: Store & Tokens & JournalCare;
  readonly databasePath: string;
  readonly migrated: Migrated;
  /** Rows of earlier runs that were closed as `unknown`. */
  readonly swept: number;
  /** Commits what waits, closes both and gives the directory free; rejects as `Ledger.end` does, when all is closed. */
  readonly end: () => Promise<void>;
}

/**
 * Locks the directory, brings the schema up to date, opens the ledger, sweeps, and starts the store.
 * Rejects with `DataDirLocked`, `DataDirUnusable`, `SchemaTooNew`, `Fault` `ledger_unavailable` (the sweep), or
 * SQLite's own error; then nothing is held.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { synchronous, now, onTrouble, journal } = options;
  const dir = openDataDir(options.dir);
  const opened: (() => Promise<void>)[] = [() => Promise.resolve(dir.release())];
  const end = () => endAll(opened);
  try {
    const path = dir.databasePath;
    const migrated = migrateSqlite(path);
    const store = await openSqliteStore({ path, synchronous, checkpointMs: CHECKPOINT_MS });
    opened.unshift(() => store.close());
    const ledger = openLedger({ ...LEDGER_DEFAULTS, path, synchronous, now, onTrouble, journal });
    opened.unshift(() => ledger.end());
    const swept = await ledger.sweep(options.instanceId);
    return { ledger, store, databasePath: path, migrated, swept, end };
  } catch (error) {
    await end().catch(() => {});
    throw error;
  }
}

/** Ends all in order, whatever becomes of each; then rejects with the first failure. */
async function endAll(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const end of parts) await end().catch((error) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
