import { Fault } from "../domain/fault.ts";
import type { RunningCall } from "../domain/running_call.ts";
import { cutClientString } from "../domain/text.ts";
import type { Upstream } from "../domain/upstream.ts";
import type { Caller } from "./authenticate.ts";
import { NOTHING_USED } from "./running.ts";
import { type Stoppable, type StopReason, STOPS } from "./stops.ts";
import type { Belonging } from "./trace.ts";
import type { Deps, IncomingCall } from "./deps.ts";

export interface PendingCallOptions {
  readonly incoming: IncomingCall;
  readonly caller: Caller;
  readonly belonging: Belonging;
  readonly upstream: Upstream;
  /** Empty if the body names none. */
  readonly requestedModel: string;
}

/**
 * A call that is being admitted. It may wait for the upstream or for a place, so it can be listed
 * and stopped like one that runs. `end` it when it is admitted or refused.
 */
export class PendingCall implements Stoppable {
  readonly caller: Caller;
  readonly #options: PendingCallOptions;
  readonly #deps: Deps;
  readonly #controller = new AbortController();
  readonly #leaveTraffic: () => void;
  readonly #drained: () => void;
  #why: StopReason | null = null;

  constructor(options: PendingCallOptions, deps: Deps) {
    const { incoming, caller } = options;
    [this.caller, this.#options, this.#deps] = [caller, options, deps];
    const { draining } = deps.traffic;
    this.#drained = () => this.#controller.abort(draining.reason);
    this.#leaveTraffic = deps.traffic.enter(incoming.requestId, () => {}, this);
    incoming.client.onLeft(() => this.#controller.abort(new Fault("client_left", "The client left before its call was sent.")));
    draining.addEventListener("abort", this.#drained, { once: true });
    if (draining.aborted) this.#drained();
    // Suspended after it was authenticated.
    if (deps.stops.isSuspended(caller.sandbox)) this.stop("suspended");
  }

  /** Aborts with a `Fault` if the call is stopped, its client leaves or the proxy drains. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why it was stopped; null if it was not. */
  get why(): StopReason | null {
    return this.#why;
  }

  /** Throws the `Fault` of its stop. */
  throwIfStopped(): void {
    if (this.#why !== null) throw stopFault(this.#why);
  }

  show(): RunningCall {
    const { incoming, caller: { sandbox }, belonging: { trace, client }, upstream, requestedModel } = this.#options;
    return {
      id: incoming.requestId,
      workspaceId: sandbox.workspaceId,
      sandboxId: sandbox.sandboxId,
      traceId: trace.id,
      route: "messages",
      model: requestedModel || null,
      client: client === null ? null : cutClientString(client),
      provider: upstream.seller,
      upstream: upstream.name,
      createdAt: trace.updatedAt,
      ageMs: Math.round(this.#deps.elapsed() - incoming.arrivedAt),
      status: null,
      worker: null,
      ...NOTHING_USED,
    };
  }

  stop(why: StopReason): void {
    this.#why ??= why;
    this.#controller.abort(stopFault(this.#why));
  }

  end(): void {
    this.#deps.traffic.draining.removeEventListener("abort", this.#drained);
    this.#leaveTraffic();
  }
}

function stopFault(why: StopReason): Fault {
  return new Fault(why, STOPS[why]);
}
