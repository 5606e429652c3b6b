import type { Blocking } from "../../async/worker_rpc.ts";
import type { Backlog, SpoolCare, SpoolLookups } from "../../domain/spool.ts";
import type { OpenCall } from "../../domain/usage.ts";
import type { TokenCopies } from "../../domain/tokens.ts";
import type { RowBounds } from "../sqlite/backup.ts";
import type { Synchronous } from "../sqlite/connection.ts";
import type { RecordVerbs } from "../sqlite/records.ts";

/** Where rows go: the embedded database's file, or the shared database. */
export type Destination =
  | { readonly kind: "embedded"; readonly path: string }
  | {
    readonly kind: "shared";
    readonly url: string;
    /** The embedded database that the shared one replaces; null if the directory has none. */
    readonly handOver: string | null;
  };

/** The first message to the Worker; every further one is a request for one of `ShippingMethods`. */
export interface StartMessage {
  /** One for each worker, and those of earlier workers. */
  readonly spools: readonly string[];
  readonly synchronous: Synchronous;
  readonly destination: Destination;
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

/** What the Worker tells by itself, after a round or a poke. */
export interface ShippingNews {
  readonly state: ShippingState;
  /** Rows that were quarantined since the last news. */
  readonly quarantined: readonly { readonly id: string; readonly workspaceId: string; readonly reason: string }[];
}

/** What the Worker answers besides shipping. Record verbs only if it has the embedded database. */
export type LookupMethods = Blocking<SpoolLookups & SpoolCare & TokenCopies> & Partial<Blocking<RecordVerbs>>;

export type ShippingMethods = LookupMethods & {
  /** Resolves when the spools are open. */
  readonly open: () => void;
  /** Something was recorded. */
  readonly poke: () => void;
  /** Resolves when everything that is recorded now is shipped, or cannot be. */
  readonly caughtUp: () => Promise<void>;
  readonly rotate: (databaseUrl: string) => void;
  /**
   * As `copyDatabase` of the embedded database, or as `copySpools`: the open connections still have
   * what the files have lost.
   */
  readonly copyInto: (path: string, openCalls: readonly OpenCall[]) => RowBounds;
  /** Ships what waits, if the database accepts it, and closes everything. */
  readonly finish: () => Promise<void>;
};
