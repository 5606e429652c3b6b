import { Fault, type FaultCode } from "../domain/fault.ts";
import type { Credential, PayingHeaders, Payment, Upstream } from "../domain/upstream.ts";
import { EMPTY_READING, type UsageReading } from "../domain/reading.ts";
import type { RunningCall } from "../domain/running_call.ts";
import type { Outcome } from "../domain/usage.ts";
import { IdleTimeout } from "../wire/idle_timeout.ts";
import type { Caller } from "./authenticate.ts";
import type { OpenRow } from "./record.ts";
import { refusedTo } from "./refusals.ts";
import { runningCall } from "./running.ts";
import { type Stoppable, type StopReason, STOPS } from "./stops.ts";
import { RESTARTING } from "./traffic.ts";
import type { Deps, IncomingCall } from "./deps.ts";

export interface LiveCallOptions {
  readonly incoming: IncomingCall;
  readonly caller: Caller;
  /** What the body says of its user; left out if nothing has read the body. */
  readonly userId?: string | null;
  readonly upstream: Upstream;
  readonly credential: Credential;
  /** Null for a call that is not billed. */
  readonly row: OpenRow | null;
  /**
   * After a client disconnect the answer is read on for so long, milliseconds. 0: the call is
   * cancelled at once.
   */
  readonly readsOnMs: number;
  /** The name of a passthrough route; left out for `messages`. */
  readonly route?: string;
  /** Gives the room of the body back. */
  readonly release?: () => void;
}

/** Why the proxy aborts a call: how its row closes, and the refusal if there is no answer yet. */
const ABORTS = {
  client_left: { outcome: "client_left", code: "client_left", message: "The client left before the answer." },
  upstream_idle: { outcome: "upstream_broke", code: "upstream_timeout", message: "The upstream did not answer in time." },
  drain_over: { outcome: "proxy_cut", code: "draining", message: RESTARTING },
  suspended: { outcome: "stopped", code: "suspended", message: STOPS.suspended },
  unauthenticated: { outcome: "stopped", code: "unauthenticated", message: STOPS.unauthenticated },
  sandbox_inactive: { outcome: "stopped", code: "sandbox_inactive", message: STOPS.sandbox_inactive },
  call_cut: { outcome: "stopped", code: "call_cut", message: STOPS.call_cut },
} as const satisfies
  & Record<string, { readonly outcome: Outcome; readonly code: FaultCode; readonly message: string }>
  & Record<StopReason, unknown>;

/** Once the client has left, these are how the reading on ended: the call had ended before. */
const AFTER_LEFT: readonly Outcome[] = ["completed", "upstream_broke", "proxy_cut"];

/**
 * Owns what lives as long as a call: the abort of its upstream request, the idle timeout, the
 * client's disconnect, the body's room, its place in `Traffic` and its row. `end` is the only exit
 * and frees all of it.
 */
export class LiveCall implements Stoppable {
  readonly incoming: IncomingCall;
  readonly caller: Caller;
  readonly upstream: Upstream;
  readonly credential: Credential;
  readonly row: OpenRow | null;
  readonly route: string;
  readonly deps: Deps;
  /** What has been read of the answer so far. */
  reading: () => UsageReading = () => EMPTY_READING;
  /**
   * Held until the call ends: Deno 2.9.6 forgets a fetch's abort once its response is collected
   * (`findings/fetch_forgets_its_abort.sh`).
   */
  answer: Response | null = null;
  /** The headers that paid for it. */
  paying: PayingHeaders = [];
  readonly #options: LiveCallOptions;
  /** Listens while the upstream is waited for; if it stays silent, the call is aborted. */
  readonly idle: IdleTimeout;
  readonly #controller = new AbortController();
  readonly #leaveTraffic: () => void;
  #hasLeft = false;
  #isSent = false;
  #readingOn: ReturnType<typeof setTimeout> | undefined;
  #ended: Promise<void> | null = null;

  constructor(options: LiveCallOptions, deps: Deps) {
    const { incoming, caller, upstream, credential, row } = options;
    this.#options = options;
    [this.incoming, this.caller, this.row, this.deps] = [incoming, caller, row, deps];
    [this.upstream, this.credential] = [upstream, credential];
    this.route = options.route ?? "messages";
    this.idle = new IdleTimeout({ ms: upstream.idleMs, elapsed: deps.elapsed, onIdle: () => this.#abort("upstream_idle") });
    this.#leaveTraffic = deps.traffic.enter(incoming.requestId, () => this.#abort("drain_over"), this);
    incoming.client.onLeft(() => this.clientLeft());
    this.idle.listen();
    // Suspended after it was authenticated: nothing has been sent yet.
    if (deps.stops.isSuspended(caller.sandbox)) this.stop("suspended");
  }

  get payment(): Payment {
    return this.upstream.paymentOf(this.credential);
  }

  /** Aborts the upstream request. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** True as soon as an outcome has been named, committed or not. */
  get hasEnded(): boolean {
    return this.#ended !== null;
  }

  /** As far as it is known now. */
  show(): RunningCall {
    return runningCall(this);
  }

  /** Breaks the call, unless it has ended. Its row closes as `stopped`; the error type says why. */
  stop(why: StopReason): void {
    if (!this.hasEnded) this.#abort(why);
  }

  /** From here on the upstream may have it. Throws if the call has been aborted. */
  sending(): void {
    this.signal.throwIfAborted();
    this.#isSent = true;
  }

  /**
   * The client has left. An answer that is paid for anyway is read on for a while. What has not
   * been sent costs nothing, and is not sent.
   */
  clientLeft(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    const { readsOnMs } = this.#options;
    if (readsOnMs === 0 || this.hasEnded || !this.#isSent) this.#abort("client_left");
    else this.#readingOn = setTimeout(() => this.#abort("client_left"), readsOnMs);
  }

  /**
   * Ends the call and commits its row. The first outcome counts; later calls return its promise.
   * Rejects with `Fault` `ledger_unavailable`: the client must not see a clean end then.
   */
  end(outcome: Outcome, reading: UsageReading = EMPTY_READING): Promise<void> {
    return this.#ended ??= this.#end(outcome, reading);
  }

  /** Ends the call for an error that came before its answer; resolves to the refusal to send. */
  async fail(error: unknown): Promise<Fault> {
    const { outcome, fault } = this.failureOf(error);
    // If the commit fails, the ledger keeps the row and tries again. A refusal completes nothing.
    await this.end(outcome, { ...EMPTY_READING, errorType: this.#errorTypeOf(fault) }).catch(() => {});
    return this.refusal(fault);
  }

  /** What an error of the upstream request means: the proxy's own abort if there was one. */
  failureOf(error: unknown): { readonly outcome: Outcome; readonly fault: Fault } {
    if (error instanceof Fault) return { outcome: "upstream_error", fault: error };
    if (this.signal.aborted) {
      const { outcome, code, message } = ABORTS[this.signal.reason as keyof typeof ABORTS];
      return { outcome, fault: new Fault(code, message) };
    }
    const message = "The upstream could not be reached, or it hung up before it answered.";
    return { outcome: "upstream_broke", fault: new Fault("upstream_unreachable", message, { cause: error }) };
  }

  /** The error as a refusal that names who asked. */
  refusal(error: unknown): Fault {
    return refusedTo(error, { sandbox: this.caller.sandbox, userId: this.#options.userId });
  }

  async #end(outcome: Outcome, read: UsageReading): Promise<void> {
    const reading = outcome === "stopped" ? { ...read, errorType: this.signal.reason } : read;
    // In a JSON body, and in the last bytes of a compressed one, content shows only at the end.
    if (reading.hasContent) this.row?.contentCame();
    try {
      await this.row?.close(this.#hasLeft && AFTER_LEFT.includes(outcome) ? "client_left" : outcome, reading);
    } catch (error) {
      throw this.refusal(error);
    } finally {
      clearTimeout(this.#readingOn);
      this.idle.end();
      this.#options.release?.();
      this.#leaveTraffic();
    }
  }

  #abort(why: keyof typeof ABORTS): void {
    this.#controller.abort(why);
  }

  #errorTypeOf(fault: Fault): string | null {
    if (fault.code === "client_left") return null;
    return fault.code === "upstream_refused_credential" ? this.incoming.provider.errorTypeOf(401) : fault.code;
  }
}
