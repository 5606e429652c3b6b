import type { DatabaseSync } from "node:sqlite";
import type { Backlog, Spool } from "../../domain/spool.ts";
import { ownedOf, type Row, runRefusalsOf, text, traceOf } from "../row_decoders.ts";
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
    return spoolOn(db);
  } catch (error) {
    db.close();
    throw error;
  }
}

function spoolOn(db: DatabaseSync): OpenSpool {
  const queues = {
    rows: queueOn(db, "rows"),
    traces: queueOn(db, "traces"),
    refusals: queueOn(db, "refusals"),
    owned: queueOn(db, "owned"),
  };
  const traceOfRow = readingBigInts(db, "SELECT * FROM traces WHERE workspace_id = ? AND id = ?");
  const outbox = new Outbox(db);
  const quarantine = db.prepare("INSERT OR REPLACE INTO quarantined (workspace_id, created_at, id, reason) VALUES (?, ?, ?, ?)");
  const release = db.prepare("DELETE FROM quarantined WHERE workspace_id = ? AND created_at = ? AND id = ?");
  const retry = db.prepare(RETRY);
  const measure = db.prepare(BACKLOG);
  /** Rows may be quarantined. Only then are arriving rows looked for there. */
  let hasQuarantined = backlog().quarantined > 0;

  function backlog(): Backlog {
    const { rows, oldest, quarantined } = measure.get() ?? {};
    return { rows: Number(rows), oldestCreatedAt: oldest === null ? null : Number(oldest), quarantined: Number(quarantined) };
  }

  function withTracesOf(rows: readonly Row[], traces: readonly Row[]): readonly Row[] {
    const found = new Map(traces.map((trace) => [JSON.stringify([trace.workspace_id, trace.id]), trace]));
    for (const row of rows) {
      const [workspaceId, id] = [text(row, "workspace_id"), text(row, "trace_id")];
      const key = JSON.stringify([workspaceId, id]);
      const trace = found.has(key) ? undefined : traceOfRow.get(workspaceId, id);
      if (trace !== undefined) found.set(key, trace);
    }
    return [...found.values()];
  }

  return {
    unshipped(most) {
      const [rows, traces] = [queues.rows.oldest.all(most), queues.traces.oldest.all(most)];
      const [refusals, owned] = [queues.refusals.oldest.all(most), queues.owned.oldest.all(most)];
      return {
        rows: rows.map(usageRowOf),
        traces: withTracesOf(rows, traces).map(traceOf),
        refusals: refusals.map(runRefusalsOf),
        owned: owned.map(ownedOf),
        upTo: { rows: lastNumber(rows), traces: lastNumber(traces), refusals: lastNumber(refusals), owned: lastNumber(owned) },
        isFull: [rows, traces, refusals, owned].some((found) => found.length === most),
      };
    },
    shipped({ rows, upTo }, refused) {
      inTransaction(db, () => {
        for (const kind of ["rows", "traces", "refusals", "owned"] as const) queues[kind].clear.run(upTo[kind]);
        if (hasQuarantined) { for (const { call } of rows) release.run(call.workspaceId, call.createdAt, call.id); }
        for (const { row: { call }, reason } of refused.rows) quarantine.run(call.workspaceId, call.createdAt, call.id, reason);
        for (const trace of refused.traces) outbox.addTrace(trace);
        for (const count of refused.refusals) outbox.addRefusal(count);
        for (const owned of refused.owned) outbox.addOwned(owned);
      });
      hasQuarantined = hasQuarantined ? backlog().quarantined > 0 : refused.rows.length > 0;
    },
    retryQuarantined: () => hasQuarantined ? Number(inTransaction(db, () => retry.run()).changes) : 0,
    backlog,
    close: () => db.close(),
  };
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
