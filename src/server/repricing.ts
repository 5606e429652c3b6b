import type { RepriceStep, RepriceSteps, Span } from "../domain/repricing.ts";
import { arrivedError, type CarriedError } from "../domain/unavailable.ts";
import type { ProviderName } from "../config/config.ts";
import type { PriceList } from "../pricing/price_list.ts";
import type { Synchronous } from "../stores/sqlite/connection.ts";

/** Where the rows are that totals are asked of. */
export type RowsDatabase =
  | { readonly kind: "embedded"; readonly path: string; readonly synchronous: Synchronous }
  | { readonly kind: "shared"; readonly url: string };

/** The first message to the Worker. */
export interface RepriceStart {
  readonly database: RowsDatabase;
  /** A name of `providers/providers.ts`. */
  readonly provider: ProviderName;
  readonly prices: PriceList;
  readonly span: Span;
  readonly isDryRun: boolean;
}

/** Each further message is answered with one reply; after `close` nothing is asked. */
export type RepriceMessage = "next" | "close";
export type RepriceReply = { readonly step: RepriceStep | null } | { readonly failure: CarriedError };

/** One repricing at a time, in a Worker of its own: reading, pricing and writing are off the event loop. */
export class Repricer {
  #running: RepriceSteps | null = null;

  /**
   * Null while another one runs. It runs from its first step until it is complete, or fails, or `return` is called, which whoever
   * takes no more steps has to do. Rejects with the database's error.
   */
  start(start: RepriceStart): RepriceSteps | null {
    if (this.#running !== null) return null;
    this.#running = stepsOf(start, { onEnd: () => this.#running = null });
    return this.#running;
  }

  /** Resolves when none runs any more; what runs ends with its step. */
  async end(): Promise<void> {
    await this.#running?.return(undefined);
  }
}

async function* stepsOf(start: RepriceStart, { onEnd }: { readonly onEnd: () => void }): RepriceSteps {
  const link = new WorkerLink(start);
  try {
    for (let step = await link.ask("next"); step !== null; step = await link.ask("next")) yield step;
    return "complete";
  } finally {
    await link.end();
    onEnd();
  }
}

class WorkerLink {
  readonly #worker = new Worker(new URL("./reprice_worker.ts", import.meta.url), { type: "module" });
  #asked: PromiseWithResolvers<RepriceStep | null> | null = null;
  #hasDied = false;

  constructor(start: RepriceStart) {
    this.#worker.onmessage = ({ data }: MessageEvent<RepriceReply>) => {
      const asked = this.#asked;
      if ("step" in data) asked?.resolve(data.step);
      else asked?.reject(arrivedError(data.failure));
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#hasDied = true;
      this.#asked?.reject(new Error(`Repricing failed: ${event.message}`));
    };
    this.#worker.postMessage(start);
  }

  ask(message: RepriceMessage): Promise<RepriceStep | null> {
    if (this.#hasDied) return Promise.reject(new Error("Repricing failed: its worker has died"));
    this.#asked = Promise.withResolvers();
    this.#worker.postMessage(message);
    return this.#asked.promise;
  }

  /** The connection is closed by its own thread: a lock that it held would stay behind. */
  async end(): Promise<void> {
    await this.ask("close").catch(() => {});
    this.#worker.terminate();
  }
}
