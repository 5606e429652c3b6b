import type { DatabaseSync, StatementSync } from "node:sqlite";
import { hourStart } from "../../domain/calendar.ts";
import type { Link } from "../../domain/retry.ts";
import type { OpenCall } from "../../domain/usage.ts";
import { type Counted, type Counts, countsOf, countsOfLinks } from "../counts.ts";
import { INSERT_TRACE } from "./traces.ts";

/** Of a call, what says in which totals it stands. */
export interface CountedCall extends Pick<OpenCall, "workspaceId" | "sandboxId" | "traceId" | "createdAt" | "provider"> {
  readonly kind: string;
  /** The served model, or the requested one where no answer named one. */
  readonly model: string;
}

/** The totals of traces and hours. Each method belongs into the transaction that writes the row. */
export class Totals {
  readonly #addToTrace: StatementSync;
  readonly #insertTrace: StatementSync;
  readonly #addToHour: StatementSync;

  constructor(db: DatabaseSync) {
    this.#addToTrace = db.prepare(ADD_TO_TRACE);
    this.#insertTrace = db.prepare(INSERT_TRACE);
    this.#addToHour = db.prepare(ADD_TO_HOUR);
  }

  /** A row was closed. A missing trace is made. */
  count(call: CountedCall, counted: Counted): void {
    this.#move(call, countsOf(counted, 1));
  }

  /** A closed row is being replaced. */
  uncount(call: CountedCall, counted: Counted): void {
    this.#move(call, countsOf(counted, -1));
  }

  /** A row that stays as it is got other links. */
  relink(call: CountedCall & { readonly cost: number | null }, links: { readonly from: Link; readonly to: Link }): void {
    this.#move(call, countsOfLinks(call.cost, links));
  }

  #move(call: CountedCall, counts: Counts): void {
    // A number is bound as a float, with which SQLite would add in floats: inexact beyond 2^53.
    const values = Object.values(counts).map(BigInt);
    const isKnown = () => this.#addToTrace.run(...values, call.createdAt, call.workspaceId, call.traceId).changes !== 0;
    if (!isKnown()) {
      this.#insertTrace.run(call.workspaceId, call.traceId, call.sandboxId, "auto", call.createdAt, call.createdAt);
      isKnown();
    }
    this.#addToHour.run(
      call.workspaceId,
      hourStart(call.createdAt),
      call.sandboxId,
      call.provider,
      call.model,
      call.kind,
      ...values,
    );
  }
}

const ADD_TO_TRACE = `
  UPDATE traces SET
    request_count = request_count + ?,
    total_input_tokens = total_input_tokens + ?,
    total_output_tokens = total_output_tokens + ?,
    total_cache_creation_input_tokens = total_cache_creation_input_tokens + ?,
    total_cache_read_input_tokens = total_cache_read_input_tokens + ?,
    cost = cost + ?,
    estimated_cost = estimated_cost + ?,
    estimated_count = estimated_count + ?,
    unknown_count = unknown_count + ?,
    unpriced_count = unpriced_count + ?,
    partly_priced_count = partly_priced_count + ?,
    retry_count = retry_count + ?,
    retried_cost = retried_cost + ?,
    updated_at = max(updated_at, CAST(? AS INTEGER))
  WHERE workspace_id = ? AND id = ?`;

const ADD_TO_HOUR = `
  INSERT INTO usage_hours (
    workspace_id, hour, sandbox_id, provider, model, kind,
    request_count, input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens,
    cost, estimated_cost, estimated_count, unknown_count, unpriced_count, partly_priced_count, retry_count, retried_cost
  ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (workspace_id, hour, sandbox_id, provider, model, kind) DO UPDATE SET
    request_count = request_count + excluded.request_count,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    cache_creation_input_tokens = cache_creation_input_tokens + excluded.cache_creation_input_tokens,
    cache_read_input_tokens = cache_read_input_tokens + excluded.cache_read_input_tokens,
    cost = cost + excluded.cost,
    estimated_cost = estimated_cost + excluded.estimated_cost,
    estimated_count = estimated_count + excluded.estimated_count,
    unknown_count = unknown_count + excluded.unknown_count,
    unpriced_count = unpriced_count + excluded.unpriced_count,
    partly_priced_count = partly_priced_count + excluded.partly_priced_count,
    retry_count = retry_count + excluded.retry_count,
    retried_cost = retried_cost + excluded.retried_cost`;
