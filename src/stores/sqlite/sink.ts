import type { Sink } from "../shipping/shipper.ts";
import { checkpointsOn } from "./checkpoints.ts";
import { openConnection, type Synchronous } from "./connection.ts";
import { isOwnFault } from "./errors.ts";
import { answersOn } from "./worker_methods.ts";

/** How long a write waits for the transactions of other Workers, which take milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

/**
 * The embedded database on the shipper's own thread: where shipments go, and the lookups that calls
 * wait for. Throws SQLite's error.
 */
export function openSink(path: string, synchronous: Synchronous) {
  const db = openConnection(path, { synchronous, busyTimeoutMs: BUSY_TIMEOUT_MS, autoCheckpointPages: 0, cacheKib: 32_000 });
  const answers = answersOn(db);
  const { createToken, findToken, listTokens, revokeToken, findRevoked, suspend, resume, suspensionsAfter } = answers;
  const { recordOwned, findOwned, takeBatches, findBatch, postponeBatch, settleBatch, findTrace, findAgent } = answers;
  const { limitsVersion, listLimits, setLimits, reserve, usedOf, hold, settle, release, renewHolders } = answers;
  const sink: Sink = {
    recordUsage: (rows) => Promise.try(() => answers.recordUsage(rows)),
    recordTraces: (traces) => Promise.try(() => answers.recordTraces(traces)),
    recordRefusals: (counts) => Promise.try(() => answers.recordRefusals(counts)),
    recordOwned: (owned) => Promise.try(() => answers.recordOwned(owned)),
    findOwned: (ids) => Promise.try(() => answers.findOwned(ids)),
    isOwnFault,
  };
  return {
    sink,
    records: {
      ...{ createToken, findToken, listTokens, revokeToken, findRevoked, suspend, resume, suspensionsAfter },
      ...{ recordOwned, findOwned, takeBatches, findBatch, postponeBatch, settleBatch, findTrace, findAgent },
      ...{ limitsVersion, listLimits, setLimits, reserve, usedOf, hold, settle, release, renewHolders },
    },
    db,
    checkpoint: checkpointsOn(db, { path, busyTimeoutMs: BUSY_TIMEOUT_MS }),
    close: () => db.close(),
  };
}
