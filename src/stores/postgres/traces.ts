import type { RunRefusals } from "../../domain/ledger.ts";
import type { Trace } from "../../domain/trace.ts";
import type { Ask } from "./connection.ts";
import { traceWith } from "../records_sql.ts";
import { answer } from "./queries.ts";

/** Inserts traces, or moves `updatedAt` of those that are there forward. */
export async function joinTraces(ask: Ask, traces: readonly Trace[]): Promise<void> {
  await ask(JOIN, [traces]);
}

/** A counter never goes down. */
export async function setRefusals(ask: Ask, counts: readonly RunRefusals[]): Promise<void> {
  await ask(SET_REFUSALS, [counts]);
}

/** The trace that is there, or this one after inserting it. */
export async function getOrCreateTrace(ask: Ask, trace: Trace): Promise<Trace> {
  const { workspaceId, id, sandboxId, source, createdAt, updatedAt } = trace;
  const found = await answer(ask, traceWith(trace));
  if (found !== null) return found;
  await ask(INSERT, [workspaceId, id, sandboxId, source, createdAt, updatedAt]);
  return await answer(ask, traceWith(trace)) ?? trace;
}

export async function updateTraceActivity(
  ask: Ask,
  { workspaceId, id }: Pick<Trace, "workspaceId" | "id">,
  at: number,
) {
  await ask(MOVE_ON, [at, workspaceId, id]);
}

/** The first of a key makes the trace; the latest activity counts. */
const JOIN = `
  INSERT INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at)
  SELECT
    "workspaceId",
    id,
    (array_agg("sandboxId" ORDER BY ordinality))[1],
    (array_agg(source ORDER BY ordinality))[1],
    (array_agg("createdAt" ORDER BY ordinality))[1],
    max("updatedAt")
  FROM ROWS FROM (json_to_recordset($1) AS (
    "workspaceId" TEXT COLLATE "C", id TEXT COLLATE "C", "sandboxId" TEXT, source TEXT, "createdAt" BIGINT, "updatedAt" BIGINT
  )) WITH ORDINALITY
  GROUP BY "workspaceId", id
  ORDER BY "workspaceId", id
  ON CONFLICT (workspace_id, id) DO UPDATE SET updated_at = excluded.updated_at
  WHERE excluded.updated_at > traces.updated_at`;

const SET_REFUSALS = `
  INSERT INTO refusals (workspace_id, sandbox_id, fault, minute, instance_id, count)
  SELECT "workspaceId", "sandboxId", fault, minute, "instanceId", max(count)
  FROM json_to_recordset($1) AS sent (
    "workspaceId" TEXT COLLATE "C", "sandboxId" TEXT COLLATE "C", fault TEXT COLLATE "C", minute BIGINT,
    "instanceId" TEXT COLLATE "C", count BIGINT
  )
  GROUP BY "workspaceId", "sandboxId", minute, fault, "instanceId"
  ORDER BY "workspaceId", "sandboxId", minute, fault, "instanceId"
  ON CONFLICT (workspace_id, sandbox_id, minute, fault, instance_id) DO UPDATE SET count = excluded.count
  WHERE excluded.count > refusals.count`;

const INSERT = `
  INSERT INTO traces (workspace_id, id, sandbox_id, source, created_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, $6)
  ON CONFLICT DO NOTHING`;

const MOVE_ON = "UPDATE traces SET updated_at = $1 WHERE workspace_id = $2 AND id = $3 AND updated_at < $1";
