import { Fault } from "../domain/fault.ts";

/** The calls that are under way, so that a shutdown can wait for them, and cut them where they take too long. */
export class Traffic {
  readonly #calls = new Set<AbortController>();
  /** What is still to settle, each with the id of the request that it belongs to. */
  readonly #work = new Map<Promise<unknown>, string>();
  #isDraining = false;

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Calls that have been admitted to the proxy and whose last byte or row is still to come. */
  get inFlight(): number {
    return new Set(this.#work.values()).size;
  }

  /** From now on `enter` refuses. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Throws `Fault` `draining` where the proxy is shutting down. */
  assertOpen(): void {
    if (this.#isDraining) throw new Fault("draining", "The proxy is restarting. Ask again in a few seconds.");
  }

  /** A controller by which this call's upstream request is aborted; it is also aborted by `cut`, with `CUT` as its reason. */
  controllerUntil(done: Promise<unknown>, requestId: string): AbortController {
    const controller = new AbortController();
    this.#calls.add(controller);
    const settle = () => void this.#calls.delete(controller);
    done.then(settle, settle);
    this.follow(done, requestId);
    return controller;
  }

  /** Counts the request as under way until the work settles, however it does; one of several works is one call. */
  follow(work: Promise<unknown>, requestId: string): void {
    this.#work.set(work, requestId);
    const settle = () => void this.#work.delete(work);
    work.then(settle, settle);
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled(this.#work.keys());
  }

  /** Breaks every call that is under way. */
  cut(): void {
    for (const controller of this.#calls) controller.abort(CUT);
  }
}

/** Why a call's controller was aborted. */
export const CUT = "the proxy is shutting down";
export const CLIENT_LEFT = "the client left";
