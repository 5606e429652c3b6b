import { deadline } from "../async/deadline.ts";
import type { Ledger } from "../domain/ledger.ts";
import type { Observe } from "../domain/observe.ts";
import type { OwnedRecords, Owners } from "../domain/owned.ts";
import type { SessionRecords } from "../domain/sessions.ts";
import type { Store } from "../domain/store.ts";
import { DatabaseUnavailable } from "../domain/unavailable.ts";
import type { Tokens } from "../domain/tokens.ts";
import type { BackUp } from "../http/backup.ts";
import type { ExportUsage } from "../http/export.ts";
import type { Readiness } from "../http/health.ts";
import { SchemaTooNew } from "../stores/migrations.ts";
import { cachedOwners } from "../stores/shipping/cached_owners.ts";
import { cachedSessions } from "../stores/shipping/cached_sessions.ts";
import { connectPostgres } from "../stores/postgres/store.ts";
import { type Shipping, startShipping } from "../stores/shipping/link.ts";
import type { ShippingState } from "../stores/shipping/protocol.ts";
import { SharedDatabase, storeOver } from "../stores/shipping/shared_database.ts";
import { cachedTokens } from "../stores/shipping/cached_tokens.ts";
import { type Embedded, openEmbedded } from "../stores/sqlite/embedded.ts";
import { backups, type BackupsOptions } from "./backups.ts";
import { startExports } from "./exports.ts";
import { TakeoutLink } from "./export_worker/link.ts";
import type { DatabaseConfig, StorageConfig } from "../config/storage_config.ts";
import { startHousekeeping } from "./maintenance_loop.ts";
import type { ServerSystem } from "./system.ts";
import type { RowsDatabase } from "./repricing.ts";

/** Where calls are recorded and what answers for them: the embedded database alone, or with a shared one behind it. */
export interface Storage {
  readonly ledger: Ledger;
  readonly store: Store;
  readonly tokens: Tokens;
  readonly owners: Owners;
  readonly sessions: SessionRecords;
  /** Where batches are kept and their lines recorded. */
  readonly batches: OwnedRecords & Pick<Store, "recordUsage">;
  readonly readiness: () => Readiness;
  /** How shipping goes; null where there is no shared database. */
  readonly shipping: () => ShippingState | null;
  /** Queues what was recorded here from that time on for the shared database once more; null where there is none. */
  readonly reship: ((since: number) => Promise<number>) | null;
  /** Where the rows are that totals are asked of. */
  readonly rowsDatabase: () => RowsDatabase;
  readonly exportUsage: ExportUsage;
  readonly backUp: BackUp;
  /** The shared database's URL was read again. */
  readonly rotate: (databaseUrl: string | null) => void;
  /** Commits what waits, ships what it can in a few seconds, and closes. */
  readonly end: () => Promise<void>;
}

export interface StorageOptions extends Pick<ServerSystem, "now" | "randomBytes"> {
  readonly config: StorageConfig;
  readonly instanceId: string;
  readonly observe: Pick<Observe, "note">;
}

/** How long a start waits for a shared database that does not answer; then it goes on without. */
const START_MS = 5_000;
/** How long an end waits for it. */
const FINISH_MS = 5_000;
/** Behind by more than this is worth an operator's look. */
const LAG_MS = 60_000;

/** Tokens and queries; shipping has its own. */
const CONNECTING = { max: 6 };

/** Rejects as `openEmbedded` does, or with `SchemaTooNew` where the shared database is newer than the program. */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { config, instanceId, observe, now } = options;
  const embedded = await openEmbedded({
    dir: config.dataDir,
    synchronous: config.sync,
    instanceId,
    now,
    spool: config.database?.spool ?? null,
    onTrouble: (trouble) =>
      trouble === null
        ? observe.note("info", "calls are recorded again")
        : observe.note("error", "calls cannot be recorded and are refused", { trouble }),
  });
  if (embedded.moveAside !== null) {
    observe.note(
      "error",
      "the spool was damaged: it has been moved aside and a new one begun; what it had not shipped is only there",
      {
        ...embedded.moveAside,
        rescue: `sqlite3 ${embedded.moveAside.path} .recover`,
      },
    );
  }
  if (embedded.counted > 0) {
    observe.note("info", "calls that were recorded for a shared database are counted here now", { calls: embedded.counted });
  }
  if (embedded.swept > 0) {
    observe.note("warn", "calls that an earlier run left open are closed as unknown", { calls: embedded.swept });
  }
  try {
    return config.database === null
      ? embeddedStorage(embedded, options)
      : await sharedStorage(embedded, { ...options, database: config.database });
  } catch (error) {
    await embedded.end();
    throw error;
  }
}

function embeddedStorage(embedded: Embedded, options: StorageOptions): Storage {
  const { ledger, store, tokens } = embedded;
  const housekeeping = startHousekeeping({ ...options, ledger, store, care: store, database: null });
  const takeout = new TakeoutLink();
  const exports = startExports(takeout, () => ({ path: pathOf(embedded) }));
  return {
    ledger,
    store,
    tokens,
    owners: cachedOwners({ ledger, local: embedded.owned, shared: null }),
    sessions: cachedSessions({ local: embedded.sessions, shared: null }),
    batches: store,
    readiness: () => readinessOf(ledger.trouble(), null),
    shipping: () => null,
    reship: null,
    rowsDatabase: () => ({ kind: "embedded", path: pathOf(embedded), synchronous: options.config.sync }),
    exportUsage: exports.start,
    backUp: backupsOf(embedded, { takeout, dataDir: options.config.dataDir, of: "database" }),
    rotate: () => {},
    end: async () => {
      exports.end();
      takeout.end();
      await housekeeping.end();
      await embedded.end();
    },
  };
}

async function sharedStorage(
  embedded: Embedded,
  options: StorageOptions & { readonly database: DatabaseConfig },
): Promise<Storage> {
  const { ledger } = embedded;
  const { database, config, observe, now, randomBytes } = options;
  let databaseUrl = database.url;
  const shared = new SharedDatabase((url) => connectPostgres(url, CONNECTING), database.url);
  const store = storeOver(shared);
  await firstContact(shared, observe);
  const [seed = 0] = new Uint32Array(randomBytes(4).slice().buffer);
  const shipping = startShipping({
    path: embedded.databasePath,
    synchronous: config.sync,
    databaseUrl: database.url,
    seed,
    observe,
  });
  const housekeeping = startHousekeeping({ ...options, ledger, store, care: embedded.store, database });
  const takeout = new TakeoutLink();
  const exports = startExports(takeout, () => ({ url: databaseUrl }));
  return {
    ledger,
    store,
    tokens: cachedTokens({ shared: store, copies: embedded.tokens, graceMs: database.tokenGraceMs, now }),
    owners: cachedOwners({ ledger, local: embedded.owned, shared: store }),
    sessions: cachedSessions({ local: embedded.sessions, shared: store }),
    batches: store,
    readiness: () => readinessOf(ledger.trouble(), unrecordedTrouble(ledger) ?? shippingTrouble(shipping, now())),
    shipping: () => shipping.state(),
    reship: (since) => embedded.store.reship(since),
    rowsDatabase: () => ({ kind: "shared", url: databaseUrl }),
    exportUsage: exports.start,
    backUp: backupsOf(embedded, { takeout, dataDir: config.dataDir, of: "spool" }),
    rotate: (url) => {
      if (url === null) return;
      databaseUrl = url;
      shared.rotate(url);
      shipping.rotate(url);
    },
    end: async () => {
      exports.end();
      takeout.end();
      await housekeeping.end();
      // What is still being recorded has to be committed before the last shipment, whatever becomes of that.
      const ended = ledger.end();
      await ended.catch(() => {});
      await shipping.finish(FINISH_MS);
      await shared.close();
      await embedded.end();
      await ended;
    },
  };
}

/** To be opened by its path. Throws `DatabaseUnavailable` if that names other files by now. */
function pathOf(embedded: Embedded): string {
  const loss = embedded.loss();
  if (loss !== null) throw new DatabaseUnavailable(loss.reason);
  return embedded.databasePath;
}

function backupsOf(
  embedded: Embedded,
  { takeout, ...options }: Pick<BackupsOptions, "dataDir" | "of"> & { readonly takeout: TakeoutLink },
): BackUp {
  const { databasePath, loss, store } = embedded;
  return backups(takeout, { ...options, databasePath, loss, rescue: store.copyInto });
}

/** Migrates where the database answers. Rejects only where it is newer than the program: that no waiting cures. */
async function firstContact(shared: SharedDatabase, observe: Pick<Observe, "note">): Promise<void> {
  try {
    await deadline(shared.ready(), START_MS, () => new Error(`it did not answer within ${START_MS / 1000} s`));
  } catch (error) {
    if (error instanceof SchemaTooNew) {
      await shared.close();
      throw error;
    }
    observe.note("error", "the shared database cannot be used yet: calls are recorded here until it can", { error });
  }
}

/** A full spool either refuses calls, which the ledger calls its trouble, or lets them pass without a row. */
function unrecordedTrouble(ledger: Ledger): string | null {
  return ledger.usedBytes() < ledger.boundBytes() ? null : "The spool is full: calls are served without a row";
}

function shippingTrouble(shipping: Shipping, now: number): string | null {
  const { failure, oldestCreatedAt, quarantined, rows } = shipping.state();
  if (failure !== null) return `The shared database takes nothing: ${rows} calls wait here`;
  if (oldestCreatedAt !== null && now - oldestCreatedAt > LAG_MS) return `The shared database is behind: ${rows} calls wait here`;
  return quarantined > 0 ? `The shared database refuses ${quarantined} rows` : null;
}

function readinessOf(trouble: string | null, shippingTrouble: string | null): Readiness {
  if (trouble !== null) return { status: "unavailable", reason: trouble };
  return { status: shippingTrouble === null ? "ok" : "degraded", reason: shippingTrouble };
}
