import { settlesWithin } from "../../async/deadline.ts";
import { type Methods, WorkerRpc } from "../../async/worker_rpc.ts";
import type { Observe } from "../../domain/observe.ts";
import type { SpoolCare, SpoolLookups } from "../../domain/spool.ts";
import type { TokenCopies } from "../../domain/tokens.ts";
import type { OpenCall } from "../../domain/usage.ts";
import { arrivedError, type CarriedError } from "../../domain/unavailable.ts";
import type { RowBounds } from "../sqlite/backup.ts";
import type { RecordVerbs } from "../sqlite/records.ts";
import type { Destination, ShippingMethods, ShippingNews, ShippingState, StartMessage } from "./protocol.ts";

/**
 * Ships this machine's spools to their store, in a Worker. It also answers lookups in the spools,
 * and in the embedded database: those must not wait for a long query. With a shared database the
 * record verbs reject.
 */
export interface Shipping extends SpoolLookups, SpoolCare, TokenCopies, RecordVerbs {
  readonly state: () => ShippingState;
  /** Something was recorded. */
  readonly poke: () => void;
  /**
   * Resolves when what was recorded before is in the store, when that fails, or after `ms`: true if
   * it is there. Never rejects.
   */
  readonly caughtUp: (ms: number) => Promise<boolean>;
  /** The shared database's URL has changed. */
  readonly rotate: (databaseUrl: string) => void;
  /** As `ShippingMethods.copyInto`. */
  readonly copyInto: (path: string, openCalls: readonly OpenCall[]) => Promise<RowBounds>;
  /** Ships what waits, for at most `ms`, and ends. The next start ships the rest. */
  readonly finish: (ms: number) => Promise<void>;
}

type Lookup = keyof (SpoolLookups & SpoolCare & TokenCopies & RecordVerbs);

const LOOKUPS: readonly Lookup[] = [
  ...["findOwnedHere", "findTraceHere", "openCalls", "prune", "pruneTokens", "reship"] as const,
  ...["keepTokenCopy", "findTokenCopy", "revokeTokenCopy"] as const,
  ...["createToken", "findToken", "listTokens", "revokeToken", "findRevoked", "findTrace", "findAgent"] as const,
  ...["suspend", "resume", "suspensionsAfter"] as const,
  ...["recordOwned", "findOwned", "takeBatches", "findBatch", "postponeBatch", "settleBatch"] as const,
  ...["limitsVersion", "listLimits", "setLimits", "reserve", "usedOf", "hold", "settle", "release", "renewHolders"] as const,
];

/** How long the shipper may lag behind a commit: the longer, the larger and cheaper its batches. */
const POKE_MS = 100;
/** A Worker that died is started again after this time. */
const RESTART_MS = 1_000;

const NOTHING_YET: ShippingState = { rows: 0, oldestCreatedAt: null, quarantined: 0, failure: null, shipped: 0, errors: 0 };

export interface ShippingOptions extends Omit<StartMessage, "spools"> {
  /** By `shippingThread`. */
  readonly thread: Worker;
  /** For each start of the Worker. Throws if the paths name other files now. */
  readonly spools: () => readonly string[];
  readonly observe: Pick<Observe, "note">;
}

/** Starts the shipper's Worker: it loads its program while the databases are made ready. */
export function shippingThread(): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
}

/**
 * Resolves when the Worker has the spools open: from then on it ships the rows even if the files
 * lose their names. Rejects if it cannot open them.
 */
export async function startShipping(
  { thread, spools, synchronous, seed, destination: first, observe }: ShippingOptions,
): Promise<Shipping> {
  let next: Worker | null = thread;
  let destination: Destination = first;
  let latest = NOTHING_YET;
  /** Counts of Workers that died. */
  let before = { shipped: 0, errors: 0 };
  let poking: ReturnType<typeof setTimeout> | undefined;
  let restarting: ReturnType<typeof setTimeout> | undefined;
  let hasEnded = false;
  const rpc = new WorkerRpc<ShippingMethods>({
    start: ({ onReply, onDeath }) => {
      const start: StartMessage = { spools: spools(), synchronous, seed, destination };
      const worker = next ?? shippingThread();
      next = null;
      worker.onmessage = ({ data }) => "news" in data ? take(data.news) : onReply(data);
      worker.onerror = (event) => {
        event.preventDefault();
        onDeath(new Error(event.message));
        died(event.message);
      };
      worker.postMessage(start);
      return { post: (request) => worker.postMessage(request), terminate: () => worker.terminate() };
    },
    arrivedError: (carried) => arrivedError(carried as CarriedError),
  });

  function take({ state, quarantined }: ShippingNews): void {
    const earlier = latest.failure;
    latest = state;
    const { failure, rows } = state;
    const store = destination.kind === "shared" ? "the shared database" : "the database";
    for (const row of quarantined) {
      observe.note("error", `${store} refused a row; it is quarantined and retried from time to time`, row);
    }
    if (failure !== null && earlier === null) {
      observe.note("error", `cannot write to ${store}; calls continue and are spooled locally`, { failure, rows });
    } else if (failure === null && earlier !== null) {
      observe.note("info", `${store} accepts writes again; shipping the spool`, { rows });
    }
  }

  function died(message: string): void {
    observe.note("error", "the shipper died and will be restarted", { message });
    before = { shipped: before.shipped + latest.shipped, errors: before.errors + latest.errors + 1 };
    latest = { ...latest, shipped: 0, errors: 0, failure: "The shipper died" };
    restartLater();
  }

  function restartLater(): void {
    if (hasEnded) return;
    clearTimeout(restarting);
    restarting = setTimeout(() => rpc.call("open").catch(restartLater), RESTART_MS);
    Deno.unrefTimer(restarting);
  }

  /** The Worker's types tie the arguments to the verb. */
  function lookup(verb: Lookup, args: readonly unknown[]): Promise<unknown> {
    return (rpc as unknown as WorkerRpc<Methods>).call(verb, ...args);
  }

  await rpc.call("open");
  const lookups = Object.fromEntries(LOOKUPS.map((verb) => [verb, (...args: unknown[]) => lookup(verb, args)]));
  return {
    ...lookups as unknown as SpoolLookups & SpoolCare & TokenCopies & RecordVerbs,
    async reship(since) {
      const rows = await rpc.call("reship", since);
      rpc.call("poke").catch(() => {});
      return rows;
    },
    state: () => ({ ...latest, shipped: latest.shipped + before.shipped, errors: latest.errors + before.errors }),
    poke() {
      if (poking !== undefined || hasEnded) return;
      poking = setTimeout(() => {
        poking = undefined;
        rpc.call("poke").catch(() => {});
      }, POKE_MS);
      Deno.unrefTimer(poking);
    },
    async caughtUp(ms) {
      const caughtUp = rpc.call("caughtUp").then(() => latest.failure === null, () => false);
      return await settlesWithin(caughtUp, ms) && await caughtUp;
    },
    rotate(databaseUrl) {
      if (destination.kind === "shared") destination = { ...destination, url: databaseUrl };
      rpc.call("rotate", databaseUrl).catch(() => {});
    },
    copyInto: (path, openCalls) => rpc.call("copyInto", path, openCalls),
    async finish(ms) {
      hasEnded = true;
      clearTimeout(poking);
      clearTimeout(restarting);
      await settlesWithin(rpc.call("finish"), ms);
      rpc.close(new Error("Shipping has ended"));
    },
  };
}
