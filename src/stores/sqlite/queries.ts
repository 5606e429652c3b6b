import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { ArrivalPage, ArrivalQuery, TraceList, TracePage, TraceQuery, UsagePage, UsageQuery } from "../../domain/query.ts";
import type { TraceDetail } from "../../domain/store.ts";
import { NEWEST_ROW, sqliteArrivals, sqliteEnd } from "../arrivals_sql.ts";
import { agentsOf } from "../detail_sql.ts";
import { newestRowsOf, tracesWith } from "../records_sql.ts";
import { traceListOf, tracePageOf, traceQuestions } from "../traces_sql.ts";
import { type Question, usageQuestion } from "../usage_sql.ts";

/** More prepared statements than there are questions, if the filters of some differ. */
const MOST_PREPARED = 200;

/**
 * Answers questions on one connection. Blocks its thread: a query over 1,000,000 rows takes about a
 * second.
 */
export class Queries {
  readonly #db: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Integers are read as bigint, so that sums are exact. */
  answer<T>({ sql, values, read }: Question<T>): T {
    if (this.#prepared.size > MOST_PREPARED) this.#prepared.clear();
    const statement = this.#prepared.get(sql) ?? this.#db.prepare(sql);
    this.#prepared.set(sql, statement);
    statement.setReadBigInts(true);
    return read(statement.all(...values));
  }

  queryUsage(query: UsageQuery): UsagePage {
    return this.answer(usageQuestion(query, this.droppedBefore()));
  }

  /**
   * Rows admitted before this were dropped. While rows are being dropped, some later ones are gone
   * too.
   */
  droppedBefore(): number {
    const read: Question<number>["read"] = ([row]) => row === undefined ? Number.MIN_SAFE_INTEGER : Number(row.before);
    return this.answer({ sql: "SELECT before FROM dropped", values: [], read });
  }

  queryTraces(query: TraceQuery): TracePage {
    const { page, totals } = traceQuestions(query, this.droppedBefore());
    return tracePageOf({ page: this.answer(page), totals: this.answer(totals) }, query);
  }

  listTraces(query: TraceQuery): TraceList {
    return traceListOf(this.answer(traceQuestions(query, this.droppedBefore()).page), query);
  }

  callsAfter(query: ArrivalQuery): ArrivalPage {
    const newest = this.answer(NEWEST_ROW);
    const asked = sqliteArrivals(query, newest);
    return asked === null ? { calls: [], next: sqliteEnd(newest) } : this.answer(asked);
  }

  getTraceDetail(id: string, workspaceId: string | null): readonly TraceDetail[] {
    return this.answer(tracesWith(id, workspaceId)).map((trace) => ({
      trace,
      requests: this.answer(newestRowsOf(trace)),
      agents: this.answer(agentsOf(trace)),
    }));
  }
}
