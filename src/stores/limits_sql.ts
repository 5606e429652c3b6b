import type { AuditStamp } from "../domain/audit.ts";
import {
  addedTo,
  type Bound,
  type Limit,
  LIMIT_KINDS,
  type LimitChange,
  type LimitKind,
  type LimitPlace,
  limitsJson,
  type Reservation,
} from "../domain/limits.ts";
import type { Change } from "./audit_sql.ts";
import { integer, type Row, text } from "./row_decoders.ts";
import type { Question, Statement, Value } from "./usage_sql.ts";

/** The tokens of a row or of totals. */
export const TOKENS = "input_tokens + output_tokens + cache_creation_input_tokens + cache_read_input_tokens";

/** What a bound counts, in the tables' own words. */
export interface SentBound {
  readonly scope: Bound["scope"];
  readonly id: string;
  readonly counts: (typeof LIMIT_KINDS)[LimitKind]["counts"];
  /** The roll-up with a workspace's totals; empty if there is no period. */
  readonly level: string;
  readonly since: number;
  readonly until: number;
  /** What the call adds. */
  readonly adds: number;
  readonly max: number;
}

export function sentBound(bound: Bound, call: Pick<Reservation, "tokens" | "cost">): SentBound {
  const { counts, period } = LIMIT_KINDS[bound.kind];
  const { scope, id, max, from, until } = bound;
  return {
    ...{ scope, id, counts, max, since: from ?? 0, until: until ?? 0 },
    level: period === null ? "" : `workspace_${period}`,
    adds: addedTo(bound, call),
  };
}

export function storedLimits(): Question<readonly Limit[]> {
  return { sql: "SELECT * FROM limits", values: [], read: (rows) => rows.map(limitOf) };
}

export function limitsVersion(): Question<number> {
  return { sql: "SELECT version FROM limits_version", values: [], read: ([row]) => integer(row!, "version") };
}

export function limitsChangeOf(
  place: LimitPlace,
  changes: readonly LimitChange[],
  stamp: AuditStamp,
): Change<readonly Limit[], readonly Limit[]> {
  const { scope, workspaceId, id } = place;
  const here: Question<readonly Limit[]> = {
    sql: "SELECT * FROM limits WHERE scope = ? AND workspace_id = ? AND id = ?",
    values: [scope, workspaceId, id],
    read: (rows) => rows.map(limitOf),
  };
  return {
    before: here,
    first: [
      { sql: "UPDATE limits_version SET version = version + 1", values: [] },
      ...changes.map((change) => limitChange(place, change, stamp.at)),
    ],
    change: here,
    entry: (had, has) => {
      const [before, after] = [limitsJson(had ?? []), limitsJson(has)];
      if (JSON.stringify(before) === JSON.stringify(after)) return null;
      const target = scope === "default" ? scope : `${scope} ${scope === "workspace" ? workspaceId : id}`;
      const action = after === null ? "limit.clear" : "limit.set";
      return { ...stamp, action, target, workspaceId: scope === "default" ? null : workspaceId, before, after };
    },
  };
}

function limitChange(
  { scope, workspaceId, id }: LimitPlace,
  { kind, max }: LimitChange,
  at: number,
): Statement {
  const key: readonly Value[] = [scope, workspaceId, id, kind];
  if (max === null) {
    return { sql: "DELETE FROM limits WHERE scope = ? AND workspace_id = ? AND id = ? AND kind = ?", values: key };
  }
  const sql = `
    INSERT INTO limits (scope, workspace_id, id, kind, max, updated_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (scope, workspace_id, id, kind) DO UPDATE SET max = excluded.max, updated_at = excluded.updated_at`;
  return { sql, values: [...key, max, at] };
}

function limitOf(row: Row): Limit {
  return {
    // The columns hold what the types name: only rows of ours are ever written.
    scope: text(row, "scope") as Limit["scope"],
    kind: text(row, "kind") as LimitKind,
    workspaceId: text(row, "workspace_id"),
    id: text(row, "id"),
    max: integer(row, "max"),
    updatedAt: integer(row, "updated_at"),
  };
}
