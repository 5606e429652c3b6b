import type { Retry, RetryRow } from "../domain/retry.ts";
import type { Outcome } from "../domain/usage.ts";
import { flag, integer, integerOrNull, type Row, text, textOrNull } from "./row_decoders.ts";
import type { Place } from "./totals.ts";

/** A closed row that may be in a chain of retries, and the totals that it belongs to. */
export interface PlacedRetry extends RetryRow, Place {
  readonly cost: number | null;
  readonly retry: Retry;
}

/** The columns that `placedRetryOf` reads. */
export const RETRY_COLUMNS = `
  workspace_id, created_at, id, trace_id, sandbox_id, provider, upstream, kind, coalesce(served_model, requested_model) AS model,
  cost, outcome, duration_ms, retry_of, asked_again`;

export function placedRetryOf(row: Row): PlacedRetry {
  return {
    ...placeIn(row),
    id: text(row, "id"),
    cost: integerOrNull(row, "cost"),
    // The column holds what `Outcome` names: only rows of ours are ever written.
    outcome: text(row, "outcome") as Outcome,
    duration: integerOrNull(row, "duration_ms"),
    retry: retryOf(row),
  };
}

/** `row` has the columns of a call and, as `model`, the served or the requested one. */
export function placeIn(row: Row): Place {
  return {
    workspaceId: text(row, "workspace_id"),
    sandboxId: text(row, "sandbox_id"),
    traceId: text(row, "trace_id"),
    createdAt: integer(row, "created_at"),
    provider: text(row, "provider"),
    upstream: textOrNull(row, "upstream"),
    kind: text(row, "kind"),
    model: text(row, "model"),
  };
}

export function retryOf(row: Row): Retry {
  return { retryOf: textOrNull(row, "retry_of"), isRetried: flag(row, "asked_again") };
}
