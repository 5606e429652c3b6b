import type { AuditRecords } from "../domain/audit.ts";
import type { LimitRecords } from "../domain/limits.ts";
import type { OwnedRecords } from "../domain/owned.ts";
import type { SessionRecords } from "../domain/sessions.ts";
import type { Store } from "../domain/store.ts";
import type { SuspensionRecords } from "../domain/suspensions.ts";
import type { Revocations, Tokens } from "../domain/tokens.ts";

/** What every store answers. */
export type StoreVerbs =
  & Omit<Store, "close">
  & Tokens
  & AuditRecords
  & Revocations
  & OwnedRecords
  & SessionRecords
  & SuspensionRecords
  & LimitRecords;

const VERBS: Readonly<Record<keyof StoreVerbs, true>> = {
  ...{ recordUsage: true, recordTraces: true, recordRefusals: true, getOrCreateTrace: true, updateTraceActivity: true },
  ...{ queryUsage: true, queryTraces: true, listTraces: true, getTraceDetail: true, queryRefusals: true, queryRuns: true },
  ...{ findTraces: true, getAgents: true, queryCalls: true, getCachedCalls: true, callsAfter: true },
  ...{ dropMonths: true, clock: true, makeReady: true, findTrace: true, findAgent: true },
  ...{ appendAudit: true, listAudit: true },
  ...{ createToken: true, findToken: true, listTokens: true, revokeToken: true, findRevoked: true },
  ...{ suspend: true, resume: true, suspensionsAfter: true },
  ...{ limitsVersion: true, listLimits: true, setLimits: true, reserve: true, usedOf: true },
  ...{ hold: true, settle: true, release: true, renewHolders: true },
  ...{ recordOwned: true, findOwned: true, takeBatches: true, findBatch: true, postponeBatch: true, settleBatch: true },
};

/** All of them, each asked by `askFor`, which has the type that the verb has. */
export function storeVerbs(askFor: (verb: keyof StoreVerbs, args: readonly unknown[]) => Promise<unknown>): StoreVerbs {
  const verbs = Object.keys(VERBS) as (keyof StoreVerbs)[];
  const asks = verbs.map((verb) => [verb, (...args: readonly unknown[]) => askFor(verb, args)]);
  return Object.fromEntries(asks) as unknown as StoreVerbs;
}
