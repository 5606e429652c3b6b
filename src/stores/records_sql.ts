import type { AuditStamp } from "../domain/audit.ts";
import type { RefusalCount } from "../domain/ledger.ts";
import type { BatchOutcome, Owned } from "../domain/owned.ts";
import { type AgentAsked, MOST_SEARCHED_CALLS } from "../domain/sessions.ts";
import { type LocalToken, tokenJson } from "../domain/tokens.ts";
import type { RunOfCalls } from "../domain/store.ts";
import type { Trace } from "../domain/trace.ts";
import type { QueryOpts, TokenUsage } from "../domain/usage.ts";
import type { RecordPage, UsageFilter, UsageRecord } from "../domain/usage_record.ts";
import type { Change } from "./audit_sql.ts";
import { batchOf, integer, localTokenOf, ownedOf, refusalOf, type Row, text, traceOf } from "./row_decoders.ts";
import { MAX_DETAIL_ROWS } from "./query_bounds.ts";
import { narrowed, ownerFilters, type Question, type Value } from "./usage_sql.ts";
import { tokenUsageOf, usageRecordOf } from "./usage_row.ts";

export function creationOf(token: LocalToken, sha256: string, stamp: AuditStamp): Change<null, void> {
  const { id, workspaceId, sandboxId, createdAt, expiresAt, revokedAt } = token;
  return {
    before: null,
    change: question(
      `INSERT INTO tokens (id, sha256, workspace_id, sandbox_id, created_at, expires_at, revoked_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      [id, sha256, workspaceId, sandboxId, createdAt, expiresAt, revokedAt],
      () => {},
    ),
    entry: () => ({ ...stamp, action: "token.create", target: id, workspaceId, before: null, after: tokenJson(token) }),
  };
}

export function tokenWith(sha256: string): Question<{ readonly token: LocalToken; readonly sha256: string } | null> {
  return question("SELECT * FROM tokens WHERE sha256 = ?", [sha256], firstOf((row) => ({ token: localTokenOf(row), sha256 })));
}

export function tokensIn(workspaceId: string | null): Question<readonly LocalToken[]> {
  const { sql, values } = narrowed({ "workspace_id =": workspaceId });
  return question(`SELECT * FROM tokens WHERE true ${sql} ORDER BY created_at DESC, id DESC`, values, eachOf(localTokenOf));
}

/** The first revocation stands, and only that one has an audit entry. */
export function revocationOf(id: string, stamp: AuditStamp): Change<LocalToken | null, LocalToken | null> {
  return {
    before: question("SELECT * FROM tokens WHERE id = ?", [id], firstOf(localTokenOf)),
    change: question(
      "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ? RETURNING *",
      [stamp.at, id],
      firstOf(localTokenOf),
    ),
    entry: (before, after) => {
      if (before === null || after === null || before.revokedAt !== null) return null;
      const { workspaceId } = after;
      return { ...stamp, action: "token.revoke", target: id, workspaceId, before: tokenJson(before), after: tokenJson(after) };
    },
  };
}

/** `elements` as for `ownedWith`. */
export function revokedAmong(ids: readonly string[], elements: string): Question<readonly string[]> {
  const sql = `SELECT id FROM tokens WHERE id IN (${elements}) AND revoked_at IS NOT NULL ORDER BY id`;
  return question(sql, [JSON.stringify(ids)], eachOf((row) => text(row, "id")));
}

export function traceWith({ workspaceId, id }: Pick<Trace, "workspaceId" | "id">): Question<Trace | null> {
  return question("SELECT * FROM traces WHERE workspace_id = ? AND id = ?", [workspaceId, id], firstOf(traceOf));
}

export function tracesWith(id: string, workspaceId: string | null): Question<readonly Trace[]> {
  const { sql, values } = narrowed({ "workspace_id =": workspaceId });
  return question(`SELECT * FROM traces WHERE id = ? ${sql} ORDER BY workspace_id`, [id, ...values], eachOf(traceOf));
}

/** Newest last. */
export function newestRowsOf({ id, workspaceId }: Trace): Question<readonly TokenUsage[]> {
  const sql = `
    SELECT *
    FROM usage
    WHERE trace_id = ? AND workspace_id = ?
    ORDER BY created_at DESC, id DESC
    LIMIT ?`;
  return question(sql, [id, workspaceId, MAX_DETAIL_ROWS], (rows) => rows.map(tokenUsageOf).reverse());
}

/** Searches a bounded number of the latest calls: an unknown agent costs no more than that. */
export function traceOfAgent({ workspaceId, sandboxId, agentId, since }: AgentAsked): Question<string | null> {
  const sql = `
    SELECT trace_id
    FROM (
      SELECT trace_id, agent_id, created_at
      FROM usage
      WHERE sandbox_id = ? AND workspace_id = ? AND created_at >= ?
      ORDER BY created_at DESC
      LIMIT ?
    ) AS latest
    WHERE agent_id = ?
    ORDER BY created_at DESC
    LIMIT 1`;
  const values = [sandboxId, workspaceId, since, MOST_SEARCHED_CALLS, agentId];
  return question(sql, values, firstOf((row) => text(row, "trace_id")));
}

/** `elements`: what selects the texts of a JSON array, which each database does in its own way. */
export function ownedWith(ids: readonly string[], elements: string): Question<readonly Owned[]> {
  return question(`SELECT * FROM owned WHERE id IN (${elements}) ORDER BY id`, [JSON.stringify(ids)], eachOf(ownedOf));
}

export function batchWith(id: string): Question<{ readonly batch: Owned; readonly outcome: BatchOutcome | null } | null> {
  return question("SELECT * FROM owned WHERE id = ? AND kind IN ('batch', 'response')", [id], firstOf(batchOf));
}

export function postpone(id: string, dueAt: number): Question<void> {
  return question("UPDATE owned SET due_at = ? WHERE id = ? AND due_at IS NOT NULL", [dueAt, id], () => {});
}

export function settle(id: string, outcome: BatchOutcome): Question<void> {
  return question("UPDATE owned SET due_at = NULL, outcome = ? WHERE id = ? AND due_at IS NOT NULL", [outcome, id], () => {});
}

export const WAITING_BATCHES: Question<number> = question(
  "SELECT count(*) AS waiting FROM owned WHERE due_at IS NOT NULL",
  [],
  ([row]) => integer(row!, "waiting"),
);

export function refusals({ since, until, limit, offset, ...owner }: QueryOpts): Question<readonly RefusalCount[]> {
  const { sql, values } = narrowed({ ...ownerFilters(owner), "minute >=": since, "minute <": until });
  return question(
    `SELECT workspace_id, sandbox_id, fault, minute, sum(count) AS count
     FROM refusals
     WHERE true ${sql}
     GROUP BY minute, workspace_id, sandbox_id, fault
     ORDER BY minute DESC, workspace_id, sandbox_id, fault
     LIMIT ? OFFSET ?`,
    [...values, limit, offset],
    eachOf(refusalOf),
  );
}

export function runsSince(since: number): Question<readonly RunOfCalls[]> {
  return question(
    `SELECT instance_id, count(*) AS calls, max(created_at) AS latest_at
     FROM usage
     WHERE revision > 0 AND created_at >= ?
     GROUP BY instance_id
     ORDER BY calls DESC, instance_id
     LIMIT 1000`,
    [since],
    eachOf((row) => ({
      instanceId: text(row, "instance_id"),
      calls: integer(row, "calls"),
      latestAt: integer(row, "latest_at"),
    })),
  );
}

export function recordsOn({ after, limit, ...filter }: RecordPage): Question<readonly UsageRecord[]> {
  // The time by itself is what an index and the partitions go by; the key behind it says the rest.
  const since = after === null ? filter.since : Math.max(after.createdAt, filter.since ?? after.createdAt);
  const { sql, values } = recordFilters({ ...filter, since });
  const key = after === null ? [] : [after.createdAt, after.id, after.workspaceId];
  return question(
    `SELECT *
     FROM usage
     WHERE revision > 0 ${sql} ${after === null ? "" : "AND (created_at, id, workspace_id) > (?, ?, ?)"}
     ORDER BY created_at, id, workspace_id
     LIMIT ?`,
    [...values, ...key, limit],
    eachOf(usageRecordOf),
  );
}

export function recordCount(filter: UsageFilter): Question<number> {
  const { sql, values } = recordFilters(filter);
  return question(`SELECT count(*) AS rows FROM usage WHERE revision > 0 ${sql}`, values, ([row]) => integer(row!, "rows"));
}

function recordFilters({ since, until, ...owner }: UsageFilter) {
  return narrowed({ ...ownerFilters(owner), "created_at >=": since, "created_at <": until });
}

function question<T>(sql: string, values: readonly Value[], read: (rows: readonly Row[]) => T): Question<T> {
  return { sql, values, read };
}

function eachOf<T>(decode: (row: Row) => T): (rows: readonly Row[]) => readonly T[] {
  return (rows) => rows.map(decode);
}

function firstOf<T>(decode: (row: Row) => T): (rows: readonly Row[]) => T | null {
  return ([row]) => row === undefined ? null : decode(row);
}
