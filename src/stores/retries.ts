import type { Attempt, Link } from "../domain/retry.ts";
import type { OpenCall, Outcome } from "../domain/usage.ts";
import { flag, integer, integerOrNull, type Row, text, textOrNull } from "./row_decoders.ts";

/** A closed row as its links need it, with what says in which totals it stands. */
export interface CountedAttempt extends Attempt, Pick<OpenCall, "workspaceId" | "sandboxId" | "traceId" | "provider"> {
  readonly kind: string;
  /** The served model, or the requested one where no answer named one. */
  readonly model: string;
  readonly cost: number | null;
  readonly link: Link;
}

/** The columns that `attemptOf` reads. */
export const ATTEMPT_COLUMNS = `
  workspace_id, created_at, id, trace_id, sandbox_id, provider, kind, coalesce(served_model, requested_model) AS model,
  cost, outcome, duration_ms, retry_of, asked_again`;

export function attemptOf(row: Row): CountedAttempt {
  return {
    id: text(row, "id"),
    workspaceId: text(row, "workspace_id"),
    sandboxId: text(row, "sandbox_id"),
    traceId: text(row, "trace_id"),
    createdAt: integer(row, "created_at"),
    provider: text(row, "provider"),
    kind: text(row, "kind"),
    model: text(row, "model"),
    cost: integerOrNull(row, "cost"),
    // The column holds what `Outcome` names: only rows of ours are ever written.
    outcome: text(row, "outcome") as Outcome,
    duration: integerOrNull(row, "duration_ms"),
    link: linkOf(row),
  };
}

export function linkOf(row: Row): Link {
  return { retryOf: textOrNull(row, "retry_of"), isAskedAgain: flag(row, "asked_again") };
}
