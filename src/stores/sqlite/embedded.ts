import type { Observe } from "../../domain/observe.ts";
import type { TraceDetail } from "../../domain/store.ts";
import type { OpenCall } from "../../domain/usage.ts";
import { MAX_DETAIL_ROWS } from "../query_bounds.ts";
import { readingOwnCalls } from "../shipping/own_calls.ts";
import { openUsageOf } from "../usage_row.ts";
import { endAll, openOwnLedger, openRecording, type OwnLedger, type OwnLedgerOptions, type Recording } from "./recording.ts";
import type { Synchronous } from "./connection.ts";
import { type SqliteStore, sqliteStore } from "./store.ts";

export interface EmbeddedOptions extends Pick<OwnLedgerOptions, "dir" | "instanceId" | "synchronous" | "now" | "onTrouble"> {
  readonly observe?: Pick<Observe, "note">;
}

/** The embedded mode: calls go to the spool, and from there to the database in the directory. */
export interface Embedded extends Recording, OwnLedger {
  /** Its queries answer with all that was recorded before. */
  readonly store: SqliteStore;
}

/** All of it for one process. Rejects as `openRecording` and `openOwnLedger` do. */
export async function openEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const recording = await openRecording({ observe: { note: () => {} }, ...options, workers: 1, shared: null });
  const { shipping, loss, spoolPaths: [path = ""] } = recording;
  const parts: (() => Promise<void>)[] = [recording.end];
  try {
    const own = await openOwnLedger({ ...options, path, spool: null, onCommit: shipping.poke, loss });
    parts.unshift(own.ledger.end);
    const store = embeddedStore(recording, options.synchronous);
    await store.open();
    return { ...recording, ...own, store, end: () => endAll([store.close, ...parts]) };
  } catch (error) {
    await endAll(parts).catch(() => {});
    throw error;
  }
}

/** The queries of the directory's database. Its Worker starts with the first one, or by `open`. */
export function embeddedStore({ shipping, loss, databasePath: path }: Recording, synchronous: Synchronous): SqliteStore {
  const database = sqliteStore({ path, synchronous }, () => loss()?.reason ?? null);
  const store = readingOwnCalls(database, shipping);
  return {
    ...store,
    async getTraceDetail(id, workspaceId) {
      // Before the store: a call that ends meanwhile is found there.
      const open = await shipping.openCalls();
      return (await store.getTraceDetail(id, workspaceId)).map((detail) => withOpenCalls(detail, open));
    },
  };
}

function withOpenCalls(detail: TraceDetail, open: readonly OpenCall[]): TraceDetail {
  const { trace: { id, workspaceId }, requests } = detail;
  const known = new Set(requests.map((request) => request.id));
  const added = open.filter((call) => call.traceId === id && call.workspaceId === workspaceId && !known.has(call.id));
  if (added.length === 0) return detail;
  const all = [...requests, ...added.map(openUsageOf)].sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  return { ...detail, requests: all.slice(-MAX_DETAIL_ROWS) };
}
