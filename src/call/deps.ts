import type { NewId } from "../domain/ids.ts";
import type { Ledger } from "../domain/ledger.ts";
import type { Observe } from "../domain/observe.ts";
import type { Owners } from "../domain/owned.ts";
import type { PriceOf } from "../domain/price.ts";
import type { Provider } from "../domain/provider.ts";
import type { Upstream } from "../domain/upstream.ts";
import type { Batches } from "../domain/owned.ts";
import type { Sandbox, SandboxOf } from "../domain/sandbox.ts";
import type { ByteBudget } from "../wire/budget.ts";
import type { Fetch } from "../wire/plain_fetch.ts";
import type { Refusals } from "./refusals.ts";
import type { Sessions } from "./sessions.ts";
import type { Traffic } from "./traffic.ts";

/** Everything that a call needs from outside. A test changes one line of it. */
export interface Deps {
  readonly sandboxOf: SandboxOf;
  readonly provider: Provider;
  /** RequestFacts at each call's end, because prices can be read anew. */
  readonly priceOf: PriceOf;
  readonly ledger: Ledger;
  readonly owners: Owners;
  readonly sessions: Sessions;
  readonly batches: Batches;
  readonly observe: Observe;
  readonly refusals: Refusals;
  readonly traffic: Traffic;
  /** To the upstream: HTTP/1.1, pooled, adding no headers. */
  readonly fetch: Fetch;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  /** Milliseconds of a clock that never goes back: for durations. */
  readonly elapsed: () => number;
  readonly newId: NewId;
  /** Names this run of the proxy in its rows. */
  readonly instanceId: string;
  readonly upstream: Upstream;
  readonly budget: ByteBudget;
  readonly limits: Limits;
  /** The header in which a client may name its trace, lower case. */
  readonly traceHeader: string;
  /**
   * The header in which a server in front writes the client's address, lower case; null if none
   * does.
   */
  readonly clientIpHeader: string | null;
}

export interface Limits {
  /** Milliseconds for reading a request's body. */
  readonly bodyDeadlineMs: number;
}

export type ArrivedRequest = Pick<Request, "method" | "headers" | "body" | "signal">;

/** A request as it came in, with the id under which every answer and log line speaks of it. */
export interface IncomingCall {
  readonly requestId: string;
  /** As it was received, but without what was set aside. */
  readonly request: ArrivedRequest;
  /** Credentials of the upstream's own that the client sent where its proxy token belongs: they are kept and shown nowhere. */
  readonly ownCredentials: readonly string[];
  /** Path and query, exactly as they were received and go on. */
  readonly target: string;
  /** `elapsed()` at its arrival. */
  readonly arrivedAt: number;
  /** As the server in front says, for log lines only; null if it says none. */
  readonly clientIp: string | null;
  /** Who calls, as soon as `authenticate` knows: for the refusals' sake. */
  sandbox: Sandbox | null;
  /**
   * `metadata.user_id`, as soon as the body has been read, likewise: some clients are told by it.
   */
  userId?: string | null;
}
