import { LRUCache } from "lru-cache";
import { Fault } from "../../domain/fault.ts";
import type { Ledger } from "../../domain/ledger.ts";
import type { Owned, OwnedRecords, Owners } from "../../domain/owned.ts";
import { within } from "../within.ts";

export interface OwnersNearbyOptions {
  readonly ledger: Pick<Ledger, "claim">;
  /** On this machine. */
  readonly local: Pick<OwnedRecords, "findOwned">;
  /** Where replicas share one: it may be away. */
  readonly shared: Pick<OwnedRecords, "recordOwned" | "findOwned"> | null;
}

/** An owner never changes, so what is known is known for good. */
const MAX_ENTRIES = 10_000;
/** How long a claim waits for the shared database; the shipper brings it there in any case. */
const PATIENCE_MS = 1_000;

/** Owners by what this machine knows, then by what the shared database does. Nobody's ids are asked for each time. */
export function cachedOwners({ ledger, local, shared }: OwnersNearbyOptions): Owners {
  const known = new LRUCache<string, Pick<Owned, "kind" | "workspaceId">>({ max: MAX_ENTRIES });
  const places = shared === null ? [local] : [local, shared];

  return {
    async claim(owned) {
      if (owned.length === 0) return;
      await ledger.claim(owned);
      if (shared !== null) await within(PATIENCE_MS, shared.recordOwned(owned)).catch(() => {});
    },
    async ownersOf(ids) {
      const owners = new Map<string, Pick<Owned, "kind" | "workspaceId">>();
      for (const id of ids) {
        const owner = known.get(id);
        if (owner !== undefined) owners.set(id, owner);
      }
      for (const place of places) {
        const missing = ids.filter((id) => !owners.has(id));
        if (missing.length === 0) break;
        for (const { id, kind, workspaceId } of await place.findOwned(missing).catch(unavailable)) {
          owners.set(id, { kind, workspaceId });
          known.set(id, { kind, workspaceId });
        }
      }
      return owners;
    },
  };
}

/** The message goes to the sandbox, the cause to the log. */
function unavailable(cause: unknown): never {
  throw new Fault("ledger_unavailable", "Whose file or batch this is cannot be found out at the moment.", { cause });
}
