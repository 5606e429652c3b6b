import type { Actor, AuditStamp } from "./audit.ts";

/** What is suspended: a workspace, or one of its sandboxes. */
export interface SuspensionScope {
  readonly workspaceId: string;
  /** Null: the whole workspace. */
  readonly sandboxId: string | null;
}

/** While it lasts, the scope makes no call. */
export interface Suspension extends SuspensionScope {
  /** Milliseconds since the epoch, UTC. */
  readonly createdAt: number;
  /** For operators; no sandbox sees it. */
  readonly reason: string | null;
}

/** All suspensions, ordered by scope. `change` is the number of the change that made them so. */
export interface SuspensionSet {
  readonly change: number;
  readonly suspensions: readonly Suspension[];
}

/** The suspensions of a store. */
export interface SuspensionRecords {
  /**
   * Resolves when it is committed. If the scope is suspended already, it stays so since then, and
   * the new reason counts.
   */
  readonly suspend: (wanted: Suspension, stamp: AuditStamp) => Promise<Suspension>;
  /** Ends a suspension, and resolves to it when that is committed; null if there was none. */
  readonly resume: (scope: SuspensionScope, stamp: AuditStamp) => Promise<Suspension | null>;
  /** Null if that change is still the latest. -1 is before all changes. */
  readonly suspensionsAfter: (change: number) => Promise<SuspensionSet | null>;
}

/** The administration of suspensions. */
export interface SuspensionAdmin {
  readonly list: () => Promise<readonly Suspension[]>;
  /** Resolves when it is committed and this machine has cut what runs. */
  readonly suspend: (wanted: Omit<Suspension, "createdAt">, by: Actor) => Promise<Suspension>;
  /** As `SuspensionRecords.resume`; this machine serves the scope again then. */
  readonly resume: (scope: SuspensionScope, by: Actor) => Promise<Suspension | null>;
}
