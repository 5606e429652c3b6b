import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { CachedCall } from "../../domain/cache.ts";
import type { RefusalCount } from "../../domain/ledger.ts";
import type { CallPlace, TracePage, TraceQuery, UsagePage, UsageQuery } from "../../domain/query.ts";
import type { TraceDetail } from "../../domain/store.ts";
import type { Trace } from "../../domain/trace.ts";
import type { QueryOpts } from "../../domain/usage.ts";
import { agentCallsOf, agentsStatement, cachedCallOf, cachedCallsStatement } from "../detail_sql.ts";
import { MAX_DETAIL_ROWS } from "../query_bounds.ts";
import { refusalOf, traceOf } from "../row_decoders.ts";
import { tracePageOf, traceStatements } from "../traces_sql.ts";
import { tokenUsageOf } from "../usage_row.ts";
import { narrowed, type Statement, usagePageOf, usageStatement } from "../usage_sql.ts";

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

  queryUsage(query: UsageQuery): UsagePage {
    return usagePageOf(this.#ask(usageStatement(query, this.droppedBefore())), query);
  }

  /** Rows admitted before this have been dropped; of some from then on too, where dropping has not ended. */
  droppedBefore(): number {
    const [dropped] = this.#all("SELECT before FROM dropped", []);
    return dropped === undefined ? Number.MIN_SAFE_INTEGER : Number(dropped.before);
  }

  queryTraces(query: TraceQuery): TracePage {
    const { page, totals } = traceStatements(query, this.droppedBefore());
    return tracePageOf({ page: this.#ask(page), totals: this.#ask(totals) }, query);
  }

  getTraceDetail(id: string, workspaceId: string | null): readonly TraceDetail[] {
    const traces = this.#all(
      `SELECT *
       FROM traces
       WHERE id = ? ${workspaceId === null ? "" : "AND workspace_id = ?"}
       ORDER BY workspace_id`,
      workspaceId === null ? [id] : [id, workspaceId],
    ).map(traceOf);
    return traces.map((trace) => ({
      trace,
      requests: this.#newestRows(trace).reverse(),
      agents: this.#ask(agentsStatement({ workspaceId: trace.workspaceId, traceId: trace.id })).map(agentCallsOf),
    }));
  }

  getCachedCalls(place: CallPlace): readonly CachedCall[] {
    return this.#ask(cachedCallsStatement(place)).map(cachedCallOf);
  }

  queryRefusals(opts: QueryOpts): readonly RefusalCount[] {
    const { sql, values } = narrowed([
      { sql: "AND workspace_id = ?", value: opts.workspaceId },
      { sql: "AND sandbox_id = ?", value: opts.sandboxId },
      { sql: "AND minute >= ?", value: opts.since },
      { sql: "AND minute < ?", value: opts.until },
    ]);
    return this.#all(
      `SELECT workspace_id, sandbox_id, fault, minute, sum(count) AS count
       FROM refusals
       WHERE true ${sql}
       GROUP BY minute, workspace_id, sandbox_id, fault
       ORDER BY minute DESC, workspace_id, sandbox_id, fault
       LIMIT ? OFFSET ?`,
      [...values, opts.limit, opts.offset],
    ).map(refusalOf);
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

  #ask({ sql, values }: Statement) {
    return this.#all(sql, values);
  }

  #all(sql: string, values: readonly (string | number | bigint)[]) {
    const statement = this.#prepared.get(sql) ?? this.#db.prepare(sql);
    this.#prepared.set(sql, statement);
    statement.setReadBigInts(true);
    return statement.all(...values);
  }
}
