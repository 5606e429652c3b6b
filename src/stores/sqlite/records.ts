import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Owned, OwnedRecords } from "../../domain/owned.ts";
import type { SessionRecords } from "../../domain/sessions.ts";
import type { LocalToken, TokenCopies, Tokens } from "../../domain/tokens.ts";
import * as records from "../records_sql.ts";
import { integer, localTokenOf, ownedOf } from "../row_decoders.ts";
import { inTransaction, readingBigInts } from "./connection.ts";
import type { Outbox } from "./outbox.ts";
import type { Answers } from "./protocol.ts";
import type { Queries } from "./queries.ts";

/** Writes claims on files and batches. */
export class Claims {
  readonly #insert: StatementSync;
  readonly #outbox: Outbox | null;

  /** `outbox` as in `Rows`. */
  constructor(db: DatabaseSync, outbox: Outbox | null) {
    this.#insert = db.prepare(INSERT_OWNED);
    this.#outbox = outbox;
  }

  /** In the caller's transaction. */
  add(all: readonly Owned[]): void {
    for (const owned of all) {
      const { id, kind, workspaceId, sandboxId, createdAt, call, dueAt } = owned;
      const callJson = call === null ? null : JSON.stringify(call);
      const { changes } = this.#insert.run(id, kind, workspaceId, sandboxId, createdAt, callJson, dueAt);
      if (changes !== 0) this.#outbox?.addOwned(owned);
    }
  }
}

type RecordVerb = keyof Tokens | keyof TokenCopies | keyof OwnedRecords | keyof SessionRecords;

/**
 * The verbs about tokens, files, batches and sessions, blocking. Claims that come this way are not
 * shipped.
 */
export function recordAnswersOn(db: DatabaseSync, queries: Queries): Pick<Answers, RecordVerb> {
  const claims = new Claims(db, null);
  const keepCopy = db.prepare(KEEP_COPY);
  return {
    createToken: (token, sha256) => queries.answer(records.insertToken(token, sha256)),
    findToken: (sha256) => queries.answer(records.tokenWith(sha256)),
    listTokens: (workspaceId) => queries.answer(records.tokensIn(workspaceId)),
    revokeToken: (id, at) => queries.answer(records.revoke(id, at)),

    keepTokenCopy(token: LocalToken, sha256: string, { seenAt }) {
      const { id, workspaceId, sandboxId, createdAt, expiresAt, revokedAt } = token;
      keepCopy.run(id, sha256, workspaceId, sandboxId, createdAt, expiresAt, revokedAt, seenAt);
    },
    findTokenCopy(sha256: string) {
      const row = readingBigInts(db, "SELECT * FROM token_copies WHERE sha256 = ?").get(sha256);
      return row === undefined ? null : { token: localTokenOf(row), sha256, seenAt: integer(row, "seen_at") };
    },
    revokeTokenCopy(id: string, at: number) {
      db.prepare("UPDATE token_copies SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?").run(at, id);
    },

    recordOwned: (owned) => inTransaction(db, () => claims.add(owned)),
    findOwned: (ids) => queries.answer(records.ownedWith(ids, "SELECT value FROM json_each(?)")),
    takeBatches: ({ now, until, most }) =>
      inTransaction(db, () => ({
        batches: readingBigInts(db, TAKE).all(until, now, most).map(ownedOf),
        waiting: queries.answer(records.WAITING_BATCHES),
      })),
    findBatch: (id) => queries.answer(records.batchWith(id)),
    postponeBatch: (id, dueAt) => queries.answer(records.postpone(id, dueAt)),
    settleBatch: (id, outcome) => queries.answer(records.settle(id, outcome)),

    findTrace: (workspaceId, id) => queries.answer(records.traceWith({ workspaceId, id })),
    findAgent: (asked) => queries.answer(records.traceOfAgent(asked)),
  };
}

const INSERT_OWNED = `
  INSERT INTO owned (id, kind, workspace_id, sandbox_id, created_at, call, due_at)
  VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING`;

const KEEP_COPY = `
  INSERT INTO token_copies (id, sha256, workspace_id, sandbox_id, created_at, expires_at, revoked_at, seen_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (sha256) DO UPDATE SET
    expires_at = excluded.expires_at,
    revoked_at = coalesce(revoked_at, excluded.revoked_at),
    seen_at = max(seen_at, excluded.seen_at)`;

const TAKE = `
  UPDATE owned SET due_at = ?
  WHERE id IN (
    SELECT id
    FROM owned
    WHERE due_at <= ?
    ORDER BY due_at
    LIMIT ?
  )
  RETURNING *`;
