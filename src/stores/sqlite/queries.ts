import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { RefusalCount } from "../../domain/ledger.ts";
import type { TraceDetail } from "../../domain/store.ts";
import type { Trace, TraceWithStats } from "../../domain/trace.ts";
import type { QueryOpts, UsageSummary } from "../../domain/usage.ts";
import { MAX_DETAIL_ROWS, spanSince } from "../query_bounds.ts";
import { refusalOf, summaryOf, tokenUsageOf, traceOf, traceWithStatsOf } from "../readings.ts";

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
    const { and, values } = narrow({ ...opts, since: null }, "hour");
    const { fromHour, fromRow, toRow } = spanSince(opts.since, this.droppedBefore());
    return this.#all(
      `SELECT
         provider,
         model,
         sum(input_tokens)                AS input_tokens,
         sum(output_tokens)               AS output_tokens,
         sum(cache_creation_input_tokens) AS cache_creation_input_tokens,
         sum(cache_read_input_tokens)     AS cache_read_input_tokens,
         sum(request_count)               AS request_count,
       sum(cost)                        AS cost,
       sum(estimated_cost)              AS estimated_cost,
       sum(estimated_count)             AS estimated_count,
       sum(unknown_count)               AS unknown_count,
       sum(unpriced_count)              AS unpriced_count,
       sum(retry_count)                 AS retry_count,
       sum(retried_cost)                AS retried_cost
       FROM (
         SELECT
           provider, model, request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
           cost, estimated_cost, estimated_count, unknown_count, unpriced_count, retry_count, retried_cost
         FROM usage_hours
         WHERE hour >= ? ${and}
         UNION ALL
         SELECT
           provider, coalesce(served_model, requested_model), 1,
           input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
           coalesce(cost, 0),
           CASE WHEN trust = 'estimated' THEN coalesce(cost, 0) ELSE 0 END,
           CASE WHEN trust = 'estimated' THEN 1 ELSE 0 END,
           CASE WHEN trust = 'unknown' THEN 1 ELSE 0 END,
           CASE WHEN cost IS NULL AND trust <> 'unknown' THEN 1 ELSE 0 END,
           CASE WHEN retry_of IS NOT NULL THEN 1 ELSE 0 END,
           CASE WHEN asked_again THEN coalesce(cost, 0) ELSE 0 END
         FROM usage
         WHERE created_at >= ? AND created_at < ? AND revision > 0 ${and}
       )
       GROUP BY 1, 2
       HAVING sum(request_count) > 0
       ORDER BY
         sum(input_tokens + output_tokens + cache_creation_input_tokens + cache_read_input_tokens) DESC,
         provider,
         model
       LIMIT ? OFFSET ?`,
      [fromHour, ...values, fromRow, toRow, ...values, opts.limit, opts.offset],
    ).map(summaryOf);
  }

  /** Rows admitted before this have been dropped; of some from then on too, where dropping has not ended. */
  droppedBefore(): number {
    const [dropped] = this.#all("SELECT before FROM dropped", []);
    return dropped === undefined ? Number.MIN_SAFE_INTEGER : Number(dropped.before);
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
      `SELECT workspace_id, sandbox_id, fault, minute, sum(count) AS count
       FROM refusals
       WHERE true ${narrowed.and}
       GROUP BY minute, workspace_id, sandbox_id, fault
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
function narrow(opts: QueryOpts, time: "hour" | "updated_at" | "minute") {
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
