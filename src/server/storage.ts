import { deadline } from "../async/deadline.ts";
import type { DatabaseConfig, StorageConfig } from "../config/config.ts";
import type { Ledger } from "../domain/ledger.ts";
import type { Observe } from "../domain/observe.ts";
import type { BackUp, Backup, ExportUsage, Readiness, Reship } from "../domain/operations.ts";
import type { OwnedRecords, Owners } from "../domain/owned.ts";
import type { SessionRecords } from "../domain/sessions.ts";
import type { Store } from "../domain/store.ts";
import type { Tokens } from "../domain/tokens.ts";
import { DatabaseUnavailable } from "../domain/unavailable.ts";
import { SchemaTooNew } from "../stores/migrations.ts";
import { connectPostgres } from "../stores/postgres/store.ts";
import { cachedOwners } from "../stores/shipping/cached_owners.ts";
import { cachedSessions } from "../stores/shipping/cached_sessions.ts";
import { cachedTokens } from "../stores/shipping/cached_tokens.ts";
import { type Shipping, startShipping } from "../stores/shipping/link.ts";
import type { ShippingState } from "../stores/shipping/protocol.ts";
import { SharedDatabase, storeOver } from "../stores/shipping/shared_database.ts";
import { type Embedded, openEmbedded } from "../stores/sqlite/embedded.ts";
import { backups } from "./backups.ts";
import { exportWorker, type UsagePlace } from "./export_worker/protocol.ts";
import { startExports } from "./exports.ts";
import { type MaintenanceOptions, startMaintenance } from "./maintenance_loop.ts";
import type { RowsDatabase } from "./repricing.ts";
import type { ServerSystem } from "./system.ts";

/** Records calls and answers queries: the embedded database, or a spool and a shared one. */
export interface Storage {
  readonly ledger: Ledger;
  readonly store: Store;
  readonly tokens: Tokens;
  readonly owners: Owners;
  readonly sessions: SessionRecords;
  /** Keeps message batches and records their lines. */
  readonly batches: OwnedRecords & Pick<Store, "recordUsage">;
  readonly readiness: () => Readiness;
  /** Null if there is no shared database. */
  readonly shipping: () => ShippingState | null;
  readonly reship: Reship;
  /** The database with the rows that totals are computed from. */
  readonly rowsDatabase: () => RowsDatabase;
  readonly exportUsage: ExportUsage;
  readonly backUp: BackUp;
  /** Takes the shared database's URL, read again. */
  readonly rotate: (databaseUrl: string | null) => void;
  /** Commits what waits, ships what it can in a few seconds, and closes. */
  readonly end: () => Promise<void>;
}

export interface StorageOptions extends Pick<ServerSystem, "now" | "randomBytes" | "startsExportWorker"> {
  readonly config: StorageConfig;
  readonly instanceId: string;
  readonly observe: Pick<Observe, "note">;
}

/** How long a start waits for a shared database that does not answer; then it goes on without. */
const START_MS = 5_000;
/** How long an end waits for it. */
const FINISH_MS = 5_000;
/** An operator should look if shipping is further behind. */
const LAG_MS = 60_000;

/** For tokens and queries; shipping has its own connection. */
const CONNECTIONS = { max: 6 };

/** Rejects as `openEmbedded` does, or with `SchemaTooNew` if the shared database is newer. */
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
  noteFindings(embedded, observe);
  try {
    return config.database === null
      ? embeddedStorage(embedded, options)
      : await sharedStorage(embedded, config.database, options);
  } catch (error) {
    await embedded.end();
    throw error;
  }
}

/** Logs what the start found in the data directory. */
function noteFindings({ moveAside, counted, swept }: Embedded, observe: Pick<Observe, "note">): void {
  if (moveAside !== null) {
    observe.note(
      "error",
      "the spool was damaged: it was moved aside and a new one started; rows that it had not shipped are only in the old file",
      { ...moveAside, rescue: `sqlite3 ${moveAside.path} .recover` },
    );
  }
  if (counted > 0) {
    observe.note("info", "calls recorded for a shared database are now counted in the data directory", { calls: counted });
  }
  if (swept > 0) observe.note("warn", "calls that an earlier run left open are closed as unknown", { calls: swept });
}

function embeddedStorage(embedded: Embedded, options: StorageOptions): Storage {
  const { ledger, store, tokens } = embedded;
  const place = () => ({ path: pathOf(embedded) });
  const jobs = startJobs(embedded, options, { store, place, of: "database" });
  return {
    ...jobs,
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
    rotate: () => {},
    end: async () => {
      await jobs.end();
      await embedded.end();
    },
  };
}

async function sharedStorage(embedded: Embedded, database: DatabaseConfig, options: StorageOptions): Promise<Storage> {
  const { ledger } = embedded;
  const { config, observe, now, randomBytes } = options;
  let databaseUrl = database.url;
  const shared = new SharedDatabase((url) => connectPostgres(url, CONNECTIONS), database.url);
  const store = storeOver(shared);
  await firstContact(shared, observe);
  const [seed = 0] = new Uint32Array(randomBytes(4).slice().buffer);
  const path = () => pathOf(embedded);
  const shipping = await startShipping({ path, synchronous: config.sync, databaseUrl, seed, observe });
  const jobs = startJobs(embedded, options, { store, place: () => ({ url: databaseUrl }), of: "spool" });
  return {
    ...jobs,
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
    rotate: (url) => {
      if (url === null) return;
      databaseUrl = url;
      shared.rotate(url);
      shipping.rotate(url);
    },
    end: async () => {
      await jobs.end();
      // Rows that are being recorded must be committed before the last shipment, or have failed.
      const ended = ledger.end();
      await ended.catch(() => {});
      await shipping.finish(FINISH_MS);
      await shared.close();
      await embedded.end();
      await ended;
    },
  };
}

/** Maintenance, exports and backups. */
function startJobs(
  embedded: Embedded,
  options: StorageOptions,
  { store, place, of }: Pick<MaintenanceOptions, "store"> & { readonly place: () => UsagePlace; readonly of: Backup["of"] },
) {
  const maintenance = startMaintenance({ ...options, ledger: embedded.ledger, store, care: embedded.store });
  const worker = exportWorker();
  if (options.startsExportWorker) worker.start();
  const exports = startExports(worker, place);
  return {
    exportUsage: exports.start,
    backUp: backups(worker, embedded, { dataDir: options.config.dataDir, of }),
    end: async () => {
      exports.end();
      // Not waited for: a database that is being copied cannot be interrupted.
      worker.close(new Error("The proxy is shutting down"));
      await maintenance.end();
    },
  };
}

/** To be opened by its path. Throws `DatabaseUnavailable` if the path names other files now. */
function pathOf(embedded: Embedded): string {
  const loss = embedded.loss();
  if (loss !== null) throw new DatabaseUnavailable(loss.reason);
  return embedded.databasePath;
}

/** Migrates if the database answers. Rejects only if it is newer: waiting cannot cure that. */
async function firstContact(shared: SharedDatabase, observe: Pick<Observe, "note">): Promise<void> {
  try {
    await deadline(shared.ready(), START_MS, () => new Error(`it did not answer within ${START_MS / 1000} s`));
  } catch (error) {
    if (error instanceof SchemaTooNew) {
      await shared.close();
      throw error;
    }
    observe.note("error", "the shared database cannot be used yet: calls are recorded in the spool until it can", { error });
  }
}

/** If the spool is full, the ledger reports trouble or serves calls without a row. */
function unrecordedTrouble(ledger: Ledger): string | null {
  return ledger.usedBytes() < ledger.boundBytes() ? null : "The spool is full: calls are served without a row";
}

function shippingTrouble(shipping: Shipping, now: number): string | null {
  const { failure, oldestCreatedAt, quarantined, rows } = shipping.state();
  if (failure !== null) return `Cannot write to the shared database: ${rows} calls wait in the spool`;
  if (oldestCreatedAt !== null && now - oldestCreatedAt > LAG_MS) {
    return `The shared database is behind: ${rows} calls wait in the spool`;
  }
  return quarantined > 0 ? `Rows quarantined because the shared database rejects them: ${quarantined}` : null;
}

function readinessOf(trouble: string | null, shippingTrouble: string | null): Readiness {
  if (trouble !== null) return { status: "unavailable", reason: trouble };
  return { status: shippingTrouble === null ? "ok" : "degraded", reason: shippingTrouble };
}
