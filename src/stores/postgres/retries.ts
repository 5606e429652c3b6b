import { changedRetries, type Retry, RETRY_BOUNDS } from "../../domain/retry.ts";
import type { OpenCall } from "../../domain/usage.ts";
import { type PlacedRetry, placedRetryOf, RETRY_COLUMNS } from "../retries.ts";
import { type Row, rowKeyOf } from "../row_decoders.ts";
import { type Delta, retryDelta } from "../totals.ts";
import type { Ask } from "./connection.ts";

/**
 * Links the calls that retry one prompt (`domain/retry.ts`), after rows were written that are new
 * or have another end. Returns what changes in the totals. The caller's transaction wrote the rows
 * and holds their traces: a transaction that writes another retry meanwhile comes later, and finds
 * these rows.
 */
export async function relink(ask: Ask, calls: readonly OpenCall[]): Promise<readonly Delta[]> {
  const prompts = calls.filter((call) => call.messagesHash !== null).map((call) => ({
    workspace_id: call.workspaceId,
    trace_id: call.traceId,
    messages_hash: call.messagesHash,
    created_at: call.createdAt,
    id: call.id,
  }));
  if (prompts.length === 0) return [];
  const times = prompts.map((call) => call.created_at);
  // Constants, by which the partitions are chosen once and not for each row.
  const span = [Math.min(...times) - RETRY_BOUNDS.spanMs, Math.max(...times) + RETRY_BOUNDS.spanMs];
  const accompanied = new Set((await ask(ACCOMPANIED, [prompts, ...span])).map(rowKeyOf));
  if (accompanied.size === 0) return [];
  const changed = prompts.filter((call) => accompanied.has(rowKeyOf(call))).map((call, n) => ({ ...call, n }));
  const found = await ask(AROUND, [changed, ...span, RETRY_BOUNDS.spanMs, RETRY_BOUNDS.rows]);
  const retries = retriesOf(changed.map((call) => rowKeyOf(call)), Map.groupBy(found, (row) => Number(row.n)));
  if (retries.length === 0) return [];
  await ask(SET, [
    retries.map(({ row: { workspaceId, createdAt, id }, to }) => ({
      workspace_id: workspaceId,
      created_at: createdAt,
      id,
      retry_of: to.retryOf,
      asked_again: to.isRetried,
    })),
  ]);
  return retries.map(({ row, to }) => retryDelta(row, { from: row.retry, to }));
}

/** One row after the other, each on what those before it have changed. */
function retriesOf(keys: readonly string[], found: ReadonlyMap<number, readonly Row[]>) {
  const now = new Map<string, { readonly row: PlacedRetry; readonly to: Retry }>();
  for (const [n, key] of keys.entries()) {
    const rows = (found.get(n) ?? []).map((row) => ({ key: rowKeyOf(row), row: placedRetryOf(row) }));
    const chain = rows.map(({ key, row }) => ({ ...row, key, stored: row, retry: now.get(key)?.to ?? row.retry }));
    const at = chain.findIndex((link) => link.key === key);
    for (const { row, retry } of changedRetries(chain, at)) now.set(row.key, { row: row.stored, to: retry });
  }
  return [...now.values()].filter(({ row: { retry }, to }) => retry.retryOf !== to.retryOf || retry.isRetried !== to.isRetried);
}

const PROMPTS = `
  json_to_recordset($1) AS prompt (
    n BIGINT, workspace_id TEXT COLLATE "C", trace_id TEXT COLLATE "C", messages_hash TEXT, created_at BIGINT, id TEXT COLLATE "C"
  )`;

/**
 * Only `usage_by_question` and the index by time fit this. With plain equality, until a new month's
 * partition is analyzed, the planner takes any index that begins with one of these columns and
 * reads all that it finds there.
 */
const SAME_PROMPT = `
  ${promptOf("usage")} = ${promptOf("prompt")} AND usage.created_at BETWEEN $2 AND $3
  AND (usage.workspace_id, usage.trace_id, usage.messages_hash) IS NOT DISTINCT FROM
    (prompt.workspace_id, prompt.trace_id, prompt.messages_hash)`;

/** As the index has it. */
function promptOf(table: string): string {
  return `hashtextextended(${table}.workspace_id || ' ' || ${table}.trace_id || ' ' || ${table}.messages_hash, 0)`;
}

/** The limit keeps the planner from reading the whole table. */
const ACCOMPANIED = `
  SELECT prompt.workspace_id, prompt.created_at, prompt.id
  FROM ${PROMPTS}
  CROSS JOIN LATERAL (
    SELECT
    FROM usage
    WHERE ${SAME_PROMPT} AND (usage.created_at, usage.id) <> (prompt.created_at, prompt.id)
    LIMIT 1
  ) AS another`;

const AROUND = `
  SELECT prompt.n, around.*
  FROM ${PROMPTS}
  CROSS JOIN LATERAL (
    (
      SELECT ${RETRY_COLUMNS}
      FROM usage
      WHERE ${SAME_PROMPT} AND (usage.created_at, usage.id) <= (prompt.created_at, prompt.id)
        AND usage.created_at >= prompt.created_at - $4
      ORDER BY usage.created_at DESC, usage.id DESC
      LIMIT $5 + 1
    )
    UNION ALL
    (
      SELECT ${RETRY_COLUMNS}
      FROM usage
      WHERE ${SAME_PROMPT} AND (usage.created_at, usage.id) > (prompt.created_at, prompt.id)
        AND usage.created_at <= prompt.created_at + $4
      ORDER BY usage.created_at, usage.id
      LIMIT $5
    )
  ) AS around
  ORDER BY prompt.n, around.created_at, around.id`;

const SET = `
  UPDATE usage SET retry_of = sent.retry_of, asked_again = sent.asked_again
  FROM json_to_recordset($1) AS sent (
    workspace_id TEXT COLLATE "C", created_at BIGINT, id TEXT COLLATE "C", retry_of TEXT, asked_again BOOLEAN
  )
  WHERE usage.workspace_id = sent.workspace_id AND usage.created_at = sent.created_at AND usage.id = sent.id`;
