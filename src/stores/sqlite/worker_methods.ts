import type { DatabaseSync } from "node:sqlite";
import { auditPage, insertAudit } from "../audit_sql.ts";
import { callsQuestion } from "../calls_sql.ts";
import { agentsOf, cachedCalls } from "../detail_sql.ts";
import { refusals, runsSince } from "../records_sql.ts";
import { tracesOfId } from "../traces_sql.ts";
import { inTransaction } from "./connection.ts";
import type { Answers } from "./protocol.ts";
import { dropSome } from "./prune.ts";
import { Queries } from "./queries.ts";
import { recordAnswersOn } from "./records.ts";
import { Rows } from "./rows.ts";
import { Traces } from "./traces.ts";

/** Rows in one transaction of `recordUsage`: about 10 ms, for which other writers wait. */
const RECORDED_AT_ONCE = 200;

/** The store's verbs on one connection, blocking. */
export function answersOn(db: DatabaseSync): Answers {
  const rows = new Rows(db);
  const traces = new Traces(db);
  const queries = new Queries(db);
  const records = recordAnswersOn(db, queries);

  return {
    queryUsage: (query) => inSnapshot(db, () => queries.queryUsage(query)),
    queryTraces: (query) => inSnapshot(db, () => queries.queryTraces(query)),
    listTraces: (query) => inSnapshot(db, () => queries.listTraces(query)),
    findTraces: (id, workspaceId) => queries.answer(tracesOfId(id, workspaceId)),
    getAgents: (trace) => queries.answer(agentsOf(trace)),
    queryCalls: (query) => queries.answer(callsQuestion(query)),
    getTraceDetail: (id, workspaceId) => inSnapshot(db, () => queries.getTraceDetail(id, workspaceId)),
    getCachedCalls: (place) => queries.answer(cachedCalls(place)),
    callsAfter: (query) => inSnapshot(db, () => queries.callsAfter(query)),
    queryRefusals: (opts) => queries.answer(refusals(opts)),
    queryRuns: (since) => queries.answer(runsSince(since)),

    recordUsage(closed) {
      for (let at = 0; at < closed.length; at += RECORDED_AT_ONCE) {
        const some = closed.slice(at, at + RECORDED_AT_ONCE);
        inTransaction(db, () => {
          const dropped = queries.droppedBefore();
          rows.write(some.filter(({ call }) => call.createdAt >= dropped));
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

    appendAudit: (entry) => queries.answer(insertAudit(entry)),
    listAudit: (query) => queries.answer(auditPage(query)),

    clock: () => null,
    makeReady: () => {},
    dropMonths: (before) => inTransaction(db, () => dropSome(db, before)),

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
