import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Backlog, Refused, Shipment, Spool } from "../../domain/spool.ts";
import { ownedOf } from "../owned_reading.ts";
import { type Row, runRefusalsOf, text, traceOf } from "../row_decoders.ts";
import { usageRowOf } from "../usage_row.ts";
import { inTransaction, openConnection, readingBigInts, type Synchronous } from "./connection.ts";
import { type Kind, Outbox, QUEUES } from "./outbox.ts";

/** How long a write waits for the ledger's transactions, which take milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

export interface OpenSpool extends Spool {
  readonly close: () => void;
}

/** Opens the spool on its own connection. The schema must be up to date. Throws SQLite's error. */
export function openSpool(path: string, options: { readonly synchronous: Synchronous }): OpenSpool {
  const { synchronous } = options;
  const db = openConnection(path, { synchronous, busyTimeoutMs: BUSY_TIMEOUT_MS, autoCheckpointPages: 0, cacheKib: 8_000 });
  try {
    return new SqliteSpool(db);
  } catch (error) {
    db.close();
    throw error;
  }
}

class SqliteSpool implements OpenSpool {
  readonly #db: DatabaseSync;
  readonly #queues: Readonly<Record<Kind, { readonly oldest: StatementSync; readonly clear: StatementSync }>>;
  readonly #trace: StatementSync;
  readonly #outbox: Outbox;
  readonly #quarantine: StatementSync;
  readonly #release: StatementSync;
  readonly #retry: StatementSync;
  readonly #backlog: StatementSync;
  /** Rows may be quarantined. Only then are arriving rows looked for there. */
  #hasQuarantined: boolean;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#queues = {
      rows: queueOn(db, "rows"),
      traces: queueOn(db, "traces"),
      refusals: queueOn(db, "refusals"),
      owned: queueOn(db, "owned"),
    };
    this.#trace = readingBigInts(db, "SELECT * FROM traces WHERE workspace_id = ? AND id = ?");
    this.#outbox = new Outbox(db);
    this.#quarantine = db.prepare(
      "INSERT OR REPLACE INTO quarantined (workspace_id, created_at, id, reason) VALUES (?, ?, ?, ?)",
    );
    this.#release = db.prepare("DELETE FROM quarantined WHERE workspace_id = ? AND created_at = ? AND id = ?");
    this.#retry = db.prepare(RETRY);
    this.#backlog = db.prepare(BACKLOG);
    this.#hasQuarantined = this.backlog().quarantined > 0;
  }

  unshipped(most: number): Shipment {
    const [rows, traces] = [this.#oldest("rows", most), this.#oldest("traces", most)];
    const [refusals, owned] = [this.#oldest("refusals", most), this.#oldest("owned", most)];
    return {
      rows: rows.map(usageRowOf),
      traces: this.#withTracesOf(rows, traces).map(traceOf),
      refusals: refusals.map(runRefusalsOf),
      owned: owned.map(ownedOf),
      upTo: { rows: lastNumber(rows), traces: lastNumber(traces), refusals: lastNumber(refusals), owned: lastNumber(owned) },
      isFull: [rows, traces, refusals, owned].some((found) => found.length === most),
    };
  }

  shipped({ rows, upTo }: Shipment, refused: Refused): void {
    inTransaction(this.#db, () => {
      this.#queues.rows.clear.run(upTo.rows);
      this.#queues.traces.clear.run(upTo.traces);
      this.#queues.refusals.clear.run(upTo.refusals);
      this.#queues.owned.clear.run(upTo.owned);
      if (this.#hasQuarantined) { for (const { call } of rows) this.#release.run(call.workspaceId, call.createdAt, call.id); }
      for (const { row: { call }, reason } of refused.rows) {
        this.#quarantine.run(call.workspaceId, call.createdAt, call.id, reason);
      }
      for (const trace of refused.traces) this.#outbox.addTrace(trace);
      for (const count of refused.refusals) this.#outbox.addRefusal(count);
      for (const owned of refused.owned) this.#outbox.addOwned(owned);
    });
    this.#hasQuarantined = this.#hasQuarantined ? this.backlog().quarantined > 0 : refused.rows.length > 0;
  }

  retryQuarantined(): number {
    if (!this.#hasQuarantined) return 0;
    return Number(inTransaction(this.#db, () => this.#retry.run()).changes);
  }

  backlog(): Backlog {
    const { rows, oldest, quarantined } = this.#backlog.get() ?? {};
    return { rows: Number(rows), oldestCreatedAt: oldest === null ? null : Number(oldest), quarantined: Number(quarantined) };
  }

  close(): void {
    this.#db.close();
  }

  #oldest(kind: Kind, most: number): readonly Row[] {
    return this.#queues[kind].oldest.all(most);
  }

  #withTracesOf(rows: readonly Row[], traces: readonly Row[]): readonly Row[] {
    const found = new Map(traces.map((trace) => [JSON.stringify([trace.workspace_id, trace.id]), trace]));
    for (const row of rows) {
      const [workspaceId, id] = [text(row, "workspace_id"), text(row, "trace_id")];
      const key = JSON.stringify([workspaceId, id]);
      const trace = found.has(key) ? undefined : this.#trace.get(workspaceId, id);
      if (trace !== undefined) found.set(key, trace);
    }
    return [...found.values()];
  }
}

/** CROSS JOIN starts with the queue (https://sqlite.org/optoverview.html#manctrl). */
function queueOn(db: DatabaseSync, kind: Kind) {
  const { table, queue, key } = QUEUES[kind];
  const oldest = `
    SELECT t.*, q.number
    FROM ${queue} AS q
    CROSS JOIN ${table} AS t ON ${key.map((column) => `t.${column} = q.${column}`).join(" AND ")}
    ORDER BY q.number
    LIMIT ?`;
  return { oldest: readingBigInts(db, oldest), clear: db.prepare(`DELETE FROM ${queue} WHERE number <= ?`) };
}

/** 0 if there are no rows; numbers start with 1. */
function lastNumber(rows: readonly Row[]): number {
  return Number(rows.at(-1)?.number ?? 0);
}

const RETRY = `
  INSERT OR IGNORE INTO unshipped_usage (workspace_id, created_at, id)
  SELECT workspace_id, created_at, id FROM quarantined`;

const BACKLOG = `
  SELECT
    (SELECT count(*) FROM unshipped_usage)                           AS rows,
    (SELECT created_at FROM unshipped_usage ORDER BY number LIMIT 1) AS oldest,
    (SELECT count(*) FROM quarantined)                               AS quarantined`;
