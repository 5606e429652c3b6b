import { hourStart } from "../../domain/calendar.ts";
import type { OpenCall } from "../../domain/usage.ts";
import { COUNT_COLUMNS, type Counts } from "../counts.ts";
import type { Ask } from "./connection.ts";

/** What a row adds to the totals, or takes from them. */
export interface Move extends Counts {
  readonly workspace_id: string;
  readonly trace_id: string;
  readonly sandbox_id: string;
  readonly hour: number;
  readonly provider: string;
  readonly model: string;
  readonly kind: string;
  /** Of the call: then its trace was active. */
  readonly created_at: number;
}

/** Of a call, what says in which totals it stands. */
export type Place = Pick<OpenCall, "workspaceId" | "sandboxId" | "traceId" | "createdAt" | "provider"> & {
  readonly kind: string;
  /** The served model, or the requested one where no answer named one. */
  readonly model: string;
};

export function moveOf(place: Place, counts: Counts): Move {
  return {
    workspace_id: place.workspaceId,
    trace_id: place.traceId,
    sandbox_id: place.sandboxId,
    hour: hourStart(place.createdAt),
    provider: place.provider,
    kind: place.kind,
    model: place.model,
    created_at: place.createdAt,
    ...counts,
  };
}

/**
 * Takes the traces of rows that are to be written, before anything is: until the transaction ends, nobody else writes rows of
 * them, so that what is read of their other rows stays true. A trace that is not there is made, by the first of its calls.
 */
export async function lockTraces(ask: Ask, calls: readonly Pick<Place, "workspaceId" | "traceId" | "sandboxId" | "createdAt">[]) {
  const first = new Map<string, object>();
  for (const { workspaceId, traceId, sandboxId, createdAt } of calls) {
    const key = JSON.stringify([workspaceId, traceId]);
    if (first.has(key)) continue;
    first.set(key, { workspace_id: workspaceId, trace_id: traceId, sandbox_id: sandboxId, created_at: createdAt });
  }
  await ask(LOCK_TRACES, [[...first.values()]]);
}

/** Belongs into the transaction that writes the rows, which has taken their traces. */
export async function moveTotals(ask: Ask, moves: readonly Move[]): Promise<void> {
  if (moves.length === 0) return;
  await ask(MOVE_TRACES, [summedBy(["workspace_id", "trace_id"], moves)]);
  await ask(MOVE_HOURS, [summedBy(["workspace_id", "hour", "sandbox_id", "provider", "model", "kind"], moves)]);
}

/** One for each key. Here and not in the database, which takes as long to read a move as to write a row. */
function summedBy(key: readonly (keyof Move)[], moves: readonly Move[]): readonly object[] {
  const sums = new Map<string, { readonly first: Move; latest: number; readonly counts: bigint[] }>();
  for (const move of moves) {
    const text = JSON.stringify(key.map((column) => move[column]));
    const sum = sums.get(text) ?? { first: move, latest: move.created_at, counts: COUNT_COLUMNS.map(() => 0n) };
    for (const [n, column] of COUNT_COLUMNS.entries()) sum.counts[n]! += BigInt(move[column]);
    sum.latest = Math.max(sum.latest, move.created_at);
    sums.set(text, sum);
  }
  return [...sums.values()].map(({ first, latest, counts }) => // As text: sums go beyond what a JSON number keeps.
  ({ ...first, created_at: latest, ...Object.fromEntries(COUNT_COLUMNS.map((column, n) => [column, String(counts[n])])) }));
}

/** Locks also those that it leaves as they are (https://www.postgresql.org/docs/14/sql-insert.html, "ON CONFLICT Clause"). */
const LOCK_TRACES = `
  INSERT INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at)
  SELECT workspace_id, trace_id, sandbox_id, 'auto', created_at, created_at
  FROM json_to_recordset($1) AS sent (
    workspace_id TEXT COLLATE "C", trace_id TEXT COLLATE "C", sandbox_id TEXT, created_at BIGINT
  )
  ORDER BY workspace_id, trace_id
  ON CONFLICT (workspace_id, id) DO UPDATE SET updated_at = traces.updated_at WHERE false`;

const MOVED = `
  json_to_recordset($1) AS moved (
    workspace_id TEXT COLLATE "C", trace_id TEXT COLLATE "C", sandbox_id TEXT COLLATE "C", hour BIGINT,
    provider TEXT COLLATE "C", model TEXT COLLATE "C", kind TEXT COLLATE "C", created_at BIGINT, request_count BIGINT, input_tokens BIGINT,
    output_tokens BIGINT, cache_creation_input_tokens BIGINT, cache_read_input_tokens BIGINT, cost BIGINT, estimated_cost BIGINT,
    estimated_count BIGINT, unknown_count BIGINT, unpriced_count BIGINT, partly_priced_count BIGINT, retry_count BIGINT,
    retried_cost BIGINT
  )`;

const MOVE_TRACES = `
  UPDATE traces SET
    request_count = traces.request_count + moved.request_count,
    total_input_tokens = traces.total_input_tokens + moved.input_tokens,
    total_output_tokens = traces.total_output_tokens + moved.output_tokens,
    total_cache_creation_input_tokens = traces.total_cache_creation_input_tokens + moved.cache_creation_input_tokens,
    total_cache_read_input_tokens = traces.total_cache_read_input_tokens + moved.cache_read_input_tokens,
    cost = traces.cost + moved.cost,
    estimated_cost = traces.estimated_cost + moved.estimated_cost,
    estimated_count = traces.estimated_count + moved.estimated_count,
    unknown_count = traces.unknown_count + moved.unknown_count,
    unpriced_count = traces.unpriced_count + moved.unpriced_count,
    partly_priced_count = traces.partly_priced_count + moved.partly_priced_count,
    retry_count = traces.retry_count + moved.retry_count,
    retried_cost = traces.retried_cost + moved.retried_cost,
    updated_at = greatest(traces.updated_at, moved.created_at)
  FROM ${MOVED}
  WHERE traces.workspace_id = moved.workspace_id AND traces.id = moved.trace_id`;

const MOVE_HOURS = `
  INSERT INTO usage_hours (
    workspace_id, hour, sandbox_id, provider, model, kind,
    request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
    cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count, retry_count, retried_cost
  )
  SELECT
    workspace_id, hour, sandbox_id, provider, model, kind,
    request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
    cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count, retry_count, retried_cost
  FROM ${MOVED}
  ORDER BY workspace_id, hour, sandbox_id, provider, model, kind
  ON CONFLICT (workspace_id, hour, sandbox_id, provider, model, kind) DO UPDATE SET
    request_count = usage_hours.request_count + excluded.request_count,
    input_tokens = usage_hours.input_tokens + excluded.input_tokens,
    output_tokens = usage_hours.output_tokens + excluded.output_tokens,
    cache_creation_input_tokens = usage_hours.cache_creation_input_tokens + excluded.cache_creation_input_tokens,
    cache_read_input_tokens = usage_hours.cache_read_input_tokens + excluded.cache_read_input_tokens,
    cost = usage_hours.cost + excluded.cost,
    estimated_cost = usage_hours.estimated_cost + excluded.estimated_cost,
    estimated_count = usage_hours.estimated_count + excluded.estimated_count,
    unknown_count = usage_hours.unknown_count + excluded.unknown_count,
    unpriced_count = usage_hours.unpriced_count + excluded.unpriced_count,
    partly_priced_count = usage_hours.partly_priced_count + excluded.partly_priced_count,
    retry_count = usage_hours.retry_count + excluded.retry_count,
    retried_cost = usage_hours.retried_cost + excluded.retried_cost`;
