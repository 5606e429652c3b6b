import { deadline } from "../async/deadline.ts";
import type { DatabaseConfig, StorageConfig } from "../config/config.ts";
import type { Ledger } from "../domain/ledger.ts";
import type { Observe } from "../domain/observe.ts";
import type { BackUp, ExportUsage, Readiness, Reship } from "../domain/operations.ts";
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
import { readingOwnCalls } from "../stores/shipping/own_calls.ts";
import type { ShippingState } from "../stores/shipping/protocol.ts";
import { SharedDatabase, storeOver } from "../stores/shipping/shared_database.ts";
import { openEmbedded } from "../stores/sqlite/embedded.ts";
import { openRecording, type Recording, type RecordingOptions } from "../stores/sqlite/recording.ts";
import { backups, type BackupSource } from "./backups.ts";
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
  readonly shipping: () => ShippingState;
  /** Resolves when the store has what was recorded before, or after some seconds. Never rejects. */
  readonly caughtUp: () => Promise<unknown>;
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
/** How long an export or a repricing waits for the shipper. */
const CAUGHT_UP_MS = 2_000;
/** How long a backup waits for it. */
const BACKUP_MS = 60_000;
/** An operator should look if shipping is further behind. */
const LAG_MS = 60_000;

/** For tokens and queries; shipping has its own connection. */
const CONNECTIONS = { max: 6 };

/** Rejects as `openRecording` does, or with `SchemaTooNew` if the shared database is newer. */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { config, instanceId, observe, now } = options;
  const recording: Omit<RecordingOptions, "shared"> = {
    dir: config.dataDir,
    synchronous: config.sync,
    instanceId,
    now,
    observe,
    onTrouble: (trouble) =>
      trouble === null
        ? observe.note("info", "calls are recorded again")
        : observe.note("error", "calls cannot be recorded and are refused", { trouble }),
  };
  return config.database === null
    ? await embeddedStorage(recording, options)
    : await sharedStorage(recording, config.database, options);
}

/** Logs what the start found in the data directory. */
function noteFindings({ moveAside, upgraded, swept }: Recording, observe: Pick<Observe, "note">): void {
  if (moveAside !== null) {
    observe.note(
      "error",
      "the spool was damaged: it was moved aside and a new one started; rows that it had not shipped are only in the old file",
      { ...moveAside, rescue: `sqlite3 ${moveAside.path} .recover` },
    );
  }
  const counted = upgraded?.counted ?? 0;
  if (counted > 0) {
    observe.note("info", "calls recorded for a shared database are now counted in the data directory", { calls: counted });
  }
  const left = swept + (upgraded?.swept ?? 0);
  if (left > 0) observe.note("warn", "calls that an earlier run left open are closed as unknown", { calls: left });
}

async function embeddedStorage(recording: Omit<RecordingOptions, "shared">, options: StorageOptions): Promise<Storage> {
  const embedded = await openEmbedded(recording);
  noteFindings(embedded, options.observe);
  const { ledger, store, shipping } = embedded;
  const place = () => ({ path: pathOf(embedded) });
  const jobs = startJobs(embedded, options, {
    store,
    place,
    backup: { of: "database", path: embedded.databasePath, copyInto: store.copyInto },
  });
  const { recordOwned, findOwned, takeBatches, findBatch, postponeBatch, settleBatch } = shipping;
  return {
    ...jobs,
    ...commonParts(embedded, shipping),
    store,
    tokens: shipping,
    batches: { recordOwned, findOwned, takeBatches, findBatch, postponeBatch, settleBatch, recordUsage: store.recordUsage },
    readiness: () => readinessOf(ledger.trouble(), shippingTrouble(shipping.state(), options.now(), "the database")),
    reship: null,
    rowsDatabase: () => ({ kind: "embedded", path: pathOf(embedded), synchronous: options.config.sync }),
    rotate: () => {},
    end: async () => {
      await jobs.end();
      await embedded.end();
    },
  };
}

async function sharedStorage(
  recording: Omit<RecordingOptions, "shared">,
  database: DatabaseConfig,
  options: StorageOptions,
): Promise<Storage> {
  const { observe, now, randomBytes } = options;
  let databaseUrl = database.url;
  const [seed = 0] = new Uint32Array(randomBytes(4).slice().buffer);
  const records = await openRecording({ ...recording, shared: { url: databaseUrl, spool: database.spool, seed } });
  noteFindings(records, observe);
  const { ledger, shipping } = records;
  const shared = new SharedDatabase((url) => connectPostgres(url, CONNECTIONS), database.url);
  await firstContact(shared, observe).catch(async (error) => {
    await records.end();
    throw error;
  });
  const store = readingOwnCalls(storeOver(shared), shipping);
  const jobs = startJobs(records, options, {
    store,
    place: () => ({ url: databaseUrl }),
    backup: { of: "spool", path: records.spoolPath, copyInto: shipping.copySpoolInto },
  });
  return {
    ...jobs,
    ...commonParts(records, store),
    store,
    tokens: cachedTokens({ shared: store, copies: shipping, graceMs: database.tokenGraceMs, now }),
    batches: store,
    readiness: () =>
      readinessOf(ledger.trouble(), unrecordedTrouble(ledger) ?? shippingTrouble(shipping.state(), now(), "the shared database")),
    reship: shipping.reship,
    rowsDatabase: () => ({ kind: "shared", url: databaseUrl }),
    rotate: (url) => {
      if (url === null) return;
      databaseUrl = url;
      shared.rotate(url);
      shipping.rotate(url);
    },
    end: async () => {
      await jobs.end();
      await shared.close();
      await records.end();
    },
  };
}

/** `store`: where files, batches and sessions are looked for if the spool has none. */
function commonParts({ ledger, shipping }: Recording, store: OwnedRecords & SessionRecords) {
  return {
    ledger,
    owners: cachedOwners({ ledger, local: { findOwned: shipping.findOwnedHere }, store }),
    sessions: cachedSessions({ local: { findTrace: shipping.findTraceHere }, store }),
    shipping: shipping.state,
    caughtUp: () => shipping.caughtUp(CAUGHT_UP_MS),
  };
}

interface Jobs extends Pick<MaintenanceOptions, "store"> {
  readonly place: () => UsagePlace;
  readonly backup: Pick<BackupSource, "of" | "path" | "copyInto">;
}

/** Maintenance, exports and backups. */
function startJobs({ ledger, shipping, loss }: Recording, options: StorageOptions, { store, place, backup }: Jobs) {
  const maintenance = startMaintenance({ ...options, ledger, store, care: shipping });
  const worker = exportWorker();
  if (options.startsExportWorker) worker.start();
  const exports = startExports(worker, place);
  const exportUsage: ExportUsage = async (format, filter) => {
    await shipping.caughtUp(CAUGHT_UP_MS);
    return await exports.start(format, filter);
  };
  const ready = async () => {
    const openCalls = await shipping.openCalls();
    const isCaughtUp = await shipping.caughtUp(BACKUP_MS);
    if (backup.of === "spool" || isCaughtUp) return openCalls;
    throw new DatabaseUnavailable(
      `Calls that were recorded wait in the spool: ${shipping.state().failure ?? "they are too many"}`,
    );
  };
  return {
    exportUsage,
    backUp: backups(worker, { ...backup, loss, ready }, options.config.dataDir),
    end: async () => {
      exports.end();
      // Not waited for: a database that is being copied cannot be interrupted.
      worker.close(new Error("The proxy is shutting down"));
      await maintenance.end();
    },
  };
}

/** To be opened by its path. Throws `DatabaseUnavailable` if the path names other files now. */
function pathOf({ loss, databasePath }: Recording): string {
  const lost = loss();
  if (lost !== null) throw new DatabaseUnavailable(lost.reason);
  return databasePath;
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

function shippingTrouble(state: ShippingState, now: number, store: string): string | null {
  const { failure, oldestCreatedAt, quarantined, rows } = state;
  if (failure !== null) return `Cannot write to ${store}: ${rows} calls wait in the spool`;
  if (oldestCreatedAt !== null && now - oldestCreatedAt > LAG_MS) {
    return `Shipping to ${store} is behind: ${rows} calls wait in the spool`;
  }
  return quarantined > 0 ? `Rows quarantined because ${store} rejects them: ${quarantined}` : null;
}

function readinessOf(trouble: string | null, shippingTrouble: string | null): Readiness {
  if (trouble !== null) return { status: "unavailable", reason: trouble };
  return { status: shippingTrouble === null ? "ok" : "degraded", reason: shippingTrouble };
}
