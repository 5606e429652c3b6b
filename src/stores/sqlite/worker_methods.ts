import type { DatabaseSync } from "node:sqlite";
import { cachedCalls } from "../detail_sql.ts";
import { refusals } from "../records_sql.ts";
import { copyDatabase } from "./backup.ts";
import { inTransaction } from "./connection.ts";
import type { Answers } from "./protocol.ts";
import { dropSome, handOverOn, pruneSome, pruneTokensSome, reship } from "./prune.ts";
import { Queries } from "./queries.ts";
import { recordAnswersOn } from "./records.ts";
import { Rows } from "./rows.ts";
import { Traces } from "./traces.ts";

/** Rows in one transaction of `recordUsage`: about 10 ms, for which the ledger's commits wait. */
const RECORDED_AT_ONCE = 200;

/** The store's verbs on one connection, blocking. */
export function answersOn(db: DatabaseSync): Answers {
  // Without an outbox: these rows were counted elsewhere or stay here, and are not shipped.
  const rows = new Rows(db, { outbox: null, inflight: null });
  const traces = new Traces(db, null);
  const queries = new Queries(db);
  const records = recordAnswersOn(db, queries);

  return {
    queryUsage: (query) => inSnapshot(db, () => queries.queryUsage(query)),
    queryTraces: (query) => inSnapshot(db, () => queries.queryTraces(query)),
    getTraceDetail: (id, workspaceId) => inSnapshot(db, () => queries.getTraceDetail(id, workspaceId)),
    getCachedCalls: (place) => queries.answer(cachedCalls(place)),
    queryRefusals: (opts) => queries.answer(refusals(opts)),

    recordUsage(closed) {
      for (let at = 0; at < closed.length; at += RECORDED_AT_ONCE) {
        const some = closed.slice(at, at + RECORDED_AT_ONCE);
        inTransaction(db, () => {
          const dropped = queries.droppedBefore();
          for (const row of some) if (row.call.createdAt >= dropped) rows.applyClosed(row);
        });
      }
    },
    recordTraces: (joined) => inTransaction(db, () => joined.forEach((trace) => traces.join(trace))),
    recordRefusals: (counts) => inTransaction(db, () => traces.setRefusals(counts)),
    getOrCreateTrace(trace) {
      return records.findTrace(trace.workspaceId, trace.id) ?? inTransaction(db, () => {
        traces.insert(trace);
        return records.findTrace(trace.workspaceId, trace.id) ?? trace;
      });
    },
    updateTraceActivity: (workspaceId, id, at) => void traces.moveOn({ workspaceId, id, updatedAt: at }),

    clock: () => null,
    makeReady: () => {},
    dropMonths: (before) => inTransaction(db, () => dropSome(db, before)),
    prune: (before, now) => inTransaction(db, () => pruneSome(db, before, now)),
    pruneTokens: (before) => inTransaction(db, () => pruneTokensSome(db, before)),
    handOver: handOverOn(db),
    copyInto: (path) => copyDatabase(db, path),
    reship: (since) => reship(db, since),

    ...records,
  };
}

/** Runs several reads on one state of the database. */
function inSnapshot<T>(db: DatabaseSync, read: () => T): T {
  db.exec("BEGIN");
  try {
    return read();
  } finally {
    if (db.isTransaction) db.exec("COMMIT");
  }
}
