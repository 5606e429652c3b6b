import type { DatabaseSync, StatementSync } from "node:sqlite";
import { changedLinks, RETRY_BOUNDS } from "../../domain/retry.ts";
import type { OpenCall } from "../../domain/usage.ts";
import { ATTEMPT_COLUMNS, attemptOf, type CountedAttempt } from "../retries.ts";
import { readingBigInts } from "./connection.ts";
import type { Totals } from "./totals.ts";

/** Links the attempts at one question (`domain/retry.ts`). Belongs into the transaction that writes the row. */
export class Retries {
  readonly #totals: Totals;
  readonly #known: StatementSync;
  readonly #isAlone: StatementSync;
  readonly #before: StatementSync;
  readonly #behind: StatementSync;
  readonly #set: StatementSync;

  constructor(db: DatabaseSync, totals: Totals) {
    this.#totals = totals;
    this.#known = db.prepare(`SELECT 1 ${ATTEMPTS} LIMIT 1`);
    this.#isAlone = db.prepare(IS_ALONE);
    this.#before = readingBigInts(db, BEFORE);
    this.#behind = readingBigInts(db, BEHIND);
    this.#set = db.prepare(SET);
  }

  /** Whether the trace has attempts at the question, or at one whose hash begins like it. */
  areKnown({ workspaceId, traceId }: Pick<OpenCall, "workspaceId" | "traceId">, messagesHash: string): boolean {
    return this.#known.get(workspaceId, traceId, messagesHash) !== undefined;
  }

  /** The row is new, or ended otherwise than it had: sets what changes of its own links and of others', and moves the totals. */
  relink(row: CountedAttempt, messagesHash: string): void {
    const key = [row.workspaceId, row.traceId, messagesHash, row.createdAt, row.id] as const;
    const [from, to] = [row.createdAt - RETRY_BOUNDS.spanMs, row.createdAt + RETRY_BOUNDS.spanMs];
    if (this.#isAlone.get(...key, from, to)?.is_alone === 1) return;
    const earlier = this.#before.all(...key, from, RETRY_BOUNDS.attempts).map(attemptOf).reverse();
    const later = this.#behind.all(...key, to, RETRY_BOUNDS.attempts).map(attemptOf);
    for (const changed of changedLinks([...earlier, row, ...later], earlier.length)) {
      const { row: { workspaceId, createdAt, id, link: from }, link: to } = changed;
      this.#set.run(to.retryOf, to.isAskedAgain ? 1 : 0, workspaceId, createdAt, id);
      this.#totals.relink(changed.row, { from, to });
    }
  }
}

/** The index is named because without statistics the planner would read a workspace's calls instead, on the event loop. */
const ATTEMPTS = `
  FROM usage INDEXED BY usage_by_question
  WHERE trace_id = ?2 AND substr(messages_hash, 1, 16) = substr(?3, 1, 16) AND attempt = 1`;

const SAME_QUESTION = `${ATTEMPTS} AND workspace_id = ?1 AND messages_hash = ?3`;

/**
 * Whether nothing is to be linked: no attempt is behind the row, and the one before it completed, if there is one. One column,
 * because each costs some microseconds however few rows there are.
 */
const IS_ALONE = `
  SELECT
    NOT EXISTS (SELECT 1 ${SAME_QUESTION} AND (created_at, id) > (?4, ?5) AND created_at <= ?7)
    AND coalesce((
      SELECT outcome = 'completed' ${SAME_QUESTION} AND (created_at, id) < (?4, ?5) AND created_at >= ?6
      ORDER BY created_at DESC, id DESC
      LIMIT 1
    ), 1) AS is_alone`;

const BEFORE = `
  SELECT ${ATTEMPT_COLUMNS} ${SAME_QUESTION} AND (created_at, id) < (?4, ?5) AND created_at >= ?6
  ORDER BY created_at DESC, id DESC
  LIMIT ?7`;

const BEHIND = `
  SELECT ${ATTEMPT_COLUMNS} ${SAME_QUESTION} AND (created_at, id) > (?4, ?5) AND created_at <= ?6
  ORDER BY created_at, id
  LIMIT ?7`;

const SET = `
  UPDATE usage SET retry_of = ?, asked_again = ?
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;
