import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Backlog, Refused, Shipment, ShipmentMarks, Spool } from "../../domain/spool.ts";
import { inTransaction, openConnection, readingBigInts, type Synchronous } from "./connection.ts";
import { Outbox } from "./outbox.ts";
import { ownedOf, type Row, runRefusalsOf, text, traceOf } from "../row_decoders.ts";
import { usageRowOf } from "../usage_row.ts";

/** How long a write waits for the ledger's transactions, which take milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

export interface OpenSpool extends Spool {
  readonly close: () => void;
}

/** Opens the spool of a database whose schema is up to date, on a connection of its own. Throws SQLite's own error. */
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
  readonly #rows: StatementSync;
  readonly #traces: StatementSync;
  readonly #trace: StatementSync;
  readonly #refusals: StatementSync;
  readonly #owned: StatementSync;
  readonly #clear: Readonly<Record<keyof ShipmentMarks, StatementSync>>;
  readonly #outbox: Outbox;
  readonly #quarantine: StatementSync;
  readonly #release: StatementSync;
  readonly #retry: StatementSync;
  readonly #backlog: StatementSync;
  /** Rows may be quarantined: only then those that arrive are looked for there. */
  #hasQuarantined: boolean;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#rows = readingBigInts(db, ROWS);
    this.#traces = readingBigInts(db, TRACES);
    this.#trace = readingBigInts(db, "SELECT * FROM traces WHERE workspace_id = ? AND id = ?");
    this.#refusals = readingBigInts(db, REFUSALS);
    this.#owned = readingBigInts(db, OWNED);
    this.#clear = {
      rows: db.prepare("DELETE FROM unshipped_usage WHERE number <= ?"),
      traces: db.prepare("DELETE FROM unshipped_traces WHERE number <= ?"),
      refusals: db.prepare("DELETE FROM unshipped_refusals WHERE number <= ?"),
      owned: db.prepare("DELETE FROM unshipped_owned WHERE number <= ?"),
    };
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
    const [rows, traces] = [this.#rows.all(most), this.#traces.all(most)];
    const [refusals, owned] = [this.#refusals.all(most), this.#owned.all(most)];
    return {
      rows: rows.map(usageRowOf),
      traces: this.#withTracesOf(rows, traces).map(traceOf),
      refusals: refusals.map(runRefusalsOf),
      owned: owned.map(ownedOf),
      upTo: {
        rows: lastNumber(rows),
        traces: lastNumber(traces),
        refusals: lastNumber(refusals),
        owned: lastNumber(owned),
      },
      isFull: [rows, traces, refusals, owned].some((found) => found.length === most),
    };
  }

  shipped({ rows, upTo }: Shipment, refused: Refused): void {
    inTransaction(this.#db, () => {
      this.#clear.rows.run(upTo.rows);
      this.#clear.traces.run(upTo.traces);
      this.#clear.refusals.run(upTo.refusals);
      this.#clear.owned.run(upTo.owned);
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

/** Zero where there is none: numbers begin with one. */
function lastNumber(rows: readonly Row[]): number {
  return Number(rows.at(-1)?.number ?? 0);
}

/** CROSS JOIN: SQLite begins with what waits, however much else there is (https://sqlite.org/optoverview.html#manctrl). */
const ROWS = `
  SELECT u.*, o.number
  FROM unshipped_usage AS o
  CROSS JOIN usage AS u ON u.workspace_id = o.workspace_id AND u.created_at = o.created_at AND u.id = o.id
  ORDER BY o.number
  LIMIT ?`;

const TRACES = `
  SELECT t.*, o.number
  FROM unshipped_traces AS o
  CROSS JOIN traces AS t ON t.workspace_id = o.workspace_id AND t.id = o.id
  ORDER BY o.number
  LIMIT ?`;

const REFUSALS = `
  SELECT r.*, o.number
  FROM unshipped_refusals AS o
  CROSS JOIN refusals AS r
    ON r.workspace_id = o.workspace_id AND r.sandbox_id = o.sandbox_id AND r.minute = o.minute AND r.fault = o.fault
    AND r.instance_id = o.instance_id
  ORDER BY o.number
  LIMIT ?`;

const OWNED = `
  SELECT w.*, o.number
  FROM unshipped_owned AS o
  CROSS JOIN owned AS w ON w.id = o.id
  ORDER BY o.number
  LIMIT ?`;

const RETRY = `
  INSERT OR IGNORE INTO unshipped_usage (workspace_id, created_at, id)
  SELECT workspace_id, created_at, id FROM quarantined`;

const BACKLOG = `
  SELECT
    (SELECT count(*) FROM unshipped_usage)                                              AS rows,
    (SELECT created_at FROM unshipped_usage ORDER BY number LIMIT 1)                    AS oldest,
    (SELECT count(*) FROM quarantined)                                                    AS quarantined`;
