import { LRUCache } from "lru-cache";
import { settlesWithin } from "../../async/deadline.ts";
import { Fault } from "../../domain/fault.ts";
import type { Ledger } from "../../domain/ledger.ts";
import type { OwnedRecords, Owner, Owners } from "../../domain/owned.ts";

/** Where owners are recorded. */
export interface OwnedPlaces {
  /** In the spools of this machine. */
  readonly local: Pick<OwnedRecords, "findOwned">;
  /** It may be down. */
  readonly store: Pick<OwnedRecords, "recordOwned" | "findOwned">;
}

export interface CachedOwnersOptions extends OwnedPlaces {
  readonly ledger: Pick<Ledger, "claim">;
}

/** An owner never changes, so an entry never expires. */
const MAX_ENTRIES = 10_000;
/** How long a claim waits for the store. The shipper takes it there in any case. */
const PATIENCE_MS = 1_000;

/** Owners from the spool, then from the store. Unknown ids are not cached. */
export function cachedOwners({ ledger, local, store }: CachedOwnersOptions): Owners {
  const known = new LRUCache<string, Owner>({ max: MAX_ENTRIES });
  return {
    async claim(owned) {
      if (owned.length === 0) return;
      await ledger.claim(owned);
      await settlesWithin(store.recordOwned(owned), PATIENCE_MS);
    },
    async ownersOf(ids) {
      const owners = new Map<string, Owner>();
      for (const id of ids) {
        const owner = known.get(id);
        if (owner !== undefined) owners.set(id, owner);
      }
      for (const place of [local, store]) {
        const missing = ids.filter((id) => !owners.has(id));
        if (missing.length === 0) break;
        for (const { id, kind, workspaceId, call } of await place.findOwned(missing).catch(unavailable)) {
          const owner = { kind, workspaceId, credentialId: call?.credentialId ?? null };
          owners.set(id, owner);
          known.set(id, owner);
        }
      }
      return owners;
    },
  };
}

/** The message goes to the sandbox, the cause to the log. */
function unavailable(cause: unknown): never {
  throw new Fault("ledger_unavailable", "The owner of this file or batch cannot be looked up at the moment.", { cause });
}
