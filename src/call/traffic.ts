import { Fault } from "../domain/fault.ts";
import type { Stoppable } from "./stops.ts";

/** To a sandbox whose call is refused or cut by a shutdown. */
export const RESTARTING = "The proxy is restarting. Ask again in a few seconds.";

/** What is in flight: a call, or the delivery of its answer. */
interface InFlight {
  readonly requestId: string;
  readonly cut: () => void;
  readonly left: Promise<void>;
  /** Null for what is only delivered or followed. */
  readonly call: Stoppable | null;
}

/** The calls in flight: a shutdown waits for them, and cuts those that take too long. */
export class Traffic {
  readonly #inFlight = new Set<InFlight>();
  readonly #draining = new AbortController();

  get isDraining(): boolean {
    return this.draining.aborted;
  }

  /** Aborts when the proxy begins to drain, with the refusal as its reason. */
  get draining(): AbortSignal {
    return this.#draining.signal;
  }

  /** Requests whose last byte or row is still to come. */
  get inFlight(): number {
    return new Set([...this.#inFlight].map(({ requestId }) => requestId)).size;
  }

  /** From now on `assertOpen` refuses. */
  drain(): void {
    this.#draining.abort(new Fault("draining", RESTARTING));
  }

  /** Throws `Fault` `draining` if the proxy is shutting down. */
  assertOpen(): void {
    this.draining.throwIfAborted();
  }

  /** The calls that run, in the order in which they entered. */
  calls(): readonly Stoppable[] {
    return [...this.#inFlight].flatMap(({ call }) => call ?? []);
  }

  /**
   * Counts the request as in flight until the returned function is called. `cut` breaks it. `call`
   * is the call that it is, if that can be stopped by itself.
   */
  enter(requestId: string, cut: () => void, call: Stoppable | null = null): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const entry = { requestId, cut, left: promise, call };
    this.#inFlight.add(entry);
    return () => {
      this.#inFlight.delete(entry);
      resolve();
    };
  }

  /** Counts the request as in flight until the work has settled. */
  follow(work: Promise<unknown>, requestId: string): void {
    const leave = this.enter(requestId, () => {});
    work.then(leave, leave);
  }

  /** Resolves when nothing is in flight. */
  async idle(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all([...this.#inFlight].map(({ left }) => left));
  }

  /** Breaks every call in flight. */
  cut(): void {
    for (const { cut } of this.#inFlight) cut();
  }
}
