import { timeLimit, unlessAborted } from "../../async/deadline.ts";
import { Semaphore } from "../../async/semaphore.ts";
import type { SessionRecords } from "../../domain/sessions.ts";

export interface CachedSessionsOptions {
  /** In the spool: what the store does not have yet. */
  readonly local: Pick<SessionRecords, "findTrace">;
  /** It may be down. */
  readonly store: SessionRecords;
}

/** How long to wait for the store before the spool decides. */
const PATIENCE_MS = 200;
/** Of a shared database's connections; tokens and queries have the others. */
const MOST_AT_ONCE = 4;

/**
 * Sessions from the store, because all replicas must agree. The spool is used for what has not
 * arrived there, or if the store does not answer. Only the store searches for agents: a spool has
 * no index for that.
 */
export function cachedSessions({ local, store }: CachedSessionsOptions): SessionRecords {
  const turns = new Semaphore({ max: MOST_AT_ONCE });

  /** A question that is given up keeps its turn until answered; without a turn it is not asked. */
  async function ask<T>(question: () => Promise<T>): Promise<T> {
    using limit = timeLimit(PATIENCE_MS, () => new Error("The store did not answer in time"));
    return await unlessAborted(limit.signal, turns.run(question, limit.signal));
  }

  return {
    async findTrace(workspaceId, id) {
      const here = local.findTrace(workspaceId, id).catch(() => null);
      const there = ask(() => store.findTrace(workspaceId, id));
      return await there.catch(async (error) => await here ?? Promise.reject(error)) ?? await here;
    },
    findAgent: (asked) => ask(() => store.findAgent(asked)),
  };
}
