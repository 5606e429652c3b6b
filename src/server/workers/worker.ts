import { answerRequest, type Methods, type Port, type PortEvents, WorkerRpc } from "../../async/worker_rpc.ts";
import { Traffic } from "../../call/traffic.ts";
import { Fault } from "../../domain/fault.ts";
import type { Config } from "../../config/config.ts";
import type { Ledger } from "../../domain/ledger.ts";
import type { Observe } from "../../domain/observe.ts";
import type { Batches } from "../../domain/owned.ts";
import { arrivedError, type CarriedError, carriedError } from "../../domain/unavailable.ts";
import { localTokens } from "../../identity/local_tokens.ts";
import { spoolPathIn } from "../../stores/sqlite/data_dir.ts";
import type { Loss } from "../../stores/sqlite/database_files.ts";
import { holdSpool, openOwnLedger } from "../../stores/sqlite/recording.ts";
import { LogWriter } from "../../telemetry/log_writer.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { UpstreamTable } from "../../upstream/upstream_table.ts";
import { openFront } from "../front.ts";
import { upstreamClients } from "../http_clients.ts";
import { type Gauged, instruments } from "../instruments.ts";
import { noteSwept, noteTrouble } from "../storage.ts";
import { stopButtonsOf } from "../stop_buttons.ts";
import { droppedLine, FLUSH_MS, type ServerSystem } from "../system.ts";
import { type Live, pricingBy, upstreamTable } from "../upstream_parts.ts";
import { LimitsAtParent } from "./limits_at_parent.ts";
import { MessagePipe, readMessages, writable } from "./pipe.ts";
import {
  type ParentMethods,
  type Report,
  type Rotated,
  type StartOrder,
  type ToParent,
  type ToWorker,
  unpacked,
  type WorkerMethods,
} from "./protocol.ts";
import { SharedBudget } from "./shared_budget.ts";

/** The worker's side of its parent's pipes. */
export interface WorkerSystem extends Pick<ServerSystem, "now" | "elapsed" | "newId" | "randomBytes" | "openFileLimit"> {
  readonly input: ReadableStream<Uint8Array>;
  /** Takes all bytes. */
  readonly output: (bytes: Uint8Array) => Promise<void>;
}

const REPORT_MS = 2_000;
/** As with one process: the longer, the larger and cheaper the shipper's batches. */
const COMMITTED_MS = 100;
/** How long the parent may take to find a local token. */
const TOKEN_LOOKUP_MS = 5_000;

/**
 * Serves calls as one of several processes, as its parent orders. Resolves when the parent has
 * closed the pipe: after a stop, or because it died. Then the process must end at once.
 */
export async function work(system: WorkerSystem): Promise<void> {
  const pipe = new MessagePipe<ToParent>(system.output);
  const send = (message: ToParent) => void pipe.send(message).catch(() => {});
  const link: { events: PortEvents | null } = { events: null };
  const parent = new WorkerRpc<ParentMethods & Methods>({
    start: (events): Port => {
      link.events = events;
      return { post: (ask) => send({ ask }), terminate: () => {} };
    },
    arrivedError: (carried) => arrivedError(carried as CarriedError),
  });
  const started = Promise.withResolvers<StartedMethods>();
  const later = <N extends keyof StartedMethods>(name: N) => async (...args: readonly unknown[]) =>
    await ((await started.promise)[name] as (...args: readonly unknown[]) => unknown)(...args);
  // What is asked while the worker starts waits until it has: a new key must not be lost.
  const methods: Record<keyof WorkerMethods, Methods[string]> = {
    async start(order: StartOrder) {
      started.resolve(await startWorker(order, { ...system, parent, send, write: (message) => pipe.send(message) }));
    },
    ...{ rotate: later("rotate"), readiness: later("readiness"), lost: later("lost"), report: later("report") },
    ...{ stop: later("stop"), hurry: later("hurry"), list: later("list"), cut: later("cut") },
    ...{ suspend: later("suspend"), revoke: later("revoke"), tokenIds: later("tokenIds") },
    limits: later("limits"),
  };
  await readMessages<ToWorker>(system.input, (message) => {
    if ("reply" in message) link.events?.onReply(message.reply);
    else void answerRequest(methods, message.ask, { reply: (reply) => send({ reply: writable(reply) }), carriedError });
  });
}

type StartedMethods = Omit<WorkerMethods, "start">;

interface WorkerParts extends Omit<WorkerSystem, "input" | "output"> {
  readonly parent: WorkerRpc<ParentMethods & Methods>;
  /** Sends without waiting. */
  readonly send: (message: ToParent) => void;
  readonly write: (message: ToParent) => Promise<void>;
}

/** Opens the worker's spool and listens. */
async function startWorker(order: StartOrder, parts: WorkerParts): Promise<StartedMethods> {
  const { number, of } = order;
  const config = unpacked(order.config);
  const { parent, send } = parts;
  const live: Live = { ...rotatedBy(order), adminToken: () => live.secrets.adminToken ?? "" };
  const gauged: Gauged = {};
  const log = logOver(parts);
  const system = { ...parts, writeLog: (line: string) => log.write(line), logLinesDropped: () => log.dropped };
  const { instanceId } = order;
  const run = { instanceId, worker: number };
  const { observe, metrics, end: endInstruments } = await instruments(config, system, { live, gauged, run });
  let lost: Loss | null = null;
  let tell = () => {};
  const { ledger, end: endLedger } = await openLedgerOf(config, {
    ...{ number, of, instanceId, observe, parts },
    loss: () => lost,
    onTrouble: () => tell(),
  });
  const tokens = localTokens({
    ...system,
    tokens: { ...NO_ADMINISTRATION, findToken: (sha256) => parent.call("findToken", sha256) },
    observe,
    timeoutMs: TOKEN_LOOKUP_MS,
  });
  const budget = new SharedBudget({
    totalBytes: config.proxy.bodyBudgetBytes,
    perHolderBytes: config.proxy.bodyBudgetPerSandboxBytes,
    of,
    takeRoom: (holder, bytes) => parent.call("takeRoom", holder, bytes),
    giveRoom: (holder, bytes) => send({ gave: { holder, bytes } }),
  });
  const traffic = new Traffic();
  Object.assign(gauged, { traffic, budget, ledger } satisfies Gauged);
  const limits = new LimitsAtParent(parent, { known: order.limits, defaults: config.limits.defaults });
  let { readiness } = order;
  const clients = upstreamClients(config);
  const upstreams = upstreamTable({ config, live, clients, system, observe });
  gauged.credentials = upstreams;
  const front = openFront({
    ...{ config, system, live, clients, upstreams, instanceId, observe, traffic, budget, ledger, limits },
    tell: (event) => void parent.call("tell", event).catch(() => {}),
    owned: {
      local: { findOwned: (ids) => parent.call("findOwnedHere", ids) },
      store: {
        findOwned: (ids) => parent.call("findOwned", ids),
        recordOwned: (owned) => parent.call("recordOwned", owned),
      },
    },
    sessions: {
      findTrace: (workspaceId, id) => parent.call("findTrace", workspaceId, id),
      findAgent: (asked) => parent.call("findAgent", asked),
    },
    batches: batchesAt(parent, order),
    localSandboxOf: tokens.sandboxOf,
    readiness: () => {
      const trouble = ledger.trouble();
      return trouble === null ? readiness : { status: "unavailable", reason: trouble };
    },
  });
  const buttons = stopButtonsOf(front.deps.stops, tokens);
  await buttons.suspend(order.suspensions);
  const hurry = Promise.withResolvers<void>();
  const report = () => reportOf({ ledger, metrics, upstreams });
  tell = () => void report().then((latest) => send({ report: latest }));
  const connections = config.proxy.maxConnections;
  const listener = await front.listen({
    port: order.port,
    isShared: true,
    maxConnections: connections === null ? null : Math.ceil(connections / of),
  });
  gauged.listener = listener;
  const reporting = setInterval(() => tell(), REPORT_MS);
  observe.note("info", "a worker listens", { worker: number, pid: Deno.pid });
  return {
    rotate: (rotated) => void Object.assign(live, rotatedBy(rotated)),
    readiness: (fresh) => void (readiness = fresh),
    limits: (known) => limits.replace(known),
    lost: (reason) => void (lost = { reason, isHeld: true }),
    ...buttons,
    report,
    hurry: hurry.resolve,
    async stop() {
      await front.stop(listener, hurry.promise);
      clearInterval(reporting);
      const last = await report();
      try {
        await front.end();
        await endLedger();
      } finally {
        await endInstruments();
        clients.close();
        await log.flush(FLUSH_MS);
      }
      return last;
    },
  };
}

/** The worker's ledger, on a spool that no other process records in. */
async function openLedgerOf(
  { storage }: Config,
  { number, of, instanceId, observe, parts: { now, send }, loss, onTrouble }: Pick<StartOrder, "number" | "of"> & {
    readonly instanceId: string;
    readonly observe: Observe;
    readonly parts: WorkerParts;
    /** Of files that the parent looks after. */
    readonly loss: () => Loss | null;
    readonly onTrouble: () => void;
  },
): Promise<{ readonly ledger: Ledger; readonly end: () => Promise<void> }> {
  const path = spoolPathIn(storage.dataDir, number);
  const files = holdSpool(path);
  const spool = storage.database?.spool ?? null;
  let poking: ReturnType<typeof setTimeout> | undefined;
  try {
    const { ledger, swept } = await openOwnLedger({
      ...{ dir: storage.dataDir, path, instanceId, synchronous: storage.sync, now },
      spool: spool === null ? null : { ...spool, maxBytes: Math.floor(spool.maxBytes / of) },
      loss: () => files.look() ?? loss(),
      onTrouble: (trouble) => {
        noteTrouble(trouble, observe);
        onTrouble();
      },
      onCommit: () => {
        poking ??= setTimeout(() => {
          poking = undefined;
          send({ committed: true });
        }, COMMITTED_MS);
      },
    });
    noteSwept(swept, observe);
    return { ledger, end: () => ledger.end().finally(() => files.close()) };
  } catch (error) {
    files.close();
    throw error;
  }
}

function rotatedBy({ secrets, prices }: Rotated): Pick<Live, "secrets" | "pricing"> {
  return { secrets, pricing: pricingBy(prices) };
}

async function reportOf(
  { ledger, metrics, upstreams }: {
    readonly ledger: Ledger;
    readonly metrics: Metrics;
    readonly upstreams: UpstreamTable;
  },
): Promise<Report> {
  return {
    metrics: await metrics.snapshot(),
    usedBytes: ledger.usedBytes(),
    fill: ledger.usedBytes() / ledger.boundBytes(),
    trouble: ledger.trouble(),
    upstream: upstreams.readiness(),
  };
}

/** The parent accounts for batches. */
function batchesAt(parent: WorkerParts["parent"], { firstBatchLookMs }: StartOrder): Batches {
  return {
    firstLookMs: firstBatchLookMs,
    async accountFor(id) {
      const fault = await parent.call("accountFor", id);
      if (fault !== null) throw new Fault("ledger_unavailable", fault);
    },
  };
}

/** Log lines go to the parent, which writes the only log. If it takes none, they are dropped. */
function logOver({ write }: WorkerParts): LogWriter {
  const decoder = new TextDecoder();
  return new LogWriter({
    async write(bytes) {
      await write({ log: decoder.decode(bytes) });
      return bytes.length;
    },
    droppedLine,
  });
}

/** Only the parent administrates tokens. */
const NO_ADMINISTRATION = {
  createToken: notHere,
  listTokens: notHere,
  revokeToken: notHere,
};

function notHere(): Promise<never> {
  return Promise.reject(new Error("A worker does not administrate tokens"));
}
