import type { OwnedRecords } from "../domain/owned.ts";
import type { SessionRecords } from "../domain/sessions.ts";
import type { Store } from "../domain/store.ts";
import type { Tokens } from "../domain/tokens.ts";

/** What every store answers. */
export type StoreVerbs = Omit<Store, "close"> & Tokens & OwnedRecords & SessionRecords;

/** All verbs, asked by one function. */
export function storeVerbs(askFor: (verb: keyof StoreVerbs, args: readonly unknown[]) => Promise<unknown>): StoreVerbs {
  // The types tie arguments and answer to the verb, but not through `askFor`.
  const ask = <V extends keyof StoreVerbs>(verb: V) => ((...args: readonly unknown[]) => askFor(verb, args)) as StoreVerbs[V];
  return {
    recordUsage: ask("recordUsage"),
    recordTraces: ask("recordTraces"),
    recordRefusals: ask("recordRefusals"),
    getOrCreateTrace: ask("getOrCreateTrace"),
    updateTraceActivity: ask("updateTraceActivity"),
    queryUsage: ask("queryUsage"),
    queryTraces: ask("queryTraces"),
    getTraceDetail: ask("getTraceDetail"),
    getCachedCalls: ask("getCachedCalls"),
    queryRefusals: ask("queryRefusals"),
    dropMonths: ask("dropMonths"),
    clock: ask("clock"),
    makeReady: ask("makeReady"),
    createToken: ask("createToken"),
    findToken: ask("findToken"),
    listTokens: ask("listTokens"),
    revokeToken: ask("revokeToken"),
    recordOwned: ask("recordOwned"),
    findOwned: ask("findOwned"),
    takeBatches: ask("takeBatches"),
    findBatch: ask("findBatch"),
    postponeBatch: ask("postponeBatch"),
    settleBatch: ask("settleBatch"),
    findTrace: ask("findTrace"),
    findAgent: ask("findAgent"),
  };
}
