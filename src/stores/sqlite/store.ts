import { arrivedError, DatabaseUnavailable } from "../../domain/unavailable.ts";
import { storeVerbs } from "../verbs.ts";
import type { AskMessage, OpenMessage, Reply, Verb, Verbs } from "./protocol.ts";

/** Everything that the embedded database answers off the hot path. */
export interface SqliteStore extends Verbs {
  readonly close: () => Promise<void>;
}

/** The Worker looks at the write-ahead log so often: the shorter, the less there is to fsync at once (bench/ledger_bench.ts). */
export const CHECKPOINT_MS = 250;

/**
 * The store on a Worker with a connection of its own: however long a query takes, the event loop goes on. Questions are
 * answered one after the other. The schema must be up to date. Rejects with SQLite's error where the file cannot be used.
 * A Worker that died is begun again, unless `whyLost` says that the path names other files now.
 */
export async function openSqliteStore(
  options: OpenMessage,
  whyLost: () => string | null = () => null,
): Promise<SqliteStore> {
  const link = new WorkerLink(options, whyLost);
  await link.start();
  const ask = <V extends Verb>(verb: V) => (...args: Parameters<Verbs[V]>) => link.ask(verb, args);
  return {
    ...storeVerbs((verb, args) => link.ask(verb, args as Parameters<Verbs[typeof verb]>)),
    prune: ask("prune"),
    pruneTokens: ask("pruneTokens"),
    handOver: ask("handOver"),
    reship: ask("reship"),
    copyInto: ask("copyInto"),
    keepTokenCopy: ask("keepTokenCopy"),
    findTokenCopy: ask("findTokenCopy"),
    revokeTokenCopy: ask("revokeTokenCopy"),
    close: () => link.close(),
  };
}

interface Asked {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Questions to one Worker; where it dies, what was asked of it fails and the next question starts another. */
class WorkerLink {
  readonly #options: OpenMessage;
  readonly #whyLost: () => string | null;
  readonly #asked = new Map<number, Asked>();
  #worker: Worker | null = null;
  #lastAsk = 0;
  #closing: Promise<void> | null = null;

  constructor(options: OpenMessage, whyLost: () => string | null) {
    this.#options = options;
    this.#whyLost = whyLost;
  }

  /** Resolves when the Worker has the database open. */
  async start(): Promise<void> {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = (event: MessageEvent<Reply>) => this.#take(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#drop(new Error(`The store's worker has died: ${event.message}`));
    };
    this.#worker = worker;
    try {
      await this.#send(0, { worker, message: this.#options });
    } catch (error) {
      this.#drop(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  async ask<V extends Verb>(verb: V, args: Parameters<Verbs[V]>): Promise<Awaited<ReturnType<Verbs[V]>>> {
    if (this.#closing !== null) throw new Error("The store is closed");
    if (this.#worker === null) {
      const loss = this.#whyLost();
      if (loss !== null) throw new DatabaseUnavailable(loss);
      // Not awaited: the Worker opens the database before it takes its next message.
      this.start().catch(() => {});
    }
    const ask = ++this.#lastAsk;
    const message: AskMessage = { ask, verb, args };
    return await this.#send(ask, { worker: this.#worker!, message }) as Awaited<ReturnType<Verbs[V]>>;
  }

  /** What was asked before is answered first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const worker = this.#worker;
    if (worker === null) return;
    const ask = ++this.#lastAsk;
    const message: AskMessage = { ask, verb: "close" };
    try {
      await this.#send(ask, { worker, message });
    } finally {
      this.#drop(new Error("The store is closed"));
    }
  }

  #send(ask: number, to: { readonly worker: Worker; readonly message: OpenMessage | AskMessage }): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#asked.set(ask, { resolve, reject });
      to.worker.postMessage(to.message);
    });
  }

  #take(reply: Reply): void {
    const asked = this.#asked.get(reply.ask);
    this.#asked.delete(reply.ask);
    if ("value" in reply) asked?.resolve(reply.value);
    else asked?.reject(arrivedError(reply.error));
  }

  #drop(reason: Error): void {
    this.#worker?.terminate();
    this.#worker = null;
    for (const asked of [...this.#asked.values()]) asked.reject(reason);
    this.#asked.clear();
  }
}
