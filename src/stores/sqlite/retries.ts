import type { DatabaseSync, StatementSync } from "node:sqlite";
import { changedLinks, RETRY_BOUNDS } from "../../domain/retry.ts";
import { ATTEMPT_COLUMNS, attemptOf, type CountedAttempt } from "../attempts.ts";
import type { Totals } from "./totals.ts";

/** Links the attempts at one question (`domain/retry.ts`). Belongs into the transaction that writes the row. */
export class Retries {
  readonly #totals: Totals;
  readonly #follows: StatementSync;
  readonly #before: StatementSync;
  readonly #behind: StatementSync;
  readonly #set: StatementSync;

  constructor(db: DatabaseSync, totals: Totals) {
    this.#totals = totals;
    this.#follows = db.prepare(FOLLOWS);
    [this.#before, this.#behind] = [BEFORE, BEHIND].map((sql) => {
      const statement = db.prepare(sql);
      statement.setReadBigInts(true);
      return statement;
    }) as [StatementSync, StatementSync];
    this.#set = db.prepare(SET);
  }

  /** The row is new, or ended otherwise than it had: sets what changes of its own links and of others', and moves the totals. */
  relink(row: CountedAttempt, options: { readonly messagesHash: string; readonly isNew: boolean }): void {
    const key = [row.workspaceId, row.traceId, options.messagesHash, row.createdAt, row.id] as const;
    const [from, to] = [row.createdAt - RETRY_BOUNDS.spanMs, row.createdAt + RETRY_BOUNDS.spanMs];
    // As nearly always: what completes and had no attempt before it repeats nothing, is not repeated, and parts no others.
    if (options.isNew && row.ending === "completed" && this.#follows.get(...key, from)?.follows === 0) return;
    const earlier = this.#before.all(...key, from, RETRY_BOUNDS.attempts).map(attemptOf).reverse();
    const later = this.#behind.all(...key, to, RETRY_BOUNDS.attempts).map(attemptOf);
    for (const changed of changedLinks([...earlier, row, ...later], earlier.length)) {
      const { row: { workspaceId, createdAt, id, link: from }, link: to } = changed;
      this.#set.run(to.retryOf, to.isAskedAgain ? 1 : 0, workspaceId, createdAt, id);
      this.#totals.relink(changed.row, { from, to });
    }
  }
}

/**
 * Of the attempts before a row those that can matter: each that did not complete, and what repeats one. Any other completed by
 * itself: it repeats none, being too late for that, and so is whatever comes behind it. The index `usage_in_vain` has these only,
 * so that most calls cost it nothing.
 */
const IN_VAIN = `
  FROM usage
  WHERE workspace_id = ? AND trace_id = ? AND messages_hash = ? AND (created_at, id) < (?, ?) AND created_at >= ?
    AND revision > 0 AND messages_hash IS NOT NULL AND (ending <> 'completed' OR retry_of IS NOT NULL)`;

const FOLLOWS = `SELECT EXISTS (SELECT 1 ${IN_VAIN}) AS follows`;

const BEFORE = `
  SELECT ${ATTEMPT_COLUMNS} ${IN_VAIN}
  ORDER BY created_at DESC, id DESC
  LIMIT ?`;

/** By the trace's calls since: mostly there are none. */
const BEHIND = `
  SELECT ${ATTEMPT_COLUMNS}
  FROM usage
  WHERE workspace_id = ? AND trace_id = ? AND messages_hash = ? AND revision > 0
    AND (created_at, id) > (?, ?) AND created_at <= ?
  ORDER BY created_at, id
  LIMIT ?`;

const SET = `
  UPDATE usage SET retry_of = ?, asked_again = ?
  WHERE workspace_id = ? AND created_at = ? AND id = ?`;
