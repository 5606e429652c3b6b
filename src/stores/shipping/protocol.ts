import type { Backlog } from "../../domain/spool.ts";

/** The first message to the Worker; every further one is a request for one of `ShippingMethods`. */
export interface StartMessage {
  /** The spool's database. */
  readonly path: string;
  readonly synchronous: "normal" | "full";
  readonly databaseUrl: string;
  /** For the jitter between retries. */
  readonly seed: number;
}

/** The state of shipping. */
export interface ShippingState extends Backlog {
  /** Why nothing can be shipped at the moment; null if it can. */
  readonly failure: string | null;
  /** Rows that arrived, and rounds that failed, since the Worker started. */
  readonly shipped: number;
  readonly errors: number;
}

export interface ShippingNews {
  readonly state: ShippingState;
  /** Rows that were quarantined since the last answer. */
  readonly quarantined: readonly { readonly id: string; readonly workspaceId: string; readonly reason: string }[];
}

export type ShippingMethods = {
  readonly news: () => ShippingNews;
  readonly rotate: (databaseUrl: string) => void;
  /** Ships what waits, if the database accepts it, and closes everything. */
  readonly finish: () => Promise<ShippingNews>;
};
