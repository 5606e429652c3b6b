import { timeLimit, unlessAborted } from "../../async/deadline.ts";
import { Semaphore } from "../../async/semaphore.ts";
import type { SessionRecords } from "../../domain/sessions.ts";

export interface CachedSessionsOptions {
  /** On this machine. */
  readonly local: SessionRecords;
  /** Null if there is no shared database. It may be down. */
  readonly shared: SessionRecords | null;
}

/** How long to wait for the shared database before this machine's own record decides. */
const PATIENCE_MS = 200;
/** Of the shared database's connections; tokens and queries have the others. */
const MOST_AT_ONCE = 4;

/**
 * Sessions from the shared database, because all replicas must agree. This machine's record is used
 * for what has not arrived there, or if it does not answer. Only the shared database searches for
 * agents: a spool has no index for that.
 */
export function cachedSessions({ local, shared }: CachedSessionsOptions): SessionRecords {
  if (shared === null) return { findTrace: local.findTrace, findAgent: local.findAgent };
  const turns = new Semaphore({ max: MOST_AT_ONCE });

  /** A question that is given up keeps its turn until answered; without a turn it is not asked. */
  async function ask<T>(question: () => Promise<T>): Promise<T> {
    using limit = timeLimit(PATIENCE_MS, () => new Error("The shared database did not answer in time"));
    return await unlessAborted(limit.signal, turns.run(question, limit.signal));
  }

  return {
    async findTrace(workspaceId, id) {
      const here = local.findTrace(workspaceId, id).catch(() => null);
      const there = ask(() => shared.findTrace(workspaceId, id));
      return await there.catch(async (error) => await here ?? Promise.reject(error)) ?? await here;
    },
    findAgent: (asked) => ask(() => shared.findAgent(asked)),
  };
}
