import { monthStart } from "../../domain/calendar.ts";
import type { OwnedRecords } from "../../domain/owned.ts";
import type { SessionRecords } from "../../domain/sessions.ts";
import type { Store } from "../../domain/store.ts";
import type { Tokens } from "../../domain/tokens.ts";
import type { UsageRow } from "../../domain/usage.ts";
import { cachedCalls } from "../detail_sql.ts";
import * as records from "../records_sql.ts";
import type { Question } from "../usage_sql.ts";
import type { Ask } from "./connection.ts";
import { ClosingGate } from "./closing_gate.ts";
import { dropMonths, droppedBefore, Months, readClock } from "./months.ts";
import { recordOwned, takeBatches } from "./owned.ts";
import { type Access, openPool } from "./pool.ts";
import { answer, getTraceDetail, queryTraces, queryUsage } from "./queries.ts";
import { writeRows } from "./rows.ts";
import { getOrCreateTrace, joinTraces, setRefusals, updateTraceActivity } from "./traces.ts";

export interface PostgresOptions {
  /** `parsePostgresUrl` says what it may hold. */
  readonly url: string;
  /** Connections at a time. */
  readonly max: number;
  /** For one connection to be made and accepted. */
  readonly connectSeconds: number;
  /** For what somebody waits for: a token, a trace. */
  readonly promptSeconds: number;
  /** For what may take longer: queries, and writing many rows. */
  readonly patientSeconds: number;
}

export const POSTGRES_DEFAULTS = { max: 10, connectSeconds: 5, promptSeconds: 10, patientSeconds: 30 } as const;

/** A connection that nobody has used so long is ended. */
const IDLE_SECONDS = 60;

/** What one transaction writes: some 50 ms, in which nobody else moves the same totals. */
const WRITTEN_AT_ONCE = 500;

/** Months from the present one on that are made before their first row comes. */
const MONTHS_AHEAD = [0, 1, 2];

/**
 * The store on PostgreSQL 14 or later, by itself or behind PgBouncer, shared by any number of replicas. Connects when it is first
 * asked, and again whenever it must; the schema must be up to date (`migratePostgres`). A question that is not answered in time
 * rejects with an error that says so. Throws where the URL or the root certificate that it names cannot be read.
 */
export function openPostgresStore(options: PostgresOptions): Store & Tokens & OwnedRecords & SessionRecords {
  const { url, max, connectSeconds, promptSeconds, patientSeconds } = options;
  const pool = openPool(url, { max, connectSeconds, idleSeconds: IDLE_SECONDS });
  const months = new Months(pool, { seconds: patientSeconds });
  const door = new ClosingGate();

  function ask<T>(access: Access, seconds: number, ask: (ask: Ask) => Promise<T>): Promise<T> {
    return door.pass(() => pool.run({ access, seconds, ask }));
  }

  function put<T>(access: Access, seconds: number, question: Question<T>): Promise<T> {
    return ask(access, seconds, (ask) => answer(ask, question));
  }

  function inPieces<T>(all: readonly T[], write: (some: readonly T[]) => Promise<void>): Promise<void> {
    return door.pass(async () => {
      for (let at = 0; at < all.length; at += WRITTEN_AT_ONCE) await write(all.slice(at, at + WRITTEN_AT_ONCE));
    });
  }

  function write(ask: (ask: Ask) => Promise<void>): Promise<void> {
    return pool.run({ access: "write", seconds: patientSeconds, ask });
  }

  async function recordSome(rows: readonly UsageRow[]): Promise<void> {
    try {
      await months.make(rows.map(({ call }) => monthStart(call.createdAt)));
      await write(async (ask) => {
        const dropped = await droppedBefore(ask);
        await writeRows(ask, rows.filter(({ call }) => call.createdAt >= dropped));
      });
    } catch (error) {
      // Somebody may have taken a partition away by hand.
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
      ask("write", promptSeconds, (ask) => updateTraceActivity(ask, { workspaceId, id }, { at })),
    queryUsage: (query) => ask("read latest", patientSeconds, (ask) => queryUsage(ask, query)),
    queryTraces: (query) => ask("read", patientSeconds, (ask) => queryTraces(ask, query)),
    getTraceDetail: (id, workspaceId) => ask("read", patientSeconds, (ask) => getTraceDetail(ask, id, workspaceId)),
    getCachedCalls: (place) => put("read", patientSeconds, cachedCalls(place)),
    queryRefusals: (opts) => put("read", patientSeconds, records.refusals(opts)),
    dropMonths: async (before) => {
      await ask("write", patientSeconds, (ask) => dropMonths(ask, before));
      return false;
    },
    clock: () => ask("read", promptSeconds, readClock),
    makeReady: (now) => door.pass(() => months.make(MONTHS_AHEAD.map((ahead) => monthStart(now, ahead)))),
    createToken: (token, sha256) => put("write", promptSeconds, records.insertToken(token, sha256)),
    findToken: (sha256) => put("read", promptSeconds, records.tokenWith(sha256)),
    listTokens: (workspaceId) => put("read", patientSeconds, records.tokensIn(workspaceId)),
    revokeToken: (id, at) => put("write", promptSeconds, records.revoke(id, at)),
    recordOwned: (owned) => inPieces(owned, (some) => write((ask) => recordOwned(ask, some))),
    findOwned: (ids) => put("read", promptSeconds, records.ownedWith(ids, "SELECT json_array_elements_text((?::text)::json)")),
    takeBatches: (asked) => ask("write", promptSeconds, (ask) => takeBatches(ask, asked)),
    findBatch: (id) => put("read", promptSeconds, records.batchWith(id)),
    postponeBatch: (id, dueAt) => put("write", promptSeconds, records.postpone(id, dueAt)),
    settleBatch: (id, outcome) => put("write", promptSeconds, records.settle(id, outcome)),
    findTrace: (workspaceId, id) => put("read", promptSeconds, records.traceWith({ workspaceId, id })),
    findAgent: (asked) => put("read", promptSeconds, records.traceOfAgent(asked)),
    close: async () => {
      await door.shut();
      await pool.close();
    },
  };
}
