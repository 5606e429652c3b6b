import type { DatabaseSync } from "node:sqlite";
import { MOST_SEARCHED_CALLS } from "../../domain/sessions.ts";
import { text, traceOf } from "../row_decoders.ts";
import { readingBigInts } from "./connection.ts";
import type { Answers } from "./protocol.ts";

/** What is on record of sessions, on one connection. */
export function sessionAnswersOn(db: DatabaseSync): Pick<Answers, "findTrace" | "findAgent"> {
  const findTrace = readingBigInts(db, FIND_TRACE);
  const findAgent = readingBigInts(db, FIND_AGENT);
  return {
    findTrace(workspaceId, id) {
      const found = findTrace.get(workspaceId, id);
      return found === undefined ? null : traceOf(found);
    },
    findAgent({ workspaceId, sandboxId, agentId, since }) {
      const found = findAgent.get(sandboxId, workspaceId, since, MOST_SEARCHED_CALLS, agentId);
      return found === undefined ? null : text(found, "trace_id");
    },
  };
}

const FIND_TRACE = "SELECT * FROM traces WHERE workspace_id = ? AND id = ?";

/**
 * The latest calls first, and of those a bounded number: an agent that nobody knows costs no more
 * than that.
 */
const FIND_AGENT = `
  SELECT trace_id
  FROM (
    SELECT trace_id, agent_id
    FROM usage
    WHERE sandbox_id = ? AND workspace_id = ? AND created_at >= ?
    ORDER BY created_at DESC
    LIMIT ?
  )
  WHERE agent_id = ?
  LIMIT 1`;
