import type { SessionRecords } from "../../domain/sessions.ts";
import { within } from "../within.ts";

export interface SessionsNearbyOptions {
  /** On this machine. */
  readonly local: SessionRecords;
  /** If replicas share one: it may be away. */
  readonly shared: SessionRecords | null;
}

/** How long the shared database is waited for before this machine's own record decides. */
const PATIENCE_MS = 200;
/** Of the shared database's connections, so that look-ups of tokens and queries have the others. */
const MOST_AT_ONCE = 4;

/**
 * Sessions by what the shared database knows, because all replicas go by that. What has not arrived
 * there yet, and all if it does not answer, is taken from this machine. Only the shared one
 * searches for agents: a spool has no index for that.
 */
export function cachedSessions({ local, shared }: SessionsNearbyOptions): SessionRecords {
  if (shared === null) return { findTrace: local.findTrace, findAgent: local.findAgent };
  const turns = new EventLoopBudget(MOST_AT_ONCE);
  return {
    async findTrace(workspaceId, id) {
      const here = local.findTrace(workspaceId, id).catch(() => null);
      const there = turns.ask(() => shared.findTrace(workspaceId, id));
      return await there.catch(async (error) => await here ?? Promise.reject(error)) ?? await here;
    },
    findAgent: (asked) => turns.ask(() => shared.findAgent(asked)),
  };
}

/**
 * Questions to a database that may be slow: a few at a time. One that is given up keeps its turn
 * until the database has dealt with it; one that had no turn by then is never asked.
 */
class EventLoopBudget {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  /** Rejects if there is no answer within `PATIENCE_MS`. */
  ask<T>(question: () => Promise<T>): Promise<T> {
    let isGivenUp = false;
    const asked = this.#turn().then(() => {
      const answer = isGivenUp ? Promise.reject(new Error("nobody waits for the answer")) : question();
      const done = () => this.#done();
      answer.then(done, done);
      return answer;
    });
    return within(PATIENCE_MS, asked).finally(() => isGivenUp = true);
  }

  async #turn(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #done(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
