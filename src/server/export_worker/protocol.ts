import { Worker } from "node:worker_threads";
import { WorkerRpc } from "../../async/worker_rpc.ts";
import { arrivedError, type CarriedError } from "../../domain/unavailable.ts";
import type { OpenCall } from "../../domain/usage.ts";
import type { ExportFormat, UsageFilter } from "../../domain/usage_record.ts";
import type { PriceList } from "../../pricing/price_list.ts";
import type { RowBounds } from "../../stores/sqlite/backup.ts";

/** The embedded database's path, or the shared database's URL with its password. */
export type UsagePlace = { readonly path: string } | { readonly url: string };

export interface ExportOrder {
  readonly place: UsagePlace;
  readonly format: ExportFormat;
  readonly filter: UsageFilter;
  /** Of them, charges have their prices. */
  readonly prices: PriceList;
}

/** Part of a file. */
export interface Chunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Rows in this part. */
  readonly rows: number;
  /** Rows in all parts; null if they could not be counted. */
  readonly total: number | null;
  readonly isLast: boolean;
}

/** The Worker's methods. The caller numbers its exports. */
export type ExportMethods = {
  readonly begin: (name: number, order: ExportOrder) => Promise<Chunk>;
  readonly more: (name: number) => Promise<Chunk>;
  /** Ends an export before its last chunk. */
  readonly stop: (name: number) => Promise<void>;
  /** As `backUpDatabase`. */
  readonly backUp: (path: string, into: string, openCalls: readonly OpenCall[]) => Promise<RowBounds>;
  readonly backUpSpools: (paths: readonly string[], into: string) => Promise<RowBounds>;
  /** How many rows the copy has. Rejects if that cannot be all, or if it is not sound. */
  readonly checkCopy: (path: string, bounds: RowBounds) => Promise<number>;
};

/**
 * Without bounds a Worker's garbage grows to 100 MB and more before it is collected. A Worker that
 * needs more dies without harm to the proxy.
 */
const HEAP = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 40 };

/** The Worker starts with its first order, unless `start` is called before. */
export function exportWorker(): WorkerRpc<ExportMethods> {
  return new WorkerRpc<ExportMethods>({
    start({ onReply, onDeath }) {
      const worker = new Worker(new URL("./worker.ts", import.meta.url), { resourceLimits: HEAP });
      worker.on("message", onReply);
      worker.on("error", (error: Error) => onDeath(new Error(`The export worker has died: ${error.message}`)));
      return { post: (request) => worker.postMessage(request), terminate: () => void worker.terminate() };
    },
    arrivedError: (carried) => arrivedError(carried as CarriedError),
  });
}
