import type { Said, Told } from "../domain/client.ts";
import { parsedRecord, textOf } from "./untrusted_json.ts";

type Data = Readonly<Record<string, unknown>>;

/** All that Codex says of a request, as JSON: a header, and a string in the body's metadata. */
const TURN_METADATA = "x-codex-turn-metadata";

/** By `request_kind`; a turn is the agent's own work. */
const CLASSES: ReadonlyMap<string, string> = new Map([
  ["compaction", "compaction"],
  // A session's warm-up, and what it remembers of other sessions: no user waits for them.
  ["prewarm", "auxiliary"],
  ["memory", "auxiliary"],
]);

const NAMELESS = { agentId: null, parentAgentId: null, agentType: null, requestClass: null, promptId: null };
const NOTHING: Told = { session: null, parent: null, agent: NAMELESS };

/**
 * What Codex (0.171) names. A session has a thread for each agent, and main's has the session's id:
 * so a thread of another id is a sub-agent's. A sub-agent whose thread has its own session names
 * the thread that started it.
 *
 * The body counts before the headers, which may be those of a connection and not of a request.
 * `x-client-request-id` is the thread's id on each call, so it names no request.
 */
export function toldByCodex({ header, metadata }: Said): Told {
  const isCodex = metadata[TURN_METADATA] || metadata.thread_id || header("thread-id") || header(TURN_METADATA);
  if (!isCodex) return NOTHING;
  // Without a thread it is another program's, which may mean anything by a session.
  const plain = textOf(metadata.thread_id) === null ? {} : metadata;
  const sources: readonly Data[] = [turnMetadataOf(metadata[TURN_METADATA]), plain, turnMetadataOf(header(TURN_METADATA))];
  const said = (name: string, headerName: string | null = null) => {
    for (const source of sources) {
      const found = textOf(source[name]) ?? (headerName === null ? null : textOf(source[headerName]));
      if (found !== null) return found;
    }
    return headerName === null ? null : header(headerName) || null;
  };
  const thread = said("thread_id", "thread-id");
  const session = said("session_id", "session-id") ?? thread;
  const parent = said("parent_thread_id", "x-codex-parent-thread-id");
  const kind = said("request_kind");
  // The header names more kinds than the metadata.
  const agentType = said("x-openai-subagent", "x-openai-subagent") ?? said("subagent_kind");
  const isThread = thread !== null && thread !== session;
  const isSubAgent = isThread || agentType !== null || (parent !== null && parent !== thread);
  const agent = {
    agentId: isThread ? thread : null,
    parentAgentId: isThread && parent !== session ? parent : null,
    agentType,
    requestClass: CLASSES.get(kind ?? "") ?? (isSubAgent ? "subagent" : kind === "turn" ? "main" : null),
    // All that a prompt led to, also in sub-agents, has the turn of the prompt.
    promptId: said("root_turn_id") ?? said("turn_id"),
  };
  return { session, parent: isThread ? null : parent, agent };
}

function turnMetadataOf(text: unknown): Data {
  return (typeof text === "string" ? parsedRecord(text) : null) ?? {};
}
