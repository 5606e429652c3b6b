import type { Suspension, SuspensionScope, SuspensionSet } from "../domain/suspensions.ts";
import { integer, type Row, text, textOrNull } from "./row_decoders.ts";
import type { Question, Statement } from "./usage_sql.ts";

/** First in each change, so that two changes never wait for each other in a circle. */
export const COUNT_CHANGE: Question<void> = {
  sql: "UPDATE suspension_changes SET change = change + 1",
  values: [],
  read: () => {},
};

export function suspendScope({ createdAt, reason, ...scope }: Suspension): Question<Suspension> {
  const sql = `
    INSERT INTO suspensions (workspace_id, sandbox_id, created_at, reason)
    VALUES (?, ?, ?, ?)
    ON CONFLICT (workspace_id, sandbox_id) DO UPDATE SET reason = excluded.reason
    RETURNING *`;
  return { sql, values: [...keyOf(scope), createdAt, reason], read: ([row]) => suspensionOf(row!) };
}

export function resumeScope(scope: SuspensionScope): Question<Suspension | null> {
  const sql = "DELETE FROM suspensions WHERE workspace_id = ? AND sandbox_id = ? RETURNING *";
  return { sql, values: keyOf(scope), read: ([row]) => row === undefined ? null : suspensionOf(row) };
}

/** One statement: the number and the suspensions must be of one state of the database. */
export function suspensionsAfter(change: number): Question<SuspensionSet | null> {
  const sql = `
    SELECT latest.change, suspensions.*
    FROM suspension_changes AS latest
    LEFT JOIN suspensions ON true
    WHERE latest.change <> ?
    ORDER BY suspensions.workspace_id, suspensions.sandbox_id`;
  return { sql, values: [change], read: (rows) => rows.length === 0 ? null : setOf(rows) };
}

function setOf(rows: readonly Row[]): SuspensionSet {
  return {
    change: integer(rows[0]!, "change"),
    suspensions: rows.filter((row) => row.workspace_id !== null).map(suspensionOf),
  };
}

/** A key has no NULL, so the whole workspace is "". */
function keyOf({ workspaceId, sandboxId }: SuspensionScope): Statement["values"] {
  return [workspaceId, sandboxId ?? ""];
}

function suspensionOf(row: Row): Suspension {
  return {
    workspaceId: text(row, "workspace_id"),
    sandboxId: text(row, "sandbox_id") || null,
    createdAt: integer(row, "created_at"),
    reason: textOrNull(row, "reason"),
  };
}
