import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { BatchOutcome, Owned, OwnedRecords } from "../../domain/owned.ts";
import { batchOf, ownedOf } from "../row_decoders.ts";
import { inTransaction, readingBigInts } from "./connection.ts";
import type { Outbox } from "./outbox.ts";
import type { Answers } from "./protocol.ts";

/** Writes claims on files and batches. */
export class Claims {
  readonly #insert: StatementSync;
  readonly #outbox: Outbox | null;

  /** `outbox` as in `Rows`. */
  constructor(db: DatabaseSync, outbox: Outbox | null) {
    this.#insert = db.prepare(INSERT);
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

/** The verbs about files and batches on one connection, blocking. Claims that come this way are not shipped. */
export function ownedAnswersOn(db: DatabaseSync): Pick<Answers, keyof OwnedRecords> {
  const claims = new Claims(db, null);
  return {
    recordOwned: (owned) => inTransaction(db, () => claims.add(owned)),
    findOwned: (ids) => readingBigInts(db, FIND).all(JSON.stringify(ids)).map(ownedOf),
    takeBatches: ({ now, until, most }) =>
      inTransaction(db, () => ({
        batches: readingBigInts(db, TAKE).all(until, now, most).map(ownedOf),
        waiting: Number(db.prepare("SELECT count(*) AS waiting FROM owned WHERE due_at IS NOT NULL").get()?.waiting),
      })),
    findBatch(id: string) {
      const row = readingBigInts(db, "SELECT * FROM owned WHERE id = ? AND kind = 'batch'").get(id);
      return row === undefined ? null : batchOf(row);
    },
    postponeBatch(id: string, dueAt: number) {
      db.prepare("UPDATE owned SET due_at = ? WHERE id = ? AND due_at IS NOT NULL").run(dueAt, id);
    },
    settleBatch(id: string, outcome: BatchOutcome) {
      db.prepare("UPDATE owned SET due_at = NULL, outcome = ? WHERE id = ? AND due_at IS NOT NULL").run(outcome, id);
    },
  };
}

const INSERT = `
  INSERT INTO owned (id, kind, workspace_id, sandbox_id, created_at, call, due_at)
  VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO NOTHING`;

const FIND = `
  SELECT *
  FROM owned
  WHERE id IN (SELECT value FROM json_each(?))
  ORDER BY id`;

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
