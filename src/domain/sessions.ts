import type { Trace } from "./trace.ts";

/** A sub-agent, by the session that it names as its own. */
export interface AgentAsked {
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly agentId: string;
  /** Calls admitted before are not looked at, milliseconds since the epoch. */
  readonly since: number;
}

/**
 * The most of a sandbox's latest calls that are searched for an agent: ids come from clients, who
 * may make up any number.
 */
export const MOST_SEARCHED_CALLS = 1_000;

/**
 * What is on record of sessions. Both questions are one look by a key or a bounded one, so that a
 * call may wait for them. They reject with the technology's own error if the database cannot be
 * asked.
 */
export interface SessionRecords {
  /** The trace of that (workspaceId, id), or null. */
  readonly findTrace: (workspaceId: string, id: string) => Promise<Trace | null>;
  /**
   * The id of the trace to which the agent's latest call belongs; null if none of the sandbox's
   * latest calls is the agent's.
   */
  readonly findAgent: (asked: AgentAsked) => Promise<string | null>;
}
