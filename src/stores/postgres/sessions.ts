import { type AgentAsked, MOST_SEARCHED_CALLS } from "../../domain/sessions.ts";
import type { Trace } from "../../domain/trace.ts";
import { text, traceOf } from "../row_decoders.ts";
import type { Ask } from "./connection.ts";

/** The trace that is there; null if none is. */
export async function findTrace(ask: Ask, { workspaceId, id }: Pick<Trace, "workspaceId" | "id">): Promise<Trace | null> {
  const [found] = await ask(FIND_TRACE, [workspaceId, id]);
  return found === undefined ? null : traceOf(found);
}

export async function findAgent(ask: Ask, { workspaceId, sandboxId, agentId, since }: AgentAsked): Promise<string | null> {
  const [found] = await ask(FIND_AGENT, [sandboxId, workspaceId, since, MOST_SEARCHED_CALLS, agentId]);
  return found === undefined ? null : text(found, "trace_id");
}

const FIND_TRACE = "SELECT * FROM traces WHERE workspace_id = $1 AND id = $2";

/**
 * The latest calls first, and of those a bounded number: an agent that nobody knows costs no more
 * than that.
 */
const FIND_AGENT = `
  SELECT trace_id
  FROM (
    SELECT trace_id, agent_id, created_at
    FROM usage
    WHERE sandbox_id = $1 AND workspace_id = $2 AND created_at >= $3
    ORDER BY created_at DESC
    LIMIT $4
  ) AS latest
  WHERE agent_id = $5
  ORDER BY created_at DESC
  LIMIT 1`;
