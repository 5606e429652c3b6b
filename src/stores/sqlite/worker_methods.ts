import type { DatabaseSync } from "node:sqlite";
import type { RunRefusals } from "../../domain/ledger.ts";
import type { Trace } from "../../domain/trace.ts";
import type { UsageRow } from "../../domain/usage.ts";
import { cachedCalls } from "../detail_sql.ts";
import { refusals } from "../records_sql.ts";
import { copyDatabase } from "./backup.ts";
import { inTransaction } from "./connection.ts";
import type { Answers } from "./protocol.ts";
import { Housekeeping } from "./prune.ts";
import { Queries } from "./queries.ts";
import { recordAnswersOn } from "./records.ts";
import { Rows } from "./rows.ts";
import { Traces } from "./traces.ts";

/** Rows that one transaction of `recordUsage` writes: about 10 ms, for which the ledger's commits wait. */
const RECORDED_AT_ONCE = 200;

/** The store's verbs on one connection, blocking. */
export function answersOn(db: DatabaseSync): Answers {
  // What comes by this way has been counted elsewhere, or stays here: none of it is shipped.
  const rows = new Rows(db, { outbox: null, inflight: null });
  const traces = new Traces(db, null);
  const queries = new Queries(db);
  const housekeeping = new Housekeeping(db);
  const records = recordAnswersOn(db, queries);

  return {
    queryUsage: (query) => inSnapshot(db, () => queries.queryUsage(query)),
    queryTraces: (query) => inSnapshot(db, () => queries.queryTraces(query)),
    getTraceDetail: (id, workspaceId) => inSnapshot(db, () => queries.getTraceDetail(id, workspaceId)),
    getCachedCalls: (place) => queries.answer(cachedCalls(place)),
    queryRefusals: (opts) => queries.answer(refusals(opts)),

    recordUsage(closed: readonly UsageRow[]) {
      for (let at = 0; at < closed.length; at += RECORDED_AT_ONCE) {
        const some = closed.slice(at, at + RECORDED_AT_ONCE);
        inTransaction(db, () => {
          const dropped = queries.droppedBefore();
          for (const row of some) if (row.call.createdAt >= dropped) rows.applyClosed(row);
        });
      }
    },

    recordTraces(joined: readonly Trace[]) {
      inTransaction(db, () => joined.forEach((trace) => traces.join(trace)));
    },

    recordRefusals(counts: readonly RunRefusals[]) {
      inTransaction(db, () => traces.setRefusals(counts));
    },

    dropMonths: (before) => inTransaction(db, () => housekeeping.dropSome(before)),
    clock: () => null,
    makeReady: () => {},
    prune: (before, now) => inTransaction(db, () => housekeeping.pruneSome(before, now)),
    pruneTokens: (before) => inTransaction(db, () => housekeeping.pruneTokensSome(before)),
    handOver: () => housekeeping.handOverSome(),
    copyInto: (path) => copyDatabase(db, path),
    reship: (since) => housekeeping.reship(since),

    getOrCreateTrace(trace: Trace) {
      return records.findTrace(trace.workspaceId, trace.id) ?? inTransaction(db, () => {
        traces.insert(trace);
        return records.findTrace(trace.workspaceId, trace.id) ?? trace;
      });
    },

    updateTraceActivity(workspaceId: string, id: string, at: number) {
      traces.moveOn({ workspaceId, id, updatedAt: at });
    },

    ...records,
  };
}

/** Runs several reads over one state of the database. */
function inSnapshot<T>(db: DatabaseSync, read: () => T): T {
  db.exec("BEGIN");
  try {
    return read();
  } finally {
    if (db.isTransaction) db.exec("COMMIT");
  }
}
