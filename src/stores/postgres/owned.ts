import type { Owned, OwnedRecords } from "../../domain/owned.ts";
import { WAITING_BATCHES } from "../records_sql.ts";
import { ownedOf } from "../row_decoders.ts";
import type { Ask } from "./connection.ts";
import { answer } from "./queries.ts";

export async function recordOwned(ask: Ask, owned: readonly Owned[]): Promise<void> {
  await ask(INSERT, [owned.map(sentOf)]);
}

export async function takeBatches(
  ask: Ask,
  { now, until, most }: Parameters<OwnedRecords["takeBatches"]>[0],
): ReturnType<OwnedRecords["takeBatches"]> {
  const batches = (await ask(TAKE, [until, now, most])).map(ownedOf);
  return { batches, waiting: await answer(ask, WAITING_BATCHES) };
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

/**
 * In the order of ids, so that two writers of the same ids never wait for each other in a circle.
 */
const INSERT = `
  INSERT INTO owned (id, kind, workspace_id, sandbox_id, created_at, call, due_at)
  SELECT id, kind, workspace_id, sandbox_id, created_at, call, due_at
  FROM json_populate_recordset(NULL::owned, $1) AS sent
  ORDER BY id
  ON CONFLICT DO NOTHING`;

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
