import type { Observe } from "../../domain/observe.ts";
import type { FurtherMessage, ShippingMessage, ShippingState, StartMessage } from "./protocol.ts";

/** Ships this machine's spool to the shared database, in a Worker of its own. */
export interface Shipping {
  readonly state: () => ShippingState;
  /** The database's URL has changed. */
  readonly rotate: (databaseUrl: string) => void;
  /** Ships what waits, as far as the database takes it, and ends; after `ms` it ends all the same. What is left is shipped after the next start. */
  readonly finish: (ms: number) => Promise<void>;
}

/** A Worker that died is begun anew after so long. */
const RESTART_MS = 1_000;

const NOTHING_YET: ShippingState = { rows: 0, oldestCreatedAt: null, quarantined: 0, failure: null, shipped: 0, errors: 0 };

export function startShipping(options: StartMessage & { readonly observe: Pick<Observe, "note"> }): Shipping {
  return new Link(options);
}

class Link implements Shipping {
  readonly #options: StartMessage & { readonly observe: Pick<Observe, "note"> };
  readonly #finished = Promise.withResolvers<void>();
  #databaseUrl: string;
  #worker: Worker;
  #state = NOTHING_YET;
  /** What earlier Workers counted. */
  #before = { shipped: 0, errors: 0 };
  #restart: ReturnType<typeof setTimeout> | undefined;

  constructor(options: StartMessage & { readonly observe: Pick<Observe, "note"> }) {
    this.#options = options;
    this.#databaseUrl = options.databaseUrl;
    this.#worker = this.#begin();
  }

  state(): ShippingState {
    const { shipped, errors } = this.#before;
    return { ...this.#state, shipped: this.#state.shipped + shipped, errors: this.#state.errors + errors };
  }

  rotate(databaseUrl: string): void {
    this.#databaseUrl = databaseUrl;
    this.#tell({ rotate: databaseUrl });
  }

  async finish(ms: number): Promise<void> {
    clearTimeout(this.#restart);
    const timer = setTimeout(() => this.#finished.resolve(), ms);
    this.#tell({ finish: true });
    await this.#finished.promise;
    clearTimeout(timer);
    this.#worker.terminate();
  }

  #tell(message: FurtherMessage): void {
    this.#worker.postMessage(message);
  }

  #begin(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = (event: MessageEvent<ShippingMessage>) => this.#hear(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#died(event.message);
    };
    const { path, synchronous, seed } = this.#options;
    const start: StartMessage = { path, synchronous, seed, databaseUrl: this.#databaseUrl };
    worker.postMessage(start);
    return worker;
  }

  #hear(message: ShippingMessage): void {
    if ("finished" in message) return this.#finished.resolve();
    if ("state" in message) return this.#take(message.state);
    for (const row of message.quarantined) {
      this.#options.observe.note(
        "error",
        "the shared database refuses a row: it is quarantined and tried again now and then",
        row,
      );
    }
  }

  #take(state: ShippingState): void {
    const earlier = this.#state.failure;
    this.#state = state;
    const { failure, rows } = state;
    if (failure !== null && earlier === null) {
      this.#options.observe.note("error", "the shared database takes nothing: calls go on and are recorded here", {
        failure,
        rows,
      });
    } else if (failure === null && earlier !== null) {
      this.#options.observe.note("info", "the shared database takes what was recorded again", { rows });
    }
  }

  #died(message: string): void {
    this.#options.observe.note("error", "the shipper died and is begun anew", { message });
    this.#worker.terminate();
    this.#before = { shipped: this.#before.shipped + this.#state.shipped, errors: this.#before.errors + this.#state.errors + 1 };
    this.#state = { ...this.#state, shipped: 0, errors: 0, failure: "The shipper died" };
    this.#finished.promise.then(() => clearTimeout(this.#restart));
    this.#restart = setTimeout(() => this.#worker = this.#begin(), RESTART_MS);
  }
}
