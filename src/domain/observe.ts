import type { Fault } from "./fault.ts";
import type { Unpriced, UnpricedUses } from "./price.ts";
import type { Sandbox } from "./sandbox.ts";
import type { Closing, OpenCall } from "./usage.ts";

/** How a look-up of a proxy token ended; `cached` and `grace` asked nobody. */
export type LookupOutcome = "cached" | "known" | "unknown" | "grace" | "unavailable";

/** Where a call came from, as far as a server in front of the proxy says so. */
export interface From {
  readonly clientIp: string | null;
}

/** What is known of a request that was refused. */
export interface RefusedRequest {
  /** Null: nobody knows who asked. */
  readonly sandbox: Sandbox | null;
  /** Without a query and without a token, cut; it is a client's words. */
  readonly path: string;
  /** The client's name, as in its rows; null: it did not say, or said its token. */
  readonly client: string | null;
  readonly clientIp: string | null;
}

/** How a call looks from outside: logs and metrics. It never throws and never holds a key or a token. */
export interface Observe {
  /**
   * A billed call has ended: one log line, and the metrics of it. `overheadMs` is what the proxy itself added. Where it is
   * not recorded the line is all that there is of it.
   */
  readonly callEnded: (
    call: OpenCall,
    closing: Closing,
    more: { readonly overheadMs: number; readonly isRecorded: boolean; readonly clientIp?: string | null },
  ) => void;
  /** A call has no price: its row says so, and an operator is told once a day and model. */
  readonly unpriced: (requestId: string, cost: Unpriced) => void;
  /** Some uses of a priced call have no price: its row says which, and an operator is told once a day and counter. */
  readonly partlyPriced: (requestId: string, used: { readonly model: string | null; readonly uses: UnpricedUses }) => void;
  /** The upstream named counts that nobody can believe: the row has none of them. */
  readonly absurdUsage: (requestId: string, servedModel: string | null) => void;
  /** We said no. */
  readonly refused: (requestId: string, fault: Fault, request: RefusedRequest) => void;
  /** A call passed that has no row. `route` is one of the proxy's own route names, never a client's words. */
  readonly passed: (requestId: string, route: string, status: number, from?: From) => void;
  readonly lookedUp: (authority: "agentserver" | "local", outcome: LookupOutcome) => void;
  /** The upstream answered 401: the operator's own credential is bad. */
  readonly credentialRefused: (requestId: string, credentialId: string) => void;
  /** Something an operator should know. `fields` are plain data. */
  readonly note: (level: "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>) => void;
}
