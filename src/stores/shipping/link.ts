import { delay, settlesWithin } from "../../async/deadline.ts";
import { WorkerRpc } from "../../async/worker_rpc.ts";
import type { Observe } from "../../domain/observe.ts";
import { arrivedError, type CarriedError } from "../../domain/unavailable.ts";
import type { ShippingMethods, ShippingNews, ShippingState, StartMessage } from "./protocol.ts";

/** Ships this machine's spool to the shared database, in its own Worker. */
export interface Shipping {
  readonly state: () => ShippingState;
  /** The database's URL has changed. */
  readonly rotate: (databaseUrl: string) => void;
  /** Ships what waits, for at most `ms`, and ends. The next start ships the rest. */
  readonly finish: (ms: number) => Promise<void>;
}

/** How often the Worker is asked for news, for which it counts the backlog. */
const NEWS_MS = 250;
/** A Worker that died is started again after this time. */
const RESTART_MS = 1_000;

const NOTHING_YET: ShippingState = { rows: 0, oldestCreatedAt: null, quarantined: 0, failure: null, shipped: 0, errors: 0 };

export function startShipping(options: StartMessage & { readonly observe: Pick<Observe, "note"> }): Shipping {
  return new Link(options);
}

class Link implements Shipping {
  readonly #note: Observe["note"];
  readonly #rpc: WorkerRpc<ShippingMethods>;
  readonly #ending = new AbortController();
  #databaseUrl: string;
  #state = NOTHING_YET;
  /** Counts of Workers that died. */
  #before = { shipped: 0, errors: 0 };

  constructor({ path, synchronous, seed, databaseUrl, observe }: StartMessage & { readonly observe: Pick<Observe, "note"> }) {
    this.#note = (...note) => observe.note(...note);
    this.#databaseUrl = databaseUrl;
    this.#rpc = new WorkerRpc({
      start: ({ onReply, onDeath }) => {
        const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
        worker.onmessage = (event) => onReply(event.data);
        worker.onerror = (event) => {
          event.preventDefault();
          this.#died(event.message);
          onDeath(new Error(event.message));
        };
        const start: StartMessage = { path, synchronous, seed, databaseUrl: this.#databaseUrl };
        worker.postMessage(start);
        return { post: (request) => worker.postMessage(request), terminate: () => worker.terminate() };
      },
      arrivedError: (carried) => arrivedError(carried as CarriedError),
    });
    void this.#watch();
  }

  state(): ShippingState {
    const { shipped, errors } = this.#before;
    return { ...this.#state, shipped: this.#state.shipped + shipped, errors: this.#state.errors + errors };
  }

  rotate(databaseUrl: string): void {
    this.#databaseUrl = databaseUrl;
    this.#rpc.call("rotate", databaseUrl).catch(() => {});
  }

  async finish(ms: number): Promise<void> {
    this.#ending.abort();
    await settlesWithin(this.#rpc.call("finish").then((news) => this.#take(news)), ms);
    this.#rpc.close(new Error("Shipping has ended"));
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const isAlive = await this.#rpc.call("news").then((news) => this.#take(news)).then(() => true, () => false);
      await delay(isAlive ? NEWS_MS : RESTART_MS, signal);
    }
  }

  #take({ state, quarantined }: ShippingNews): void {
    const earlier = this.#state.failure;
    this.#state = state;
    const { failure, rows } = state;
    for (const row of quarantined) {
      this.#note("error", "the shared database refused a row; it is quarantined and retried from time to time", row);
    }
    if (failure !== null && earlier === null) {
      this.#note("error", "cannot write to the shared database; calls continue and are spooled locally", { failure, rows });
    } else if (failure === null && earlier !== null) {
      this.#note("info", "the shared database accepts writes again; shipping the spool", { rows });
    }
  }

  #died(message: string): void {
    this.#note("error", "the shipper died and will be restarted", { message });
    this.#before = { shipped: this.#before.shipped + this.#state.shipped, errors: this.#before.errors + this.#state.errors + 1 };
    this.#state = { ...this.#state, shipped: 0, errors: 0, failure: "The shipper died" };
  }
}
