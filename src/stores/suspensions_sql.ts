import type { AuditEntry, AuditJson, AuditStamp } from "../domain/audit.ts";
import type { Suspension, SuspensionScope, SuspensionSet } from "../domain/suspensions.ts";
import type { Change } from "./audit_sql.ts";
import { integer, type Row, text, textOrNull } from "./row_decoders.ts";
import type { Question, Statement } from "./usage_sql.ts";

const COUNT_CHANGE: Statement = { sql: "UPDATE suspension_changes SET change = change + 1", values: [] };

export function suspensionOf(
  { createdAt, reason, ...scope }: Suspension,
  stamp: AuditStamp,
): Change<Suspension | null, Suspension> {
  const sql = `
    INSERT INTO suspensions (workspace_id, sandbox_id, created_at, reason)
    VALUES (?, ?, ?, ?)
    ON CONFLICT (workspace_id, sandbox_id) DO UPDATE SET reason = excluded.reason
    RETURNING *`;
  return {
    before: suspensionAt(scope),
    first: [COUNT_CHANGE],
    change: { sql, values: [...keyOf(scope), createdAt, reason], read: ([row]) => decoded(row!) },
    entry: (before, after) => entryOf("suspension.begin", scope, { stamp, before, after }),
  };
}

export function resumptionOf(scope: SuspensionScope, stamp: AuditStamp): Change<Suspension | null, Suspension | null> {
  const sql = "DELETE FROM suspensions WHERE workspace_id = ? AND sandbox_id = ? RETURNING *";
  return {
    before: null,
    first: [COUNT_CHANGE],
    change: { sql, values: keyOf(scope), read: ([row]) => row === undefined ? null : decoded(row) },
    entry: (_before, ended) => ended === null ? null : entryOf("suspension.end", scope, { stamp, before: ended, after: null }),
  };
}

function suspensionAt(scope: SuspensionScope): Question<Suspension | null> {
  return {
    sql: "SELECT * FROM suspensions WHERE workspace_id = ? AND sandbox_id = ?",
    values: keyOf(scope),
    read: ([row]) => row === undefined ? null : decoded(row),
  };
}

function entryOf(
  action: AuditEntry["action"],
  { workspaceId, sandboxId }: SuspensionScope,
  { stamp, before, after }: {
    readonly stamp: AuditStamp;
    readonly before: Suspension | null;
    readonly after: Suspension | null;
  },
): AuditEntry {
  const target = sandboxId === null ? `workspace ${workspaceId}` : `sandbox ${sandboxId}`;
  return { ...stamp, action, target, workspaceId, before: jsonOf(before), after: jsonOf(after) };
}

function jsonOf(suspension: Suspension | null): AuditJson | null {
  if (suspension === null) return null;
  return { ...suspension, createdAt: new Date(suspension.createdAt).toISOString() };
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
    suspensions: rows.filter((row) => row.workspace_id !== null).map(decoded),
  };
}

/** A key has no NULL, so the whole workspace is "". */
function keyOf({ workspaceId, sandboxId }: SuspensionScope): Statement["values"] {
  return [workspaceId, sandboxId ?? ""];
}

function decoded(row: Row): Suspension {
  return {
    workspaceId: text(row, "workspace_id"),
    sandboxId: text(row, "sandbox_id") || null,
    createdAt: integer(row, "created_at"),
    reason: textOrNull(row, "reason"),
  };
}
