import type { Ledger } from "../../domain/ledger.ts";
import type { Store } from "../../domain/store.ts";
import type { Tokens } from "../../domain/tokens.ts";
import type { Migrated } from "../migrations.ts";
import type { Synchronous } from "./connection.ts";
import { openDataDir } from "./data_dir.ts";
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
}

/** The embedded database, ready: the ledger on this thread, the store and the tokens in a Worker each, all on one file. */
export interface Embedded {
  readonly ledger: Ledger;
  readonly store: Store;
  /** Not behind the store's queries: a call that waited for one of those to know its sandbox would be refused in the end. */
  readonly tokens: Tokens;
  readonly migrated: Migrated;
  /** Rows of earlier runs that were closed as `unknown`. */
  readonly swept: number;
  /** Commits what waits, closes all and gives the directory free; rejects as `Ledger.end` does, when all is closed. */
  readonly end: () => Promise<void>;
}

/**
 * Locks the directory, brings the schema up to date, opens the ledger, sweeps, and starts the Workers.
 * Rejects with `DataDirLocked`, `DataDirUnusable`, `SchemaTooNew`, `Fault` `ledger_unavailable` (the sweep), or
 * SQLite's own error; then nothing is held.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { synchronous, now, onTrouble } = options;
  const dir = openDataDir(options.dir);
  const opened: (() => Promise<void>)[] = [() => Promise.resolve(dir.release())];
  const end = () => endAll(opened);
  try {
    const path = dir.databasePath;
    const migrated = migrateSqlite(path);
    // The log is kept small from there too, because it must not grow for as long as a query runs.
    const tokens = await openSqliteStore({ path, synchronous, checkpointMs: CHECKPOINT_MS });
    opened.unshift(() => tokens.close());
    const store = await openSqliteStore({ path, synchronous, checkpointMs: 0 });
    opened.unshift(() => store.close());
    const ledger = openLedger({ path, synchronous, now, onTrouble, ...LEDGER_DEFAULTS });
    opened.unshift(() => ledger.end());
    const swept = await ledger.sweep(options.instanceId);
    return { ledger, store, tokens, migrated, swept, end };
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
