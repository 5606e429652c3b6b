import type { Trace } from "./trace.ts";

/** A sub-agent, by the session that it names as its own. */
export interface AgentAsked {
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly agentId: string;
  /** Only calls admitted since then count, milliseconds since the epoch. */
  readonly since: number;
}

/** A sandbox's calls that are searched. Clients choose agent ids, and may invent many. */
export const MOST_SEARCHED_CALLS = 1_000;

/**
 * What is recorded about sessions. Each question is a lookup by key or a bounded search, so a call
 * may wait for it. Rejects with the technology's error.
 */
export interface SessionRecords {
  /** The trace of that (workspaceId, id), or null. */
  readonly findTrace: (workspaceId: string, id: string) => Promise<Trace | null>;
  /** The trace of the agent's latest call; null if none of the latest calls is the agent's. */
  readonly findAgent: (asked: AgentAsked) => Promise<string | null>;
}
