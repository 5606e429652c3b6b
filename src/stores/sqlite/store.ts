import { WorkerRpc } from "../../async/worker_rpc.ts";
import { arrivedError, type CarriedError, DatabaseUnavailable } from "../../domain/unavailable.ts";
import { storeVerbs } from "../verbs.ts";
import type { OpenMessage, Verb, Verbs, WorkerMethods } from "./protocol.ts";

/** Everything that the embedded database answers off the hot path. */
export interface SqliteStore extends Verbs {
  /** What was asked before is answered first. */
  readonly close: () => Promise<void>;
}

/**
 * The store in a Worker with its own connection, so that no query blocks the event loop. It answers
 * one question after the other. The schema must be up to date. Rejects if the file cannot be used.
 * If the Worker dies, the next question starts another, unless `whyLost` says that the path names
 * other files now.
 */
export async function openSqliteStore(
  options: OpenMessage,
  whyLost: () => string | null = () => null,
): Promise<SqliteStore> {
  const rpc = new WorkerRpc<WorkerMethods>({
    start({ onReply, onDeath }) {
      const loss = whyLost();
      if (loss !== null) throw new DatabaseUnavailable(loss);
      const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
      worker.onmessage = (event) => onReply(event.data);
      worker.onerror = (event) => {
        event.preventDefault();
        onDeath(new Error(`The store's worker has died: ${event.message}`));
      };
      worker.postMessage(options);
      return { post: (request) => worker.postMessage(request), terminate: () => worker.terminate() };
    },
    arrivedError: (carried) => arrivedError(carried as CarriedError),
  });
  const closed = new Error("The store is closed");
  try {
    await rpc.call("open");
  } catch (error) {
    rpc.close(closed);
    throw error;
  }
  const ask = <V extends Verb>(verb: V) => (...args: Parameters<WorkerMethods[V]>) => rpc.call(verb, ...args);
  let closing: Promise<void> | null = null;
  return {
    ...storeVerbs((verb, args) => rpc.call(verb, ...args as Parameters<Verbs[typeof verb]>)),
    copyInto: ask("copyInto"),
    close: () => closing ??= rpc.finish("close", closed),
  };
}
