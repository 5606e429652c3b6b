import type { OpenCall } from "./usage.ts";

/** What a client makes at the upstream and comes back to by its id. */
export type OwnedKind = "file" | "batch";

/** A file or a batch, and whose it is. Behind one shared key the upstream itself would show it to everybody. */
export interface Owned {
  /** The upstream's, unique over both kinds. */
  readonly id: string;
  readonly kind: OwnedKind;
  readonly workspaceId: string;
  readonly sandboxId: string;
  /** Milliseconds since the epoch, UTC: of a batch the admission of the call that made it. */
  readonly createdAt: number;
  /** Of a batch, what the rows of its lines have of the call that made it; null for a file. */
  readonly call: OpenCall | null;
  /** When a batch is looked at first; null for a file. */
  readonly dueAt: number | null;
}

/** An id that is kept and may stand in a path: what cannot be spelled in two ways. */
export const OWNED_ID = /^[A-Za-z0-9_-]{1,128}$/;

/** Whose files and batches are these? */
export interface Owners {
  /**
   * Resolves when the claims are committed on this machine, and in the shared database too where that answers soon: a client
   * may ask another replica a moment later. Whoever claims an id first keeps it, whatever becomes of the thing itself.
   * Rejects with `Fault` `ledger_unavailable`.
   */
  readonly claim: (owned: readonly Owned[]) => Promise<void>;
  /**
   * By id; nobody owns what is left out. Rejects with `Fault` `ledger_unavailable` where an id is not known here and the shared
   * database cannot be asked.
   */
  readonly ownersOf: (ids: readonly string[]) => Promise<ReadonlyMap<string, Pick<Owned, "kind" | "workspaceId">>>;
}

/** How the accounting of a batch ended: its lines are rows, or its results were gone before they could be read. */
export type BatchOutcome = "counted" | "gone";

/** What a store keeps of files and batches. Every method rejects with the technology's own error. */
export interface OwnedRecords {
  /** Keeps what is not known yet; what is known stays as it is. */
  readonly recordOwned: (owned: readonly Owned[]) => Promise<void>;
  /** `dueAt` is that of now; null where nothing is left to do. */
  readonly findOwned: (ids: readonly string[]) => Promise<readonly Owned[]>;
  /**
   * The batches that are due and have no outcome, the longest due first, and how many have none in all. Those taken are due
   * again only at `until`: of many that ask at once, one gets each, and where it dies, another does later.
   */
  readonly takeBatches: (
    asked: { readonly now: number; readonly until: number; readonly most: number },
  ) => Promise<{ readonly batches: readonly Owned[]; readonly waiting: number }>;
  /** The batch and its outcome; null where there is none of that id. */
  readonly findBatch: (id: string) => Promise<{ readonly batch: Owned; readonly outcome: BatchOutcome | null } | null>;
  /** The batch, where it has no outcome, is due at that time. */
  readonly postponeBatch: (id: string, dueAt: number) => Promise<void>;
  /** The first outcome stays. */
  readonly settleBatch: (id: string, outcome: BatchOutcome) => Promise<void>;
}

export interface Batches {
  /** How long after its admission a batch is looked at first, milliseconds. */
  readonly firstLookMs: number;
  /**
   * Resolves when all that can be known of the batch's usage is recorded, as far as it has ended. Rejects with `Fault`
   * `ledger_unavailable` where that takes too long or fails: what is deleted before cannot be known any more.
   */
  readonly accountFor: (id: string) => Promise<void>;
}

/** For a provider that has no batches: then none is made. */
export const NO_BATCHES: Batches = { firstLookMs: 0, accountFor: () => Promise.resolve() };
