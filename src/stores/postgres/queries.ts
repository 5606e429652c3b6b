import type { ArrivalPage, ArrivalQuery, TraceList, TracePage, TraceQuery, UsagePage, UsageQuery } from "../../domain/query.ts";
import type { TraceDetail } from "../../domain/store.ts";
import { horizonOf, NEXT_TRANSACTION, postgresArrivals, postgresEnd, WRITING_TRANSACTIONS } from "../arrivals_sql.ts";
import { agentsOf } from "../detail_sql.ts";
import { newestRowsOf, tracesWith } from "../records_sql.ts";
import { traceListOf, tracePageOf, traceQuestions } from "../traces_sql.ts";
import { type Question, usageQuestion } from "../usage_sql.ts";
import type { Ask } from "./connection.ts";
import { droppedBefore } from "./months.ts";

/**
 * Asks with `$1`, `$2`, … for the marks. Each statement is planned with its values and uses its own
 * index.
 */
export async function answer<T>(ask: Ask, { sql, values, read }: Question<T>): Promise<T> {
  let count = 0;
  const numbered = sql.replaceAll("?", () => `$${++count}`);
  return read(await ask(numbered, values.map((value) => typeof value === "bigint" ? String(value) : value)));
}

export async function queryUsage(ask: Ask, query: UsageQuery): Promise<UsagePage> {
  return await answer(ask, usageQuestion(query, await droppedBefore(ask)));
}

/** In one state of the database. */
export async function queryTraces(ask: Ask, query: TraceQuery): Promise<TracePage> {
  const { page, totals } = traceQuestions(query, await droppedBefore(ask));
  return tracePageOf({ page: await answer(ask, page), totals: await answer(ask, totals) }, query);
}

export async function listTraces(ask: Ask, query: TraceQuery): Promise<TraceList> {
  const { page } = traceQuestions(query, await droppedBefore(ask));
  return traceListOf(await answer(ask, page), query);
}

/** Each statement sees the latest state of the database: `horizonOf`. */
export async function callsAfter(ask: Ask, query: ArrivalQuery): Promise<ArrivalPage> {
  const next = await answer(ask, NEXT_TRANSACTION);
  const horizon = horizonOf(next, await answer(ask, WRITING_TRANSACTIONS));
  const asked = postgresArrivals(query, horizon);
  return asked === null ? { calls: [], next: postgresEnd(horizon) } : await answer(ask, asked);
}

/** In one state of the database. */
export async function getTraceDetail(ask: Ask, id: string, workspaceId: string | null): Promise<readonly TraceDetail[]> {
  const found: TraceDetail[] = [];
  for (const trace of await answer(ask, tracesWith(id, workspaceId))) {
    found.push({ trace, requests: await answer(ask, newestRowsOf(trace)), agents: await answer(ask, agentsOf(trace)) });
  }
  return found;
}
