import type { Store } from "../../domain/store.ts";

type Queries = Pick<
  Store,
  | ("queryUsage" | "queryTraces" | "listTraces" | "getTraceDetail" | "queryRefusals" | "queryRuns")
  | ("findTraces" | "getAgents" | "queryCalls" | "getCachedCalls")
>;

/** How long a query waits for the shipper. Then it answers with what is there. */
const PATIENCE_MS = 2_000;

/** The queries of a store, each after the shipper: a caller reads the calls that it has made. */
export function readingOwnCalls<S extends Queries>(
  store: S,
  shipping: { readonly caughtUp: (ms: number) => Promise<boolean> },
): S {
  const caughtUp = () => shipping.caughtUp(PATIENCE_MS);
  return {
    ...store,
    queryUsage: (query) => caughtUp().then(() => store.queryUsage(query)),
    queryTraces: (query) => caughtUp().then(() => store.queryTraces(query)),
    listTraces: (query) => caughtUp().then(() => store.listTraces(query)),
    findTraces: (id, workspaceId) => caughtUp().then(() => store.findTraces(id, workspaceId)),
    getAgents: (trace) => caughtUp().then(() => store.getAgents(trace)),
    queryCalls: (query) => caughtUp().then(() => store.queryCalls(query)),
    getTraceDetail: (id, workspaceId) => caughtUp().then(() => store.getTraceDetail(id, workspaceId)),
    getCachedCalls: (place) => caughtUp().then(() => store.getCachedCalls(place)),
    queryRefusals: (opts) => caughtUp().then(() => store.queryRefusals(opts)),
    queryRuns: (since) => caughtUp().then(() => store.queryRuns(since)),
  };
}
