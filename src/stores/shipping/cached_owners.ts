import { LRUCache } from "lru-cache";
import { settlesWithin } from "../../async/deadline.ts";
import { Fault } from "../../domain/fault.ts";
import type { Ledger } from "../../domain/ledger.ts";
import type { Owned, OwnedRecords, Owner, Owners } from "../../domain/owned.ts";

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
const MAX_ENTRIES = 50_000;
/** How long a claim waits for the store. The shipper takes it there in any case. */
const PATIENCE_MS = 1_000;
/** The same while the store is down: calls do not wait for it. */
const PATIENCE_WHILE_DOWN_MS = 20;

/** Owners from the spool, then from the store. Unknown ids are not cached. */
export function cachedOwners({ ledger, local, store }: CachedOwnersOptions): Owners {
  const known = new LRUCache<string, Owner>({ max: MAX_ENTRIES });
  /** The store failed or was late when it was asked last. */
  let isDown = false;

  /** The store's answer; undefined if it fails or does not come soon. */
  async function soon<T>(asked: Promise<T>): Promise<T | undefined> {
    const answer = asked.then((value) => ({ value }), () => null);
    const noticed = settlesWithin(answer, PATIENCE_MS).then(async (isInTime) => isDown = !isInTime || await answer === null);
    const isSoon = await settlesWithin(noticed, isDown ? PATIENCE_WHILE_DOWN_MS : 2 * PATIENCE_MS);
    return isSoon && !isDown ? (await answer)?.value : undefined;
  }

  return {
    async claim(owned) {
      if (owned.length === 0) return;
      await ledger.claim(owned);
      await soon(store.recordOwned(owned));
    },
    async ownersOf(ids, { mayMiss = false } = {}) {
      const owners = new Map<string, Owner>();
      const learn = (found: readonly Owned[]) => {
        for (const { id, kind, workspaceId, call } of found) {
          const owner = { kind, workspaceId, credentialId: call?.credentialId ?? null, traceId: call?.traceId ?? null };
          owners.set(id, owner);
          known.set(id, owner);
        }
      };
      for (const id of ids) {
        const owner = known.get(id);
        if (owner !== undefined) owners.set(id, owner);
      }
      const missing = () => ids.filter((id) => !owners.has(id));
      if (missing().length > 0) learn(await local.findOwned(missing()).catch(unavailable));
      if (missing().length === 0) return owners;
      const asked = store.findOwned(missing());
      learn(mayMiss ? await soon(asked) ?? [] : await asked.catch(unavailable));
      return owners;
    },
  };
}

/** The message goes to the sandbox, the cause to the log. */
function unavailable(cause: unknown): never {
  throw new Fault("ledger_unavailable", "The owner of this id cannot be looked up at the moment.", { cause });
}
