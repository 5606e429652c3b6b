import { WorkerRpc } from "../async/worker_rpc.ts";
import type { RepriceStep, RepriceSteps, Span } from "../domain/repricing.ts";
import { arrivedError, type CarriedError } from "../domain/unavailable.ts";
import type { PriceList } from "../pricing/price_list.ts";
import type { Synchronous } from "../stores/sqlite/connection.ts";

/** The database with the rows that totals are computed from. */
export type RowsDatabase =
  | { readonly kind: "embedded"; readonly path: string; readonly synchronous: Synchronous }
  | { readonly kind: "shared"; readonly url: string };

export interface RepriceStart {
  readonly database: RowsDatabase;
  readonly prices: PriceList;
  readonly span: Span;
  readonly isDryRun: boolean;
}

/** The Worker's methods. `next` returns null after the last step. */
export type RepriceMethods = {
  readonly begin: (start: RepriceStart) => void;
  readonly next: () => Promise<RepriceStep | null>;
  readonly close: () => Promise<void>;
};

/** One repricing at a time, in its own Worker: reading, pricing and writing block no event loop. */
export class Repricer {
  readonly #ready: () => Promise<unknown>;
  #running: RepriceSteps | null = null;

  /** `ready` resolves when all rows of before are in the database. */
  constructor(ready: () => Promise<unknown>) {
    this.#ready = ready;
  }

  /**
   * Null while another one runs. It runs from its first step until it completes or fails. A caller
   * that takes no more steps must call `return`. Rejects with the database's error.
   */
  start(start: RepriceStart): RepriceSteps | null {
    if (this.#running !== null) return null;
    this.#running = stepsOf(start, { ready: this.#ready, onEnd: () => this.#running = null });
    return this.#running;
  }

  /** Stops after the current step, and resolves when nothing runs. */
  async end(): Promise<void> {
    await this.#running?.return(undefined);
  }
}

async function* stepsOf(
  start: RepriceStart,
  { ready, onEnd }: { readonly ready: () => Promise<unknown>; readonly onEnd: () => void },
): RepriceSteps {
  const rpc = new WorkerRpc<RepriceMethods>({
    start({ onReply, onDeath }) {
      const worker = new Worker(new URL("./reprice_worker.ts", import.meta.url), { type: "module" });
      worker.onmessage = ({ data }) => onReply(data);
      worker.onerror = (event) => {
        event.preventDefault();
        onDeath(new Error(`Repricing failed: ${event.message}`));
      };
      return { post: (request) => worker.postMessage(request), terminate: () => worker.terminate() };
    },
    arrivedError: (carried) => arrivedError(carried as CarriedError),
  });
  try {
    await ready();
    await rpc.call("begin", start);
    for (let step = await rpc.call("next"); step !== null; step = await rpc.call("next")) yield step;
    return "complete";
  } finally {
    // The Worker closes its own connection: terminating it alone would leave a lock behind.
    await rpc.call("close").catch(() => {});
    rpc.close(new Error("Repricing has ended"));
    onEnd();
  }
}
