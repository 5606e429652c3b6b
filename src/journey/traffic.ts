import { Fault } from "../domain/fault.ts";

/** The calls that are under way, so that a shutdown can wait for them, and cut them where they take too long. */
export class Traffic {
  readonly #calls = new Set<AbortController>();
  readonly #work = new Set<Promise<unknown>>();
  #isDraining = false;

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Calls that have been admitted to the proxy and whose last byte or row is still to come. */
  get inFlight(): number {
    return this.#work.size;
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
  controllerUntil(done: Promise<unknown>): AbortController {
    const controller = new AbortController();
    this.#calls.add(controller);
    this.follow(done, () => this.#calls.delete(controller));
    return controller;
  }

  /** Counts the work as under way until it settles, however it does. */
  follow(work: Promise<unknown>, then?: () => void): void {
    this.#work.add(work);
    const settle = () => {
      this.#work.delete(work);
      then?.();
    };
    work.then(settle, settle);
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled(this.#work);
  }

  /** Breaks every call that is under way. */
  cut(): void {
    for (const controller of this.#calls) controller.abort(CUT);
  }
}

/** Why a call's controller was aborted. */
export const CUT = "the proxy is shutting down";
export const CLIENT_LEFT = "the client left";
export const SILENT = "the upstream was silent for too long";
