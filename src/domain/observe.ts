import type { Fault } from "./fault.ts";
import type { Fields } from "./header_fields.ts";
import type { Unpriced, UnpricedUses } from "./price.ts";
import type { Sandbox } from "./sandbox.ts";
import type { Closing, OpenCall } from "./usage.ts";

/** The result of checking a proxy token. `cached` and `grace` did not ask the authority. */
export type LookupOutcome = "cached" | "known" | "unknown" | "grace" | "unavailable";

/** The origin of a call, if a server in front of the proxy names it. */
export interface From {
  readonly clientIp: string | null;
}

/** A billed call's own place in a distributed trace: https://www.w3.org/TR/trace-context/ */
export interface CallSpan {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /**
   * Go upstream in place of the client's `traceparent` and `tracestate`. Null: the client's pass.
   */
  readonly headers: readonly (readonly [name: string, value: string])[] | null;
}

/** A refused request. */
export interface RefusedRequest {
  /** Null: the sandbox is unknown. */
  readonly sandbox: Sandbox | null;
  /** Without query and token, cut. A client chose it. */
  readonly path: string;
  /** The client's name as in its rows. Null: it sent none, or its token. */
  readonly client: string | null;
  readonly clientIp: string | null;
  /** If its answer has another one than the fault, because that stops its client. */
  readonly status?: number;
}

/** What else there is to say of a call that has ended. */
export interface CallEnd {
  /** The time that the proxy itself added. */
  readonly overheadMs: number;
  readonly isRecorded: boolean;
  readonly clientIp?: string | null;
  readonly upstreamUrl: string;
  /** What `callBegan` returned. */
  readonly span: CallSpan | null;
}

/** Logs, metrics and spans. Never throws, and never shows a key or a token. */
export interface Observe {
  /**
   * A billed call starts. `headers` have the client's trace context, unless it holds a token.
   * Null: there are no spans.
   */
  readonly callBegan: (call: OpenCall, headers: Pick<Fields, "get">) => CallSpan | null;
  /** A billed call has ended. If it is not recorded, the log line is all that remains of it. */
  readonly callEnded: (call: OpenCall, closing: Closing, more: CallEnd) => void;
  /** A call has no price: its row says so, and the log once a day and model. */
  readonly unpriced: (requestId: string, cost: Unpriced) => void;
  /**
   * Some uses of a priced call have no price: its row names them, and the log once a day and
   * counter.
   */
  readonly partlyPriced: (requestId: string, used: { readonly model: string | null; readonly uses: UnpricedUses }) => void;
  /** The upstream sent impossible counts: the row has none of them. */
  readonly absurdUsage: (requestId: string, servedModel: string | null) => void;
  /** The proxy refused a request. */
  readonly refused: (requestId: string, fault: Fault, request: RefusedRequest) => void;
  /**
   * A call without a row passed. `route` is one of the proxy's own names, never a client's words.
   */
  readonly passed: (requestId: string, route: string, status: number, from?: From) => void;
  readonly lookedUp: (authority: "agentserver" | "local", outcome: LookupOutcome) => void;
  /** The upstream answered 401: the operator's credential is bad. */
  readonly credentialRefused: (requestId: string, credentialId: string) => void;
  /** An operator should know this. */
  readonly note: (level: "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>) => void;
}
