import type { SessionRecords } from "../domain/sessions.ts";
import { within } from "./within.ts";

export interface SessionsNearbyOptions {
  /** On this machine. */
  readonly local: SessionRecords;
  /** If replicas share one: it may be away. */
  readonly shared: SessionRecords | null;
}

/** How long the shared database is waited for before this machine's own record decides. */
const PATIENCE_MS = 200;

/**
 * Sessions by what the shared database knows, because all replicas go by that. What has not arrived
 * there yet, and all if it does not answer, is taken from this machine. Only the shared one
 * searches for agents: a journal has no index for that.
 */
export function sessionsNearby({ local, shared }: SessionsNearbyOptions): SessionRecords {
  if (shared === null) return { findTrace: local.findTrace, findAgent: local.findAgent };
  return {
    async findTrace(workspaceId, id) {
      const here = local.findTrace(workspaceId, id).catch(() => null);
      const there = within(PATIENCE_MS, shared.findTrace(workspaceId, id));
      return await there.catch(async (error) => await here ?? Promise.reject(error)) ?? await here;
    },
    findAgent: (asked) => within(PATIENCE_MS, shared.findAgent(asked)),
  };
}
