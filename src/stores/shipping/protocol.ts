import type { Backlog } from "../../domain/spool.ts";

/** The first message to the Worker. */
export interface StartMessage {
  /** The spool's database. */
  readonly path: string;
  readonly synchronous: "normal" | "full";
  readonly databaseUrl: string;
  /** Of the jitter between tries. */
  readonly seed: number;
}

/** Further messages. After `finish` what waits is shipped once more, as far as the database takes it, and the Worker ends. */
export type FurtherMessage = { readonly rotate: string } | { readonly finish: true };

/** The Worker's words. */
export type ShippingMessage =
  | { readonly state: ShippingState }
  /** Rows that are newly quarantined. */
  | { readonly quarantined: readonly { readonly id: string; readonly workspaceId: string; readonly reason: string }[] }
  | { readonly finished: true };

/** How shipping goes. */
export interface ShippingState extends Backlog {
  /** Why nothing can be shipped at the moment; null where it can. */
  readonly failure: string | null;
  /** Rows that have arrived, and rounds that failed, since the Worker began. */
  readonly shipped: number;
  readonly errors: number;
}
