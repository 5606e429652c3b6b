import type { BatchOutcome, Owned, OwnedRecords } from "../../domain/owned.ts";
import { batchOf, integer, ownedOf } from "../row_decoders.ts";
import type { Ask } from "./connection.ts";

export async function recordOwned(ask: Ask, owned: readonly Owned[]): Promise<void> {
  await ask(INSERT, [owned.map(sentOf)]);
}

export async function findOwned(ask: Ask, ids: readonly string[]): Promise<readonly Owned[]> {
  return (await ask(FIND, [ids.map((id) => ({ id }))])).map(ownedOf);
}

export async function takeBatches(
  ask: Ask,
  { now, until, most }: Parameters<OwnedRecords["takeBatches"]>[0],
): ReturnType<OwnedRecords["takeBatches"]> {
  const batches = (await ask(TAKE, [until, now, most])).map(ownedOf);
  const [row] = await ask("SELECT count(*) AS waiting FROM owned WHERE due_at IS NOT NULL", []);
  return { batches, waiting: integer(row!, "waiting") };
}

export async function findBatch(ask: Ask, id: string): ReturnType<OwnedRecords["findBatch"]> {
  const [row] = await ask("SELECT * FROM owned WHERE id = $1 AND kind = 'batch'", [id]);
  return row === undefined ? null : batchOf(row);
}

export async function postponeBatch(ask: Ask, id: string, { dueAt }: { readonly dueAt: number }): Promise<void> {
  await ask("UPDATE owned SET due_at = $1 WHERE id = $2 AND due_at IS NOT NULL", [dueAt, id]);
}

export async function settleBatch(ask: Ask, id: string, { outcome }: { readonly outcome: BatchOutcome }): Promise<void> {
  await ask("UPDATE owned SET due_at = NULL, outcome = $1 WHERE id = $2 AND due_at IS NOT NULL", [outcome, id]);
}

function sentOf({ id, kind, workspaceId, sandboxId, createdAt, call, dueAt }: Owned) {
  return {
    id,
    kind,
    workspace_id: workspaceId,
    sandbox_id: sandboxId,
    created_at: createdAt,
    call: call === null ? null : JSON.stringify(call),
    due_at: dueAt,
  };
}

/** In the order of ids, so that two writers of the same ids never wait for each other in a circle. */
const INSERT = `
  INSERT INTO owned (id, kind, workspace_id, sandbox_id, created_at, call, due_at)
  SELECT id, kind, workspace_id, sandbox_id, created_at, call, due_at
  FROM json_populate_recordset(NULL::owned, $1) AS sent
  ORDER BY id
  ON CONFLICT DO NOTHING`;

const FIND = `
  SELECT owned.*
  FROM json_to_recordset($1) AS asked (id TEXT COLLATE "C")
  JOIN owned USING (id)
  ORDER BY id`;

/** Two that take at the same time do not wait for each other. */
const TAKE = `
  UPDATE owned SET due_at = $1
  WHERE id IN (
    SELECT id
    FROM owned
    WHERE due_at <= $2
    ORDER BY due_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
  )
  RETURNING *`;
