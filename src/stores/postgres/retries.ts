import { changedLinks, type Link, RETRY_BOUNDS } from "../../domain/retry.ts";
import type { OpenCall } from "../../domain/usage.ts";
import { ATTEMPT_COLUMNS, attemptOf, type CountedAttempt } from "../retries.ts";
import { countsOfLinks } from "../counts.ts";
import type { Row } from "../row_decoders.ts";
import type { Ask } from "./connection.ts";
import { type Move, moveOf } from "./totals.ts";
import { rowKeyOf } from "./row_key.ts";

/**
 * Links the attempts at one question (`domain/retry.ts`) after rows were written that are new, or ended otherwise than they had.
 * Gives what is to be moved. Belongs into the transaction that wrote the rows, which has taken their traces: whoever writes
 * another attempt at the same time comes after it, and finds these.
 */
export async function relink(ask: Ask, calls: readonly OpenCall[]): Promise<readonly Move[]> {
  const [first] = calls;
  const asked = calls.filter((call) => call.messagesHash !== null).map((call) => ({
    workspace_id: call.workspaceId,
    trace_id: call.traceId,
    messages_hash: call.messagesHash,
    created_at: call.createdAt,
    id: call.id,
  }));
  if (first === undefined || asked.length === 0) return [];
  const times = asked.map((call) => call.created_at);
  // Constants, by which the partitions are chosen once and not for each row.
  const span = [Math.min(...times) - RETRY_BOUNDS.spanMs, Math.max(...times) + RETRY_BOUNDS.spanMs];
  const accompanied = new Set((await ask(ACCOMPANIED, [asked, ...span])).map(rowKeyOf));
  if (accompanied.size === 0) return [];
  const changed = asked.filter((call) => accompanied.has(rowKeyOf(call))).map((call, n) => ({ ...call, n }));
  const found = await ask(AROUND, [changed, ...span, RETRY_BOUNDS.spanMs, RETRY_BOUNDS.attempts]);
  const links = linksOf(changed.map((call) => rowKeyOf(call)), Map.groupBy(found, (row) => Number(row.n)));
  if (links.length === 0) return [];
  await ask(SET, [
    links.map(({ row, to }) => ({
      workspace_id: row.workspaceId,
      created_at: row.createdAt,
      id: row.id,
      retry_of: to.retryOf,
      asked_again: to.isAskedAgain,
    })),
  ]);
  return links.map(({ row, to }) => moveOf(row, countsOfLinks(row.cost, { from: row.link, to })));
}

/** One row after the other, each on what those before it have changed. */
function linksOf(keys: readonly string[], found: ReadonlyMap<number, readonly Row[]>) {
  const now = new Map<string, { readonly row: CountedAttempt; readonly to: Link }>();
  for (const [n, key] of keys.entries()) {
    const rows = (found.get(n) ?? []).map((row) => ({ key: rowKeyOf(row), row: attemptOf(row) }));
    const chain = rows.map(({ key, row }) => ({ ...row, key, stored: row, link: now.get(key)?.to ?? row.link }));
    const at = chain.findIndex((attempt) => attempt.key === key);
    for (const { row, link } of changedLinks(chain, at)) now.set(row.key, { row: row.stored, to: link });
  }
  return [...now.values()].filter(({ row, to }) => row.link.retryOf !== to.retryOf || row.link.isAskedAgain !== to.isAskedAgain);
}

const ASKED = `
  json_to_recordset($1) AS asked (
    n BIGINT, workspace_id TEXT COLLATE "C", trace_id TEXT COLLATE "C", messages_hash TEXT, created_at BIGINT, id TEXT COLLATE "C"
  )`;

/**
 * Of the indexes only `usage_by_question` fits it, and the one by time: with plain equality, as long as a new month's partition has
 * not been analyzed, the planner takes any that begins with one of these columns, and reads all that it finds there.
 */
const SAME_QUESTION = `
  ${questionOf("usage")} = ${questionOf("asked")} AND usage.created_at BETWEEN $2 AND $3
  AND (usage.workspace_id, usage.trace_id, usage.messages_hash) IS NOT DISTINCT FROM
    (asked.workspace_id, asked.trace_id, asked.messages_hash)`;

/** As the index has it. */
function questionOf(table: string): string {
  return `hashtextextended(${table}.workspace_id || ' ' || ${table}.trace_id || ' ' || ${table}.messages_hash, 0)`;
}

/** The limit keeps the planner from reading the whole table for it. */
const ACCOMPANIED = `
  SELECT asked.workspace_id, asked.created_at, asked.id
  FROM ${ASKED}
  CROSS JOIN LATERAL (
    SELECT
    FROM usage
    WHERE ${SAME_QUESTION} AND (usage.created_at, usage.id) <> (asked.created_at, asked.id)
    LIMIT 1
  ) AS another`;

const AROUND = `
  SELECT asked.n, around.*
  FROM ${ASKED}
  CROSS JOIN LATERAL (
    (
      SELECT ${ATTEMPT_COLUMNS}
      FROM usage
      WHERE ${SAME_QUESTION} AND (usage.created_at, usage.id) <= (asked.created_at, asked.id)
        AND usage.created_at >= asked.created_at - $4
      ORDER BY usage.created_at DESC, usage.id DESC
      LIMIT $5 + 1
    )
    UNION ALL
    (
      SELECT ${ATTEMPT_COLUMNS}
      FROM usage
      WHERE ${SAME_QUESTION} AND (usage.created_at, usage.id) > (asked.created_at, asked.id)
        AND usage.created_at <= asked.created_at + $4
      ORDER BY usage.created_at, usage.id
      LIMIT $5
    )
  ) AS around
  ORDER BY asked.n, around.created_at, around.id`;

const SET = `
  UPDATE usage SET retry_of = sent.retry_of, asked_again = sent.asked_again
  FROM json_to_recordset($1) AS sent (
    workspace_id TEXT COLLATE "C", created_at BIGINT, id TEXT COLLATE "C", retry_of TEXT, asked_again BOOLEAN
  )
  WHERE usage.workspace_id = sent.workspace_id AND usage.created_at = sent.created_at AND usage.id = sent.id`;
