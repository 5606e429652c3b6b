import type { Observe } from "../../domain/observe.ts";
import type { TraceDetail } from "../../domain/store.ts";
import type { OpenCall } from "../../domain/usage.ts";
import { MAX_DETAIL_ROWS } from "../query_bounds.ts";
import { readingOwnCalls } from "../shipping/own_calls.ts";
import { openUsageOf } from "../usage_row.ts";
import { endAll, openRecording, type Recording, type RecordingOptions } from "./recording.ts";
import { openSqliteStore, type SqliteStore } from "./store.ts";

export interface EmbeddedOptions extends Omit<RecordingOptions, "shared" | "observe"> {
  readonly observe?: Pick<Observe, "note">;
}

/** The embedded mode: calls go to the spool, and from there to the database in the directory. */
export interface Embedded extends Recording {
  /** Its queries answer with all that was recorded before. */
  readonly store: SqliteStore;
}

/** Rejects as `openRecording` does; then nothing is held. */
export async function openEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const recording = await openRecording({ observe: { note: () => {} }, ...options, shared: null });
  const { shipping, loss, databasePath: path } = recording;
  try {
    const database = await openSqliteStore({ path, synchronous: options.synchronous }, () => loss()?.reason ?? null);
    const store = readingOwnCalls(database, shipping);
    return {
      ...recording,
      store: {
        ...store,
        async getTraceDetail(id, workspaceId) {
          // Before the store: a call that ends meanwhile is found there.
          const open = await shipping.openCalls();
          return (await store.getTraceDetail(id, workspaceId)).map((detail) => withOpenCalls(detail, open));
        },
      },
      end: () => endAll([database.close, recording.end]),
    };
  } catch (error) {
    await recording.end().catch(() => {});
    throw error;
  }
}

function withOpenCalls(detail: TraceDetail, open: readonly OpenCall[]): TraceDetail {
  const { trace: { id, workspaceId }, requests } = detail;
  const known = new Set(requests.map((request) => request.id));
  const added = open.filter((call) => call.traceId === id && call.workspaceId === workspaceId && !known.has(call.id));
  if (added.length === 0) return detail;
  const all = [...requests, ...added.map(openUsageOf)].sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  return { ...detail, requests: all.slice(-MAX_DETAIL_ROWS) };
}
