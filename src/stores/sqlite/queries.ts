import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { RefusalCount } from "../../domain/ledger.ts";
import type { TraceDetail } from "../../domain/store.ts";
import type { Trace, TraceWithStats } from "../../domain/trace.ts";
import type { QueryOpts, UsageSummary } from "../../domain/usage.ts";
import { refusalOf, summaryOf, tokenUsageOf, traceOf, traceWithStatsOf } from "./readings.ts";

/** The most rows that one trace's detail shows, its newest: taking them over from the Worker holds the event loop for 15 ms. */
export const MAX_DETAIL_ROWS = 5_000;

/**
 * What is asked of the store. Every method blocks its thread until it has the answer: 1,000,000 rows take about a second.
 * Integers come as bigint, so that sums are exact.
 */
export class Queries {
  readonly #db: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  queryUsage(opts: QueryOpts): readonly UsageSummary[] {
    const narrowed = narrow(opts, "created_at");
    return this.#all(
      `SELECT
         provider,
         coalesce(served_model, requested_model) AS model,
         sum(input_tokens)                       AS input_tokens,
         sum(output_tokens)                      AS output_tokens,
         sum(cache_creation_input_tokens)        AS cache_creation_input_tokens,
         sum(cache_read_input_tokens)            AS cache_read_input_tokens,
         count(*)                                AS request_count
       FROM usage
       WHERE revision > 0 ${narrowed.and}
       GROUP BY 1, 2
       ORDER BY
         sum(input_tokens + output_tokens + cache_creation_input_tokens + cache_read_input_tokens) DESC,
         provider,
         model
       LIMIT ? OFFSET ?`,
      [...narrowed.values, opts.limit, opts.offset],
    ).map(summaryOf);
  }

  queryTraces(opts: QueryOpts): { readonly traces: readonly TraceWithStats[]; readonly total: number } {
    const narrowed = narrow(opts, "updated_at");
    const traces = this.#all(
      `SELECT *
       FROM traces
       WHERE true ${narrowed.and}
       ORDER BY updated_at DESC, id DESC, workspace_id DESC
       LIMIT ? OFFSET ?`,
      [...narrowed.values, opts.limit, opts.offset],
    );
    const counted = this.#all(`SELECT count(*) AS total FROM traces WHERE true ${narrowed.and}`, narrowed.values);
    return { traces: traces.map(traceWithStatsOf), total: Number(counted[0]?.total) };
  }

  getTraceDetail(id: string, workspaceId: string | null): readonly TraceDetail[] {
    const traces = this.#all(
      `SELECT *
       FROM traces
       WHERE id = ? ${workspaceId === null ? "" : "AND workspace_id = ?"}
       ORDER BY workspace_id`,
      workspaceId === null ? [id] : [id, workspaceId],
    ).map(traceOf);
    return traces.map((trace) => ({ trace, requests: this.#newestRows(trace).reverse() }));
  }

  queryRefusals(opts: QueryOpts): readonly RefusalCount[] {
    const narrowed = narrow(opts, "minute");
    return this.#all(
      `SELECT workspace_id, sandbox_id, fault, minute, count
       FROM refusals
       WHERE true ${narrowed.and}
       ORDER BY minute DESC, workspace_id, sandbox_id, fault
       LIMIT ? OFFSET ?`,
      [...narrowed.values, opts.limit, opts.offset],
    ).map(refusalOf);
  }

  /** The trace that is there; null where none is. */
  findTrace(workspaceId: string, id: string): Trace | null {
    const found = this.#all("SELECT * FROM traces WHERE workspace_id = ? AND id = ?", [workspaceId, id])[0];
    return found === undefined ? null : traceOf(found);
  }

  #newestRows(trace: Trace) {
    return this.#all(
      `SELECT *
       FROM usage
       WHERE trace_id = ? AND workspace_id = ?
       ORDER BY created_at DESC, id DESC
       LIMIT ?`,
      [trace.id, trace.workspaceId, MAX_DETAIL_ROWS],
    ).map(tokenUsageOf);
  }

  #all(sql: string, values: readonly (string | number | null)[]) {
    const statement = this.#prepared.get(sql) ?? this.#db.prepare(sql);
    this.#prepared.set(sql, statement);
    statement.setReadBigInts(true);
    return statement.all(...values);
  }
}

/** The filters of a query: each is there or not, so that every combination can use its own index. */
function narrow(opts: QueryOpts, time: "created_at" | "updated_at" | "minute") {
  const filters: readonly Filter[] = [
    { sql: "AND workspace_id = ?", value: opts.workspaceId },
    { sql: "AND sandbox_id = ?", value: opts.sandboxId },
    { sql: `AND ${time} >= ?`, value: opts.since },
  ];
  const given = filters.filter((filter) => filter.value !== null);
  return { and: given.map((filter) => filter.sql).join(" "), values: given.map((filter) => filter.value) };
}

interface Filter {
  readonly sql: string;
  readonly value: string | number | null;
}
