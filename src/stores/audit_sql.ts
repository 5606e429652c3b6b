import type { AuditEntry, AuditPage, AuditQuery } from "../domain/audit.ts";
import { auditEntryOf } from "./row_decoders.ts";
import { narrowed, positionOf, type Question, type Statement } from "./usage_sql.ts";

/**
 * An administrative change of rows. Each store runs it in one transaction, one change at a time:
 * `before`, `first`, `change`, and then the insertion of the entry.
 */
export interface Change<Before, After> {
  /** What was there; null if it is something new. */
  readonly before: Question<Before> | null;
  /** Statements that run before `change`. */
  readonly first?: readonly Statement[];
  readonly change: Question<After>;
  /** Null if nothing has changed. */
  readonly entry: (before: Before | null, after: After) => AuditEntry | null;
}

export function insertAudit(entry: AuditEntry): Question<void> {
  const { id, at, who, claimed, address, action, target, workspaceId, before, after } = entry;
  return {
    sql: `
      INSERT INTO audit (id, at, who, claimed, address, action, target, workspace_id, before, after)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    values: [id, at, who, claimed, address, action, target, workspaceId, jsonOf(before), jsonOf(after)],
    read: () => {},
  };
}

/** A page, and one entry more if there is another page. */
export function auditPage({ workspaceId, action, since, until, after, limit }: AuditQuery): Question<AuditPage> {
  const { sql, values } = narrowed({ "workspace_id =": workspaceId, "action =": action, "at >=": since, "at <": until });
  const [at = "", id = ""] = after ?? [];
  return {
    sql: `
      SELECT *
      FROM audit
      WHERE true ${sql} ${after === null ? "" : "AND (at, id) < (?, ?)"}
      ORDER BY at DESC, id DESC
      LIMIT ?`,
    values: [...values, ...(after === null ? [] : [Number(at), id]), limit + 1],
    read: (rows) => ({
      entries: rows.slice(0, limit).map(auditEntryOf),
      next: rows.length > limit ? positionOf(rows[limit - 1], ["at", "id"]) : null,
    }),
  };
}

function jsonOf(value: AuditEntry["before"]): string | null {
  return value === null ? null : JSON.stringify(value);
}
