import { deadline } from "../async/deadline.ts";
import type { DatabaseConfig, StorageConfig } from "../config/config.ts";
import type { AuditRecords } from "../domain/audit.ts";
import type { Ledger, RecordingState } from "../domain/ledger.ts";
import type { Observe } from "../domain/observe.ts";
import type { BackUp, ExportUsage, Readiness, Reship } from "../domain/operations.ts";
import type { LimitRecords } from "../domain/limits.ts";
import type { OwnedRecords } from "../domain/owned.ts";
import type { SessionRecords } from "../domain/sessions.ts";
import type { Store } from "../domain/store.ts";
import type { SuspensionRecords } from "../domain/suspensions.ts";
import type { Revocations, Tokens } from "../domain/tokens.ts";
import { DatabaseUnavailable } from "../domain/unavailable.ts";
import type { PriceList } from "../pricing/price_list.ts";
import { SchemaTooNew } from "../stores/migrations.ts";
import { connectPostgres } from "../stores/postgres/store.ts";
import type { OwnedPlaces } from "../stores/shipping/cached_owners.ts";
import { cachedSessions } from "../stores/shipping/cached_sessions.ts";
import { cachedTokens } from "../stores/shipping/cached_tokens.ts";
import { readingOwnCalls } from "../stores/shipping/own_calls.ts";
import type { ShippingState } from "../stores/shipping/protocol.ts";
import { SharedDatabase, storeOver } from "../stores/shipping/shared_database.ts";
import { embeddedStore } from "../stores/sqlite/embedded.ts";
import {
  endAll,
  openOwnLedger,
  openRecording,
  type OwnLedgerOptions,
  type Recording,
  type RecordingOptions,
} from "../stores/sqlite/recording.ts";
import { backups, type BackupSource } from "./backups.ts";
import { exportWorker, type UsagePlace } from "./export_worker/protocol.ts";
import { startExports } from "./exports.ts";
import { type MaintenanceOptions, startMaintenance } from "./maintenance_loop.ts";
import type { RowsDatabase } from "./repricing.ts";
import type { ServerSystem } from "./system.ts";

/** Records calls and answers queries: the embedded database, or spools and a shared one. */
export interface Storage {
  /** This process's; null if workers record calls. */
  readonly ledger: Ledger | null;
  readonly recording: RecordingState;
  readonly store: Store;
  readonly tokens: Tokens;
  readonly limits: LimitRecords;
  readonly stops: SuspensionRecords & Revocations;
  readonly audit: AuditRecords;
  readonly owned: OwnedPlaces;
  readonly sessions: SessionRecords;
  /** Keeps message batches and records their lines. */
  readonly batches: OwnedRecords & Pick<Store, "recordUsage">;
  readonly readiness: () => Readiness;
  readonly shipping: () => ShippingState;
  /** Something was recorded. */
  readonly poke: () => void;
  /** Why the files of the data directory are lost, for an operator; null while they are not. */
  readonly whyLost: () => string | null;
  /** Resolves when the store has what was recorded before, or after some seconds. Never rejects. */
  readonly caughtUp: () => Promise<unknown>;
  readonly reship: Reship;
  /** The database with the rows that totals are computed from. */
  readonly rowsDatabase: () => RowsDatabase;
  readonly exportUsage: ExportUsage;
  readonly backUp: BackUp;
  /** Takes the shared database's URL, read again. */
  readonly rotate: (databaseUrl: string | null) => void;
  /**
   * Starts maintenance, and the Workers that no call needs. That blocks the event loop for about
   * 100 ms each, so call it in a moment without calls.
   */
  readonly begin: () => void;
  /** Commits what waits, ships what it can in a few seconds, and closes. */
  readonly end: () => Promise<void>;
}

export interface StorageOptions extends Pick<ServerSystem, "now" | "randomBytes" | "startsWorkers"> {
  readonly config: StorageConfig;
  readonly instanceId: string;
  readonly observe: Pick<Observe, "note">;
  /** Null: this process records calls itself. */
  readonly workers: { readonly count: number; readonly recording: RecordingState } | null;
  /** Those in force. */
  readonly prices: () => PriceList;
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
  const { database } = options.config;
  return database === null ? await embeddedStorage(options) : await sharedStorage(database, options);
}

/** A recording, and this process's ledger if it has one. */
interface Records extends Recording {
  readonly ledger: Ledger | null;
  readonly recording: RecordingState;
}

async function openRecords(
  { config: { dataDir: dir, sync: synchronous }, instanceId, observe, now, workers }: StorageOptions,
  { shared, spool }: Pick<RecordingOptions, "shared"> & Pick<OwnLedgerOptions, "spool">,
): Promise<Records> {
  const recording = await openRecording({ dir, synchronous, now, observe, shared, workers: workers?.count ?? 1 });
  try {
    const { shipping, loss, spoolPaths: [path = ""] } = recording;
    const own = { dir, path, instanceId, synchronous, now, spool, loss };
    const opened = workers === null
      ? await openOwnLedger({ ...own, onCommit: shipping.poke, onTrouble: (trouble) => noteTrouble(trouble, observe) })
      : null;
    noteFindings(recording, opened?.swept ?? 0, observe);
    return {
      ...recording,
      ledger: opened?.ledger ?? null,
      recording: opened === null ? workers!.recording : stateOf(opened.ledger),
      end: () => endAll([...opened === null ? [] : [opened.ledger.end], recording.end]),
    };
  } catch (error) {
    await recording.end().catch(() => {});
    throw error;
  }
}

function stateOf(ledger: Ledger): RecordingState {
  const { usedBytes, trouble } = ledger;
  return { usedBytes, trouble, fill: () => usedBytes() / ledger.boundBytes() };
}

/** Says when calls cannot be recorded, and when they can again. */
export function noteTrouble(trouble: string | null, observe: Pick<Observe, "note">): void {
  if (trouble === null) observe.note("info", "calls are recorded again");
  else observe.note("error", "calls cannot be recorded and are refused", { trouble });
}

/** Says that an earlier run left calls open, if it did. */
export function noteSwept(calls: number, observe: Pick<Observe, "note">): void {
  if (calls > 0) observe.note("warn", "calls that an earlier run left open are closed as unknown", { calls });
}

/** Logs what the start found in the data directory. */
function noteFindings({ movedAside, upgraded, swept }: Recording, sweptHere: number, observe: Pick<Observe, "note">): void {
  for (const { path, damage } of movedAside) {
    observe.note(
      "error",
      "the spool was damaged: it was moved aside and a new one started; rows that it had not shipped are only in the old file",
      { path, damage, rescue: `sqlite3 ${path} .recover` },
    );
  }
  const counted = upgraded?.counted ?? 0;
  if (counted > 0) {
    observe.note("info", "calls recorded for a shared database are now counted in the data directory", { calls: counted });
  }
  noteSwept(swept + sweptHere + (upgraded?.swept ?? 0), observe);
}

async function embeddedStorage(options: StorageOptions): Promise<Storage> {
  const { config: { sync }, now } = options;
  const records = await openRecords(options, { shared: null, spool: null });
  const { shipping, recording } = records;
  const store = embeddedStore(records, sync);
  const place = () => ({ path: pathOf(records) });
  const jobs = startJobs(records, options, {
    store,
    place,
    backup: { of: "database", paths: [records.databasePath], copyInto: shipping.copyInto },
    open: store.open,
  });
  const { recordOwned, findOwned, takeBatches, findBatch, postponeBatch, settleBatch } = shipping;
  return {
    ...jobs,
    ...commonParts(records, shipping),
    store,
    audit: store,
    tokens: shipping,
    limits: shipping,
    stops: shipping,
    batches: { recordOwned, findOwned, takeBatches, findBatch, postponeBatch, settleBatch, recordUsage: store.recordUsage },
    readiness: () => readinessOf(recording.trouble(), shippingTrouble(shipping.state(), now(), "the database")),
    reship: null,
    rowsDatabase: () => ({ kind: "embedded", path: pathOf(records), synchronous: sync }),
    rotate: () => {},
    end: async () => {
      await jobs.end();
      await endAll([store.close, records.end]);
    },
  };
}

async function sharedStorage(database: DatabaseConfig, options: StorageOptions): Promise<Storage> {
  const { observe, now, randomBytes } = options;
  let databaseUrl = database.url;
  const [seed = 0] = new Uint32Array(randomBytes(4).slice().buffer);
  const records = await openRecords(options, { shared: { url: databaseUrl, seed }, spool: database.spool });
  const { shipping, recording } = records;
  const shared = new SharedDatabase((url) => connectPostgres(url, CONNECTIONS), database.url);
  await firstContact(shared, observe).catch(async (error) => {
    await records.end();
    throw error;
  });
  const store = readingOwnCalls(storeOver(shared), shipping);
  const jobs = startJobs(records, options, {
    store,
    place: () => ({ url: databaseUrl }),
    backup: { of: "spool", paths: records.spoolPaths, copyInto: shipping.copyInto },
    open: () => Promise.resolve(),
  });
  return {
    ...jobs,
    ...commonParts(records, store),
    store,
    audit: store,
    tokens: cachedTokens({ shared: store, copies: shipping, graceMs: database.tokenGraceMs, now }),
    limits: store,
    stops: store,
    batches: store,
    readiness: () =>
      readinessOf(
        recording.trouble(),
        unrecordedTrouble(recording) ?? shippingTrouble(shipping.state(), now(), "the shared database"),
      ),
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

/** `store`: where files, batches and sessions are looked for if the spools have none. */
function commonParts({ ledger, recording, shipping, loss }: Records, store: OwnedRecords & SessionRecords) {
  return {
    ledger,
    recording,
    owned: { local: { findOwned: shipping.findOwnedHere }, store },
    sessions: cachedSessions({ local: { findTrace: shipping.findTraceHere }, store }),
    shipping: shipping.state,
    poke: shipping.poke,
    whyLost: () => loss()?.reason ?? null,
    caughtUp: () => shipping.caughtUp(CAUGHT_UP_MS),
  };
}

interface Jobs extends Pick<MaintenanceOptions, "store"> {
  readonly place: () => UsagePlace;
  readonly backup: Pick<BackupSource, "of" | "paths" | "copyInto">;
  /** Starts the Worker of the store's queries, if there is one. */
  readonly open: () => Promise<void>;
}

/** Maintenance, exports and backups. */
function startJobs({ recording, shipping, loss }: Records, options: StorageOptions, { store, place, backup, open }: Jobs) {
  let maintenance: ReturnType<typeof startMaintenance> | null = null;
  const worker = exportWorker();
  const exports = startExports(worker, { place, prices: options.prices });
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
    begin() {
      if (options.startsWorkers) {
        worker.start();
        // What is wrong with the database, the first question says.
        open().catch(() => {});
      }
      maintenance = startMaintenance({ ...options, recording, store, care: shipping });
    },
    exportUsage,
    backUp: backups(worker, { ...backup, loss, ready }, options.config.dataDir),
    end: async () => {
      exports.end();
      // Not waited for: a database that is being copied cannot be interrupted.
      worker.close(new Error("The proxy is shutting down"));
      await maintenance?.end();
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
function unrecordedTrouble(recording: RecordingState): string | null {
  return recording.fill() < 1 ? null : "The spool is full: calls are served without a row";
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
