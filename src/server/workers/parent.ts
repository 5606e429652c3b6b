import type { Methods } from "../../async/worker_rpc.ts";
import type { TellOperator } from "../../domain/events.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Batches } from "../../domain/owned.ts";
import { wordsOf } from "../../domain/unavailable.ts";
import type { Storage } from "../storage.ts";
import { limitAnswers } from "./limits_at_parent.ts";
import type { ParentMethods } from "./protocol.ts";

export type ParentAnswers = Omit<ParentMethods, "takeRoom">;

/** The parent's answers to its workers, out of the store and the spools of all. */
export function answersOf(
  { tokens, sessions, owned: { local, store }, accounts, limits, tell }:
    & Pick<Storage, "tokens" | "sessions" | "owned">
    & { readonly accounts: Pick<Batches, "accountFor">; readonly limits: Omit<Limits, "boundsOf">; readonly tell: TellOperator },
): ParentAnswers & Methods {
  return {
    ...limitAnswers(limits),
    tell,
    findToken: (sha256) => tokens.findToken(sha256),
    findTrace: (workspaceId, id) => sessions.findTrace(workspaceId, id),
    findAgent: (asked) => sessions.findAgent(asked),
    findOwnedHere: (ids) => local.findOwned(ids),
    findOwned: (ids) => store.findOwned(ids),
    recordOwned: (owned) => store.recordOwned(owned),
    accountFor: (id) => accounts.accountFor(id).then(() => null, wordsOf),
  };
}
