import type { NewId } from "../domain/ids.ts";
import type { Ledger } from "../domain/ledger.ts";
import type { Estimates, Limits, Loops } from "../domain/limits.ts";
import type { Observe } from "../domain/observe.ts";
import type { Batches, Owners } from "../domain/owned.ts";
import type { PriceOf } from "../domain/price.ts";
import type { Client } from "../domain/client.ts";
import type { CallDialect, Provider } from "../domain/provider.ts";
import type { Upstreams } from "../domain/upstream.ts";
import type { SandboxOf } from "../domain/sandbox.ts";
import type { Fields } from "../domain/header_fields.ts";
import type { AnswerSink } from "../domain/answer_sink.ts";
import type { Budget } from "../wire/budget.ts";
import type { Fetch } from "../wire/plain_fetch.ts";
import type { Refusals } from "./refusals.ts";
import type { Sessions } from "./sessions.ts";
import type { Stops } from "./stops.ts";
import type { Traffic } from "./traffic.ts";

/** Everything that a call needs from outside. A test changes one line of it. */
export interface Deps {
  readonly sandboxOf: SandboxOf;
  readonly upstreams: Upstreams;
  /** The agents that are told apart; the first that fits is the client's. */
  readonly clients: readonly Client[];
  /** Looked up at each call's end, because the price list can change. */
  readonly priceOf: PriceOf;
  readonly ledger: Ledger;
  readonly owners: Owners;
  readonly sessions: Sessions;
  readonly batches: Batches;
  readonly observe: Observe;
  readonly refusals: Refusals;
  readonly traffic: Traffic;
  readonly stops: Stops;
  /** To the upstream: HTTP/1.1, pooled, adding no headers. */
  readonly fetch: Fetch;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  /** Milliseconds of a clock that never goes back: for durations. */
  readonly elapsed: () => number;
  readonly newId: NewId;
  /** Names this run of the proxy in its rows. */
  readonly instanceId: string;
  readonly budget: Budget;
  /** Milliseconds for reading a request's body. */
  readonly bodyDeadlineMs: number;
  readonly limits: Limits;
  readonly estimates: Estimates;
  readonly loops: Loops;
  /** What becomes of a call of a model without a price if a limit of cost applies to it. */
  readonly unpriced: "refuse" | "serve";
  /** What a client gets of a stream that breaks: the break alone, or first an error event. */
  readonly brokenStream: "reset" | "event";
  /** The header in which a client may name its trace, lower case. */
  readonly traceHeader: string;
  /** The header with the client's address, which a server in front writes; lower case. */
  readonly clientIpHeader: string | null;
}

export interface ArrivedRequest extends Pick<Request, "method" | "body"> {
  readonly headers: Fields;
}

/** A billed call as it came in. */
export interface IncomingBilled extends IncomingCall {
  readonly dialect: CallDialect;
}

/** A request as it came in. */
export interface IncomingCall {
  /** Names the call in every answer, row and log line. */
  readonly requestId: string;
  /** As it was received, but without `ownCredentials`. */
  readonly request: ArrivedRequest;
  /** Takes the answer. */
  readonly client: AnswerSink;
  /** The upstream's own credentials that the client sent too: never kept, shown or sent. */
  readonly ownCredentials: readonly string[];
  /** The dialect that the client speaks. */
  readonly provider: Provider;
  /** Path and query, as they were received behind the dialect's prefix. They go upstream so. */
  readonly target: string;
  /** `elapsed()` at its arrival. */
  readonly arrivedAt: number;
  /** As a server in front names it, for log lines only; null if none does. */
  readonly clientIp: string | null;
}
