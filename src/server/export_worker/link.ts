import { Worker } from "node:worker_threads";
import { arrivedError } from "../../domain/unavailable.ts";
import type { TakeoutMessage, TakeoutReply, TakeoutVerbs } from "./protocol.ts";

/** Without them a Worker's garbage grows to 100 MB and more before it is collected. One that needs more dies alone. */
const HEAP = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 40 };

interface Asked {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The Worker that takes data out. It is begun with the proxy and lives as long: beginning one holds the event loop for 100 ms.
 * Where it dies, what was asked of it fails, and the next question begins another.
 */
export class TakeoutLink {
  readonly #asked = new Map<number, Asked>();
  #worker: Worker | null;
  #lastAsk = 0;

  constructor() {
    this.#worker = this.#begin();
  }

  ask<V extends keyof TakeoutVerbs>(verb: V, ...args: Parameters<TakeoutVerbs[V]>): ReturnType<TakeoutVerbs[V]> {
    const ask = ++this.#lastAsk;
    const message: TakeoutMessage = { ask, verb, args };
    const answered = new Promise<unknown>((resolve, reject) => {
      this.#asked.set(ask, { resolve, reject });
      this.#worker ??= this.#begin();
      this.#worker.postMessage(message);
    });
    return answered as ReturnType<TakeoutVerbs[V]>;
  }

  /** What is under way fails. Not waited for: a database that is being copied cannot be interrupted. */
  end(): void {
    void this.#worker?.terminate();
    this.#died(new Error("The proxy is shutting down"));
  }

  #begin(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { resourceLimits: HEAP });
    worker.on("message", (reply: TakeoutReply) => {
      const asked = this.#asked.get(reply.ask);
      this.#asked.delete(reply.ask);
      if ("value" in reply) asked?.resolve(reply.value);
      else asked?.reject(arrivedError(reply.failure));
    });
    worker.on("error", (error: Error) => this.#died(new Error(`The worker that takes data out has died: ${error.message}`)));
    return worker;
  }

  #died(reason: Error): void {
    this.#worker = null;
    for (const { reject } of this.#asked.values()) reject(reason);
    this.#asked.clear();
  }
}
