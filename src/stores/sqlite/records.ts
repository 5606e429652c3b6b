import type { DatabaseSync } from "node:sqlite";
import type { LimitRecords } from "../../domain/limits.ts";
import type { OwnedRecords } from "../../domain/owned.ts";
import type { SessionRecords } from "../../domain/sessions.ts";
import type { SuspensionRecords } from "../../domain/suspensions.ts";
import type { Revocations, Tokens } from "../../domain/tokens.ts";
import * as records from "../records_sql.ts";
import { ownedOf } from "../row_decoders.ts";
import * as suspensions from "../suspensions_sql.ts";
import { changed } from "./changes.ts";
import { inTransaction, readingBigInts } from "./connection.ts";
import { limitAnswersOn } from "./limits.ts";
import type { Answers } from "./protocol.ts";
import type { Queries } from "./queries.ts";

/** The verbs about tokens, suspensions, files, batches, sessions and limits. */
export type RecordVerbs = Tokens & Revocations & SuspensionRecords & OwnedRecords & SessionRecords & LimitRecords;

/** They block. */
export function recordAnswersOn(db: DatabaseSync, queries: Queries): Pick<Answers, keyof RecordVerbs> {
  const insertOwned = db.prepare(INSERT_OWNED);
  return {
    createToken: (...given) => changed(db, queries, records.creationOf(...given)),
    findToken: (sha256) => queries.answer(records.tokenWith(sha256)),
    listTokens: (workspaceId) => queries.answer(records.tokensIn(workspaceId)),
    revokeToken: (...given) => changed(db, queries, records.revocationOf(...given)),
    findRevoked: (ids) => queries.answer(records.revokedAmong(ids, ELEMENTS)),

    suspend: (...given) => changed(db, queries, suspensions.suspensionOf(...given)),
    resume: (...given) => changed(db, queries, suspensions.resumptionOf(...given)),
    suspensionsAfter: (change) => queries.answer(suspensions.suspensionsAfter(change)),

    recordOwned: (all) =>
      inTransaction(db, () => {
        for (const { id, kind, workspaceId, sandboxId, createdAt, call, dueAt } of all) {
          insertOwned.run(id, kind, workspaceId, sandboxId, createdAt, call === null ? null : JSON.stringify(call), dueAt);
        }
      }),
    findOwned: (ids) => queries.answer(records.ownedWith(ids, ELEMENTS)),
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

    ...limitAnswersOn(db, queries),
  };
}

/** The texts of a JSON array. */
const ELEMENTS = "SELECT value FROM json_each(?)";

const INSERT_OWNED = `
  INSERT INTO owned (id, kind, workspace_id, sandbox_id, created_at, call, due_at)
  VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING`;

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
