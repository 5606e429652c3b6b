import { Fault } from "../domain/fault.ts";

/** What is under way: a call, or the delivery of its answer. */
interface UnderWay {
  readonly requestId: string;
  readonly cut: () => void;
  readonly left: Promise<void>;
}

/** The calls that are under way: a shutdown waits for them, and cuts those that take too long. */
export class Traffic {
  readonly #underWay = new Set<UnderWay>();
  #isDraining = false;

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Requests whose last byte or row is still to come. */
  get inFlight(): number {
    return new Set([...this.#underWay].map(({ requestId }) => requestId)).size;
  }

  /** From now on `assertOpen` refuses. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Throws `Fault` `draining` if the proxy is shutting down. */
  assertOpen(): void {
    if (this.#isDraining) throw new Fault("draining", "The proxy is restarting. Ask again in a few seconds.");
  }

  /** Counts the request as under way until the returned function is called. `cut` breaks it. */
  enter(requestId: string, cut: () => void): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const entry = { requestId, cut, left: promise };
    this.#underWay.add(entry);
    return () => {
      this.#underWay.delete(entry);
      resolve();
    };
  }

  /** Counts the request as under way until the work has settled. */
  follow(work: Promise<unknown>, requestId: string): void {
    const leave = this.enter(requestId, () => {});
    work.then(leave, leave);
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all([...this.#underWay].map(({ left }) => left));
  }

  /** Breaks every call that is under way. */
  cut(): void {
    for (const { cut } of this.#underWay) cut();
  }
}
