/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { answerRequest, type Methods, type Request } from "../../async/worker_rpc.ts";
import type { Backlog } from "../../domain/spool.ts";
import { carriedError } from "../../domain/unavailable.ts";
import { connectPostgres } from "../postgres/store.ts";
import { copyDatabase, copySpools } from "../sqlite/backup.ts";
import { unavailableOf } from "../sqlite/errors.ts";
import { type HandOver, openHandOver } from "../sqlite/hand_over.ts";
import { openSink } from "../sqlite/sink.ts";
import { openOutgoing, type OutgoingSpool } from "../sqlite/spool/outgoing.ts";
import type { Destination, LookupMethods, ShippingMethods, ShippingNews, StartMessage } from "./protocol.ts";
import { SharedDatabase } from "./shared_database.ts";
import { PACE, type Report, Shipper, type Sink } from "./shipper.ts";

/** One shipment at a time. One that a frozen server does not answer is sent again. */
const CONNECTING = { max: 2, patientSeconds: 10 };
/** Other connections write too, so the logs are looked at even if nothing is shipped. */
const CHECKPOINT_MS = 5_000;
/** Shipped rows after which the logs are looked at: each round would write the same pages again. */
const CHECKPOINT_ROWS = 1_000;

self.onmessage = ({ data }: MessageEvent<StartMessage>) => {
  const methods: Methods = start(data);
  self.onmessage = ({ data: request }: MessageEvent<Request>) =>
    void answerRequest(methods, request, {
      reply: (reply) => self.postMessage(reply),
      carriedError: (error) => carriedError(unavailableOf(error) ?? error),
    });
};

/** A store that rows go to, from this thread. */
interface Store {
  readonly sink: () => Promise<Sink>;
  /** Null: it is another machine's. */
  readonly db: OutgoingSpool["db"] | null;
  readonly lookups: Partial<LookupMethods>;
  readonly rotate: (databaseUrl: string) => void;
  readonly checkpoint: () => void;
  readonly close: () => Promise<void>;
}

function start({ spools: paths, synchronous, destination, seed }: StartMessage): ShippingMethods {
  const store = openStore(destination, synchronous);
  const spools = paths.map((path) => openOutgoing(path, { synchronous, store: destination.kind }));
  const [first, ...others] = spools as [OutgoingSpool, ...OutgoingSpool[]];
  const handOver = destination.kind === "shared" && destination.handOver !== null
    ? openHandOver(destination.handOver, { synchronous, onRefused: first.keepRefused })
    : null;
  const sources = handOver === null ? spools : [...spools, handOver];
  const state = { shipped: 0, errors: 0 };
  const failures = new Map<number, string>();
  let quarantined: ShippingNews["quarantined"] = [];
  const random = jitterFrom(seed);
  const shippers = sources.map((spool, n) =>
    new Shipper({ spool, sink: store.sink, pace: PACE, random, onReport: (report) => note(report, n) })
  );
  const running = shippers.map((shipper) => shipper.run());
  const checkpoints = setInterval(checkpoint, CHECKPOINT_MS);
  let uncheckedRows = 0;

  function checkpoint(): void {
    uncheckedRows = 0;
    for (const spool of spools) spool.checkpoint();
    store.checkpoint();
  }

  function note(report: Report, source: number): void {
    state.shipped += report.shipped;
    if (report.failure === null) failures.delete(source);
    else {
      failures.set(source, report.failure);
      state.errors++;
    }
    const refused = report.quarantined.map(({ row: { call }, reason }) => ({
      id: call.id,
      workspaceId: call.workspaceId,
      reason,
    }));
    quarantined = [...quarantined, ...refused];
    uncheckedRows += report.shipped;
    if (uncheckedRows >= CHECKPOINT_ROWS) checkpoint();
    tell();
  }

  function tell(): void {
    const [failure = null] = failures.values();
    const news: ShippingNews = { state: { ...state, failure, ...backlogOf(sources) }, quarantined };
    quarantined = [];
    self.postMessage({ news });
  }

  return {
    ...lookupsOn(spools, handOver),
    ...store.lookups,
    open: tell,
    poke() {
      for (const shipper of shippers) shipper.poke();
      tell();
    },
    caughtUp: async () => void await Promise.all(shippers.slice(0, spools.length).map((shipper) => shipper.caughtUp())),
    rotate(url) {
      store.rotate(url);
      for (const shipper of shippers) shipper.hurry();
    },
    copyInto: (path, openCalls) =>
      store.db === null ? copySpools([first.db, ...others.map(({ db }) => db)], path) : copyDatabase(store.db, path, openCalls),
    async finish() {
      for (const shipper of shippers) shipper.stop();
      await Promise.all(running);
      for (const shipper of shippers.slice(0, spools.length)) while (await shipper.round()) continue;
      clearInterval(checkpoints);
      tell();
      for (const spool of spools) spool.close();
      handOver?.close();
      await store.close();
    },
  };
}

function openStore(destination: Destination, synchronous: StartMessage["synchronous"]): Store {
  if (destination.kind === "embedded") {
    const { sink, records, db, checkpoint, close } = openSink(destination.path, synchronous);
    return {
      sink: () => Promise.resolve(sink),
      db,
      lookups: records,
      rotate: () => {},
      checkpoint,
      close: () => Promise.resolve(close()),
    };
  }
  const database = new SharedDatabase((url) => connectPostgres(url, CONNECTING), destination.url);
  return {
    sink: () => database.ready(),
    db: null,
    lookups: {},
    rotate: (url) => database.rotate(url),
    checkpoint: () => {},
    close: () => database.close(),
  };
}

/** Over all spools. Copies of tokens are in the first one. */
function lookupsOn(spools: readonly OutgoingSpool[], handOver: HandOver | null): LookupMethods {
  const [first] = spools as [OutgoingSpool];
  return {
    findOwnedHere: (ids) => spools.flatMap((spool) => spool.findOwnedHere(ids)),
    findTraceHere: (workspaceId, id) =>
      spools.map((spool) => spool.findTraceHere(workspaceId, id)).find((found) => found !== null) ?? null,
    openCalls: () => spools.flatMap((spool) => spool.openCalls()),
    prune: (before, now) => spools.map((spool) => spool.prune(before, now)).includes(true),
    pruneTokens: first.pruneTokens,
    reship: (since) =>
      [...spools, ...handOver === null ? [] : [handOver]].reduce((rows, source) => rows + source.reship(since), 0),
    keepTokenCopy: first.keepTokenCopy,
    findTokenCopy: first.findTokenCopy,
    revokeTokenCopy: first.revokeTokenCopy,
  };
}

function backlogOf(sources: readonly { readonly backlog: () => Backlog }[]): Backlog {
  const backlogs = sources.map((source) => source.backlog());
  const oldest = backlogs.flatMap(({ oldestCreatedAt }) => oldestCreatedAt ?? []);
  return {
    rows: backlogs.reduce((sum, { rows }) => sum + rows, 0),
    oldestCreatedAt: oldest.length === 0 ? null : Math.min(...oldest),
    quarantined: backlogs.reduce((sum, { quarantined }) => sum + quarantined, 0),
  };
}

/** Repeatable numbers from 0 up to 1, random enough to spread the retries of replicas. */
function jitterFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 >>> 0;
    return state / 4_294_967_296;
  };
}
