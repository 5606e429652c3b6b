import { WorkerRpc } from "../../async/worker_rpc.ts";
import { arrivedError, type CarriedError, DatabaseUnavailable } from "../../domain/unavailable.ts";
import { storeVerbs } from "../verbs.ts";
import type { OpenMessage, Verbs, WorkerMethods } from "./protocol.ts";

/** Everything that the embedded database answers off the hot path. */
export interface SqliteStore extends Verbs {
  /** Starts the Worker, if no question has. Rejects if the database cannot be used. */
  readonly open: () => Promise<void>;
  /** What was asked before is answered first. */
  readonly close: () => Promise<void>;
}

/**
 * The store in a Worker with its own connection, so that no query blocks the event loop. It answers
 * one question after the other. The schema must be up to date; a file that cannot be used fails
 * each question. If the Worker dies, the next question starts another, unless `whyLost` says that
 * the path names other files now.
 */
export function sqliteStore(options: OpenMessage, whyLost: () => string | null = () => null): SqliteStore {
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
  let closing: Promise<void> | null = null;
  return {
    ...storeVerbs((verb, args) => rpc.call(verb, ...args as Parameters<Verbs[typeof verb]>)),
    open: () => rpc.call("open"),
    close: () => closing ??= rpc.finish("close", closed),
  };
}

/** As `sqliteStore`, with the database open. Rejects if it cannot be used. */
export async function openSqliteStore(...asked: Parameters<typeof sqliteStore>): Promise<SqliteStore> {
  const store = sqliteStore(...asked);
  try {
    await store.open();
    return store;
  } catch (error) {
    await store.close().catch(() => {});
    throw error;
  }
}
