import { monthStart } from "../../domain/calendar.ts";
import type { Store } from "../../domain/store.ts";
import type { UsageRow } from "../../domain/usage.ts";
import { auditPage, insertAudit } from "../audit_sql.ts";
import { callsQuestion } from "../calls_sql.ts";
import { agentsOf, cachedCalls } from "../detail_sql.ts";
import * as records from "../records_sql.ts";
import { limitsChangeOf, limitsVersion, storedLimits } from "../limits_sql.ts";
import * as suspensions from "../suspensions_sql.ts";
import { tracesOfId } from "../traces_sql.ts";
import type { Question } from "../usage_sql.ts";
import type { StoreVerbs } from "../verbs.ts";
import { changed } from "./changes.ts";
import type { Ask } from "./connection.ts";
import { isOwnFault } from "./errors.ts";
import { hold, release, renewHolders, reservingBy, settle, usedOf } from "./limits.ts";
import { MIGRATE_DEFAULTS, migratePostgres } from "./migrate.ts";
import { dropMonths, droppedBefore, monthsOn, readClock } from "./months.ts";
import { recordOwned, takeBatches } from "./owned.ts";
import { type Access, openPool } from "./pool.ts";
import { answer, callsAfter, getTraceDetail, listTraces, queryTraces, queryUsage } from "./queries.ts";
import { writeRows } from "./rows.ts";
import { getOrCreateTrace, joinTraces, setRefusals, updateTraceActivity } from "./traces.ts";

export interface PostgresOptions {
  /** `parsePostgresUrl` says what it may hold. */
  readonly url: string;
  /** The most connections. */
  readonly max: number;
  /** For opening one connection. */
  readonly connectSeconds: number;
  /** For what a call waits for, such as a token or a trace. */
  readonly promptSeconds: number;
  /** For what may take longer: queries, and writing many rows. */
  readonly patientSeconds: number;
}

export const POSTGRES_DEFAULTS = { max: 10, connectSeconds: 5, promptSeconds: 10, patientSeconds: 30 } as const;

/** The texts of a JSON array. */
const ELEMENTS = "SELECT json_array_elements_text((?::text)::json)";

/** A connection is closed after it was unused for this long. */
const IDLE_SECONDS = 60;

/** Rows in one transaction: about 50 ms, in which no one else can change the same totals. */
const WRITTEN_AT_ONCE = 500;

/** How long reservations wait for an answer before the proxy admits on its own. */
const RESERVE_SECONDS = 5;

/** Months, counted from now, whose partitions are made before their first row comes. */
const MONTHS_AHEAD = [0, 1, 2];

/** A PostgreSQL, even an empty one. Throws if the URL or its root certificate cannot be read. */
export function connectPostgres(url: string, options: Partial<PostgresOptions> = {}) {
  const all = { ...POSTGRES_DEFAULTS, ...options, url };
  return {
    store: { ...openPostgresStore(all), isOwnFault },
    migrate: () => migratePostgres({ ...MIGRATE_DEFAULTS, connectSeconds: all.connectSeconds, url }),
  };
}

/**
 * The store on PostgreSQL 14 or later, directly or behind PgBouncer, shared by any number of
 * replicas. The schema must be up to date (`migratePostgres`). Connects when it is asked, and again
 * if it must. Rejects if there is no answer in time. Throws if the URL or its root certificate
 * cannot be read.
 */
export function openPostgresStore(options: PostgresOptions): Store & StoreVerbs {
  const { url, max, connectSeconds, promptSeconds, patientSeconds } = options;
  const pool = openPool(url, { max, connectSeconds, idleSeconds: IDLE_SECONDS });
  // One for admissions, and one for what happens behind them: a call waits neither for a query nor
  // for an end that waits for a lock. They connect when a limit is set.
  const reservePool = openPool(url, { max: 1, connectSeconds, idleSeconds: IDLE_SECONDS });
  const limitPool = openPool(url, { max: 1, connectSeconds, idleSeconds: IDLE_SECONDS });
  const reserving = reservingBy((sql) => reservePool.send(sql, RESERVE_SECONDS));
  const months = monthsOn(pool, patientSeconds);
  const running = new Set<Promise<unknown>>();
  let isClosed = false;

  async function unlessClosed<T>(work: () => Promise<T>): Promise<T> {
    if (isClosed) throw new Error("The store is closed");
    const working = work();
    running.add(working);
    try {
      return await working;
    } finally {
      running.delete(working);
    }
  }

  function ask<T>(access: Access, seconds: number, ask: (ask: Ask) => Promise<T>): Promise<T> {
    return unlessClosed(() => pool.run({ access, seconds, ask }));
  }

  function put<T>(access: Access, seconds: number, question: Question<T>): Promise<T> {
    return ask(access, seconds, (ask) => answer(ask, question));
  }

  function inPieces<T>(all: readonly T[], write: (some: readonly T[]) => Promise<void>): Promise<void> {
    return unlessClosed(async () => {
      for (let at = 0; at < all.length; at += WRITTEN_AT_ONCE) await write(all.slice(at, at + WRITTEN_AT_ONCE));
    });
  }

  function write(ask: (ask: Ask) => Promise<void>): Promise<void> {
    return pool.run({ access: "write", seconds: patientSeconds, ask });
  }

  function limitWrite(ask: (ask: Ask) => Promise<void>): Promise<void> {
    return unlessClosed(() => limitPool.run({ access: "write", seconds: promptSeconds, ask }));
  }

  async function recordSome(rows: readonly UsageRow[]): Promise<void> {
    try {
      await months.make(rows.map(({ call }) => monthStart(call.createdAt)));
      await write(async (ask) => {
        const dropped = await droppedBefore(ask);
        await writeRows(ask, rows.filter(({ call }) => call.createdAt >= dropped));
      });
    } catch (error) {
      months.forget();
      throw error;
    }
  }

  return {
    recordUsage: (rows) => inPieces(rows, recordSome),
    recordTraces: (traces) => inPieces(traces, (some) => write((ask) => joinTraces(ask, some))),
    recordRefusals: (counts) => inPieces(counts, (some) => write((ask) => setRefusals(ask, some))),
    getOrCreateTrace: (trace) => ask("write", promptSeconds, (ask) => getOrCreateTrace(ask, trace)),
    updateTraceActivity: (workspaceId, id, at) =>
      ask("write", promptSeconds, (ask) => updateTraceActivity(ask, { workspaceId, id }, at)),
    queryUsage: (query) => ask("read latest", patientSeconds, (ask) => queryUsage(ask, query)),
    queryTraces: (query) => ask("read", patientSeconds, (ask) => queryTraces(ask, query)),
    listTraces: (query) => ask("read", patientSeconds, (ask) => listTraces(ask, query)),
    findTraces: (id, workspaceId) => put("read", patientSeconds, tracesOfId(id, workspaceId)),
    getAgents: (trace) => put("read", patientSeconds, agentsOf(trace)),
    queryCalls: (query) => put("read", patientSeconds, callsQuestion(query)),
    getTraceDetail: (id, workspaceId) => ask("read", patientSeconds, (ask) => getTraceDetail(ask, id, workspaceId)),
    getCachedCalls: (place) => put("read", patientSeconds, cachedCalls(place)),
    callsAfter: (query) => ask("read latest", patientSeconds, (ask) => callsAfter(ask, query)),
    queryRefusals: (opts) => put("read", patientSeconds, records.refusals(opts)),
    queryRuns: (since) => put("read", patientSeconds, records.runsSince(since)),
    dropMonths: async (before) => {
      await ask("write", patientSeconds, (ask) => dropMonths(ask, before));
      return false;
    },
    clock: () => ask("read", promptSeconds, readClock),
    makeReady: (now) => unlessClosed(() => months.make(MONTHS_AHEAD.map((ahead) => monthStart(now, ahead)))),
    appendAudit: (entry) => put("write", promptSeconds, insertAudit(entry)),
    listAudit: (query) => put("read", patientSeconds, auditPage(query)),
    createToken: (...given) => ask("write", promptSeconds, (ask) => changed(ask, records.creationOf(...given))),
    findToken: (sha256) => put("read", promptSeconds, records.tokenWith(sha256)),
    listTokens: (workspaceId) => put("read", patientSeconds, records.tokensIn(workspaceId)),
    revokeToken: (...given) => ask("write", promptSeconds, (ask) => changed(ask, records.revocationOf(...given))),
    findRevoked: (ids) => put("read", promptSeconds, records.revokedAmong(ids, ELEMENTS)),
    suspend: (...given) => ask("write", promptSeconds, (ask) => changed(ask, suspensions.suspensionOf(...given))),
    resume: (...given) => ask("write", promptSeconds, (ask) => changed(ask, suspensions.resumptionOf(...given))),
    suspensionsAfter: (change) => put("read", promptSeconds, suspensions.suspensionsAfter(change)),
    recordOwned: (owned) => inPieces(owned, (some) => write((ask) => recordOwned(ask, some))),
    findOwned: (ids) => put("read", promptSeconds, records.ownedWith(ids, ELEMENTS)),
    takeBatches: (asked) => ask("write", promptSeconds, (ask) => takeBatches(ask, asked)),
    findBatch: (id) => put("read", promptSeconds, records.batchWith(id)),
    postponeBatch: (id, dueAt) => put("write", promptSeconds, records.postpone(id, dueAt)),
    settleBatch: (id, outcome) => put("write", promptSeconds, records.settle(id, outcome)),
    findTrace: (workspaceId, id) => put("read", promptSeconds, records.traceWith({ workspaceId, id })),
    findAgent: (asked) => put("read", promptSeconds, records.traceOfAgent(asked)),
    limitsVersion: () => put("read", promptSeconds, limitsVersion()),
    listLimits: () => put("read", promptSeconds, storedLimits()),
    setLimits: async (...given) => {
      await ask("write", promptSeconds, (ask) => changed(ask, limitsChangeOf(...given)));
    },
    reserve: (reservation, bounds) => unlessClosed(() => reserving(reservation, bounds)),
    usedOf: (workspaceId, bounds) => ask("read latest", promptSeconds, (ask) => usedOf(ask, workspaceId, bounds)),
    hold: (reservations) => limitWrite((ask) => hold(ask, reservations)),
    settle: (ended) => limitWrite((ask) => settle(ask, ended)),
    release: (ids) => limitWrite((ask) => release(ask, ids)),
    renewHolders: (holders) => limitWrite((ask) => renewHolders(ask, holders)),
    close: async () => {
      isClosed = true;
      await Promise.allSettled(running);
      await Promise.all([pool, reservePool, limitPool].map((each) => each.close()));
    },
  };
}
