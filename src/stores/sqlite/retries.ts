import type { DatabaseSync, StatementSync } from "node:sqlite";
import { changedRetries, RETRY_BOUNDS } from "../../domain/retry.ts";
import { type PlacedRetry, placedRetryOf, RETRY_COLUMNS } from "../retries.ts";
import { type Delta, retryDelta } from "../totals.ts";
import { readingBigInts } from "./connection.ts";

/**
 * Links the calls that retry one prompt (`domain/retry.ts`), in the transaction that writes the
 * row.
 */
export class Retries {
  readonly #isAlone: StatementSync;
  readonly #before: StatementSync;
  readonly #behind: StatementSync;
  readonly #set: StatementSync;

  constructor(db: DatabaseSync) {
    this.#isAlone = db.prepare(IS_ALONE);
    this.#before = readingBigInts(db, BEFORE);
    this.#behind = readingBigInts(db, BEHIND);
    this.#set = db.prepare(SET);
  }

  /**
   * The row is new or has another end: updates its retries and those of other rows. Returns what
   * changes in the totals.
   */
  relink(row: PlacedRetry, messagesHash: string): readonly Delta[] {
    const key = [row.workspaceId, row.traceId, messagesHash, row.createdAt, row.id] as const;
    const [from, to] = [row.createdAt - RETRY_BOUNDS.spanMs, row.createdAt + RETRY_BOUNDS.spanMs];
    if (this.#isAlone.get(...key, from, to)?.is_alone === 1) return [];
    const earlier = this.#before.all(...key, from, RETRY_BOUNDS.rows).map(placedRetryOf).reverse();
    const later = this.#behind.all(...key, to, RETRY_BOUNDS.rows).map(placedRetryOf);
    return changedRetries([...earlier, row, ...later], earlier.length).map(({ row: changed, retry }) => {
      this.#set.run(retry.retryOf, retry.isRetried ? 1 : 0, changed.workspaceId, changed.createdAt, changed.id);
      return retryDelta(changed, { from: changed.retry, to: retry });
    });
  }
}

/**
 * Names the index: without statistics the planner would read all of a workspace's calls.
 */
const SAME_PROMPT = `
  FROM usage INDEXED BY usage_by_question
  WHERE trace_id = ?2 AND substr(messages_hash, 1, 16) = substr(?3, 1, 16) AND attempt = 1
    AND workspace_id = ?1 AND messages_hash = ?3`;

/**
 * Whether there is nothing to link: no row of the prompt is behind this one, and the one before it,
 * if there is one, completed. One column, because each costs some microseconds, however few rows
 * there are.
 */
const IS_ALONE = `
  SELECT
    NOT EXISTS (SELECT 1 ${SAME_PROMPT} AND (created_at, id) > (?4, ?5) AND created_at <= ?7)
    AND coalesce((
      SELECT outcome = 'completed' ${SAME_PROMPT} AND (created_at, id) < (?4, ?5) AND created_at >= ?6
      ORDER BY created_at DESC, id DESC
      LIMIT 1
    ), 1) AS is_alone`;

const BEFORE = `
  SELECT ${RETRY_COLUMNS} ${SAME_PROMPT} AND (created_at, id) < (?4, ?5) AND created_at >= ?6
  ORDER BY created_at DESC, id DESC
  LIMIT ?7`;

const BEHIND = `
  SELECT ${RETRY_COLUMNS} ${SAME_PROMPT} AND (created_at, id) > (?4, ?5) AND created_at <= ?6
  ORDER BY created_at, id
  LIMIT ?7`;

const SET = `
  UPDATE usage SET retry_of = ?, asked_again = ?
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;
