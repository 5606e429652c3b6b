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

export interface ShippingOptions extends Omit<StartMessage, "path"> {
  /** The spool's database, for each start of the Worker. Throws if the path names other files. */
  readonly path: () => string;
  readonly observe: Pick<Observe, "note">;
}

/**
 * Resolves when the Worker has the spool open: from then on it ships the rows even if the files
 * lose their names. Never rejects; a Worker that cannot open it is started again.
 */
export async function startShipping({ path, synchronous, seed, databaseUrl, observe }: ShippingOptions): Promise<Shipping> {
  let url = databaseUrl;
  let latest = NOTHING_YET;
  /** Counts of Workers that died. */
  let before = { shipped: 0, errors: 0 };
  const ending = new AbortController();
  const rpc = new WorkerRpc<ShippingMethods>({
    start: ({ onReply, onDeath }) => {
      const start: StartMessage = { path: path(), synchronous, seed, databaseUrl: url };
      const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
      worker.onmessage = (event) => onReply(event.data);
      worker.onerror = (event) => {
        event.preventDefault();
        died(event.message);
        onDeath(new Error(event.message));
      };
      worker.postMessage(start);
      return { post: (request) => worker.postMessage(request), terminate: () => worker.terminate() };
    },
    arrivedError: (carried) => arrivedError(carried as CarriedError),
  });

  /** Resolves to false if the Worker could not answer. */
  function ask(): Promise<boolean> {
    return rpc.call("news").then(take).then(() => true, () => false);
  }

  async function watch(wasAlive: boolean): Promise<void> {
    for (let isAlive = wasAlive; !ending.signal.aborted; isAlive = await ask()) {
      await delay(isAlive ? NEWS_MS : RESTART_MS, ending.signal);
    }
  }

  function take({ state, quarantined }: ShippingNews): void {
    const earlier = latest.failure;
    latest = state;
    const { failure, rows } = state;
    for (const row of quarantined) {
      observe.note("error", "the shared database refused a row; it is quarantined and retried from time to time", row);
    }
    if (failure !== null && earlier === null) {
      observe.note("error", "cannot write to the shared database; calls continue and are spooled locally", { failure, rows });
    } else if (failure === null && earlier !== null) {
      observe.note("info", "the shared database accepts writes again; shipping the spool", { rows });
    }
  }

  function died(message: string): void {
    observe.note("error", "the shipper died and will be restarted", { message });
    before = { shipped: before.shipped + latest.shipped, errors: before.errors + latest.errors + 1 };
    latest = { ...latest, shipped: 0, errors: 0, failure: "The shipper died" };
  }

  void watch(await ask());
  return {
    state: () => ({ ...latest, shipped: latest.shipped + before.shipped, errors: latest.errors + before.errors }),
    rotate(databaseUrl) {
      url = databaseUrl;
      rpc.call("rotate", databaseUrl).catch(() => {});
    },
    async finish(ms) {
      ending.abort();
      await settlesWithin(rpc.call("finish").then(take), ms);
      rpc.close(new Error("Shipping has ended"));
    },
  };
}
