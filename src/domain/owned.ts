import type { OpenCall } from "./usage.ts";

/** An `item` is part of a response or a conversation, such as a message, and can be referred to. */
export type OwnedKind = "file" | "batch" | "response" | "conversation" | "vector_store" | "container" | "item";

/**
 * What the upstream keeps for a workspace, and its owner. All callers share one key, so the
 * upstream would show it to everyone.
 */
export interface Owned {
  /** The upstream's id, unique over all kinds. */
  readonly id: string;
  readonly kind: OwnedKind;
  readonly workspaceId: string;
  readonly sandboxId: string;
  /** Milliseconds since the epoch, UTC. For a batch, the admission of the call that made it. */
  readonly createdAt: number;
  /**
   * The call that made it. The rows of a batch's lines copy it. Null for a file of an earlier
   * version of the proxy.
   */
  readonly call: OpenCall | null;
  /** When to look at a batch or a pending response first; null: never. */
  readonly dueAt: number | null;
}

export interface Owner extends Pick<Owned, "kind" | "workspaceId"> {
  /** The account behind that credential holds it; null if that is unknown. */
  readonly credentialId: string | null;
  /** The trace of the call that made it; null as for `Owned.call`. */
  readonly traceId: string | null;
}

/** An id that is kept and may be in a path: it has only one spelling. */
export const OWNED_ID = /^[A-Za-z0-9_-]{1,128}$/;

export interface Owners {
  /**
   * Resolves when the claims are committed on this machine, and in the shared database too if that
   * answers soon: a client may ask another replica a moment later. The first claim of an id stays,
   * even after the file or batch is deleted. Rejects with `Fault` `ledger_unavailable`.
   */
  readonly claim: (owned: readonly Owned[]) => Promise<void>;
  /**
   * By id; an id without an owner is left out. Rejects with `Fault` `ledger_unavailable` if an id
   * is unknown here and the shared database cannot be asked. `mayMiss`: the id is left out then,
   * and a database that is down is not waited for.
   */
  readonly ownersOf: (
    ids: readonly string[],
    options?: { readonly mayMiss?: boolean },
  ) => Promise<ReadonlyMap<string, Owner>>;
}

/**
 * How the accounting of a batch ended: its lines are rows, or its results were gone before it read
 * them.
 */
export type BatchOutcome = "counted" | "gone";

/** A store's records of files and batches. Every method rejects with the technology's own error. */
export interface OwnedRecords {
  /** A record that is there stays as it is. */
  readonly recordOwned: (owned: readonly Owned[]) => Promise<void>;
  /** `dueAt` is the present one; null if nothing is left to do. */
  readonly findOwned: (ids: readonly string[]) => Promise<readonly Owned[]>;
  /**
   * The due batches without an outcome, the longest due first, and the number of all batches
   * without one. Those taken are due again only at `until`: if many replicas ask, each batch goes
   * to one of them. If that replica dies, another takes the batch later.
   */
  readonly takeBatches: (
    asked: { readonly now: number; readonly until: number; readonly most: number },
  ) => Promise<{ readonly batches: readonly Owned[]; readonly waiting: number }>;
  /** Of a batch or a response; null if the id is unknown. */
  readonly findBatch: (id: string) => Promise<{ readonly batch: Owned; readonly outcome: BatchOutcome | null } | null>;
  /** If the batch has no outcome, it becomes due at that time. */
  readonly postponeBatch: (id: string, dueAt: number) => Promise<void>;
  /** The first outcome stays. */
  readonly settleBatch: (id: string, outcome: BatchOutcome) => Promise<void>;
}

export interface Batches {
  /** Milliseconds from the admission of a batch to the first look at it. */
  readonly firstLookMs: number;
  /**
   * Resolves when all usage of the batch so far is recorded. Rejects with `Fault`
   * `ledger_unavailable` if that fails or takes too long: after a deletion the usage cannot be read
   * any more.
   */
  readonly accountFor: (id: string) => Promise<void>;
}

/** For a provider that has no batches: then none is made. */
export const NO_BATCHES: Batches = { firstLookMs: 0, accountFor: () => Promise.resolve() };
