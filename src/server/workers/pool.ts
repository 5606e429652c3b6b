import { deadline, delay, settlesWithin } from "../../async/deadline.ts";
import type { Config } from "../../config/config.ts";
import type { RecordingState } from "../../domain/ledger.ts";
import type { Limit } from "../../domain/limits.ts";
import type { Observe } from "../../domain/observe.ts";
import { type Readiness, worse } from "../../domain/operations.ts";
import type { SuspensionScope } from "../../domain/suspensions.ts";
import { countsOf, type MetricsSnapshot } from "../../telemetry/metrics.ts";
import { ByteBudget } from "../../wire/budget.ts";
import { cannotListen } from "../listener.ts";
import type { StopButtons } from "../stop_buttons.ts";
import type { ServerSystem } from "../system.ts";
import type { Live } from "../upstream_parts.ts";
import type { ParentAnswers } from "./parent.ts";
import { packed, type Rotated, type StartOrder, type WorkerMethods } from "./protocol.ts";
import { sharedPartOf } from "./shared_budget.ts";
import { type WorkerEnd, WorkerSeat } from "./seat.ts";

export interface PoolOptions {
  /** How many workers there are. */
  readonly count: number;
  readonly config: Config;
  readonly system: Pick<ServerSystem, "startWorker" | "writeLog" | "newId">;
  readonly observe: Observe;
  readonly live: Live;
}

/** What exists only once the store is open. */
export interface PoolWork {
  readonly answers: ParentAnswers;
  readonly onCommit: () => void;
  /** Of the store, for the workers' own `/readyz`. */
  readonly readiness: () => Readiness;
  readonly firstBatchLookMs: number;
  readonly limits: () => readonly Limit[];
  /** A run of a worker has ended, by its id. */
  readonly onWorkerEnd: (instanceId: string) => void;
  /** Why the files of the data directory are lost; null while they are not. */
  readonly whyLost: () => string | null;
}

const OK: Readiness = { status: "ok", reason: null };
/** A worker that died is started again after this time. */
const RESTART_MS = 1_000;
/** The longest wait, if it dies again and again as it starts. */
const MOST_RESTART_MS = 30_000;
/** How often to look how the machine is, for the workers. */
const TELL_MS = 1_000;
/** A worker reports every two seconds. One that says nothing for so many looks hangs. */
const MOST_SILENT_LOOKS = 15;
/** How long a worker may take to answer a question of the admin API. */
const ANSWER_MS = 1_000;
const NO_ANSWER = Symbol();
/** How long a worker may take to end, beyond the drain's own times. */
const END_MS = 10_000;

/** The processes that serve calls, seen from their parent, which has the store. */
export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #seats: readonly WorkerSeat[];
  readonly #budget: ByteBudget;
  #work: PoolWork | null = null;
  #port = 0;
  #telling: ReturnType<typeof setInterval> | undefined;
  #told = "";
  #suspensions: readonly SuspensionScope[] = [];
  #restarts = 0;
  /** Counted by workers that died. */
  #before: MetricsSnapshot = [];
  readonly #stopping = new AbortController();

  constructor(options: PoolOptions) {
    this.#options = options;
    const { proxy } = options.config;
    this.#budget = new ByteBudget(sharedPartOf({
      totalBytes: proxy.bodyBudgetBytes,
      perHolderBytes: proxy.bodyBudgetPerSandboxBytes,
    }));
    this.#seats = Array.from({ length: options.count }, (_, number) =>
      new WorkerSeat(number, {
        start: options.system.startWorker,
        writeLog: options.system.writeLog,
        budget: this.#budget,
        answers: () => this.#work!.answers,
        onCommit: () => this.#work!.onCommit(),
        onEnd: (seat, end) => this.#ended(seat, end),
      }));
  }

  /** As the latest reports of the workers say. */
  get recording(): RecordingState {
    const reports = () => this.#seats.flatMap(({ latest }) => latest ?? []);
    return {
      usedBytes: () => reports().reduce((total, { usedBytes }) => total + usedBytes, 0),
      fill: () => Math.max(0, ...reports().map(({ fill }) => fill)),
      trouble: () => {
        const [first = null, ...others] = reports().map(({ trouble }) => trouble);
        return first !== null && others.every((trouble) => trouble !== null) ? first : null;
      },
    };
  }

  /** Aborts when the workers begin to drain. */
  get draining(): AbortSignal {
    return this.#stopping.signal;
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  running(): number {
    return this.#seats.filter(({ isRunning }) => isRunning).length;
  }

  /** Since the start. */
  restarts(): number {
    return this.#restarts;
  }

  /** The machine's readiness, given that of its store. */
  readiness(ofStore: Readiness): Readiness {
    if (this.#isStopping) return { status: "unavailable", reason: "draining" };
    const [running, all] = [this.running(), this.#seats.length];
    if (running === 0) return { status: "unavailable", reason: "No worker runs" };
    if (ofStore.status !== "ok") return ofStore;
    if (running < all) return { status: "degraded", reason: `${all - running} of ${all} workers are being started again` };
    const trouble = this.#seats.map(({ latest }) => latest?.trouble ?? null).find((found) => found !== null) ?? null;
    return trouble === null ? this.#upstream() : { status: "degraded", reason: trouble };
  }

  /** Unavailable only if all workers say so. */
  #upstream(): Readiness {
    const [first = OK, ...others] = this.#seats.flatMap(({ latest }) => latest?.upstream ?? []);
    const worst = others.reduce((sofar, each) => worse(sofar, each), first);
    const isMixed = worst.status === "unavailable" && [first, ...others].some(({ status }) => status !== "unavailable");
    return isMixed ? { ...worst, status: "degraded" } : worst;
  }

  /** Starts all workers. Resolves to where they listen; rejects if one cannot start. */
  async start(work: PoolWork): Promise<Deno.NetAddr> {
    this.#work = work;
    const { config: { proxy: { address } } } = this.#options;
    const { hostname, port } = freeAddress(address);
    this.#port = port;
    try {
      await Promise.all(this.#seats.map((seat) => seat.begin(this.#orderFor(seat))));
    } catch (error) {
      this.#stopping.abort();
      for (const seat of this.#seats) seat.kill();
      throw error;
    }
    this.#telling = setInterval(() => this.#tell(), TELL_MS);
    Deno.unrefTimer(this.#telling);
    return { transport: "tcp", hostname, port };
  }

  /** Gives the secrets and prices in force to all workers. */
  rotate(): void {
    const rotated = this.#rotated();
    for (const seat of this.#seats) seat.ask("rotate", rotated).catch(() => {});
  }

  /** Gives the limits in force to all workers. */
  limit(limits: readonly Limit[]): void {
    for (const seat of this.#seats) seat.ask("limits", limits).catch(() => {});
  }

  /** Of all workers. The answers lack a worker that does not answer within a second. */
  readonly buttons: StopButtons = {
    list: async () => {
      const lists = await this.#askAll("list");
      const calls = lists.flatMap(({ worker, answer }) => answer.map((call) => ({ ...call, worker })));
      return calls.sort((a, b) => b.ageMs - a.ageMs);
    },
    cut: async (id) => {
      const [found] = (await this.#askAll("cut", id)).filter(({ answer }) => answer !== null);
      return found === undefined ? null : { ...found.answer!, worker: found.worker };
    },
    suspend: async (all) => {
      this.#suspensions = all;
      await this.#askAll("suspend", all);
    },
    revoke: async (tokenIds) => void await this.#askAll("revoke", tokenIds),
    tokenIds: async () => [...new Set((await this.#askAll("tokenIds")).flatMap(({ answer }) => answer))],
  };

  /** Of all workers, those that died included. */
  async metrics(): Promise<readonly MetricsSnapshot[]> {
    await Promise.all(this.#seats.map((seat) => settlesWithin(seat.report(), ANSWER_MS)));
    return [this.#before, ...this.#seats.flatMap(({ latest }) => latest === null ? [] : [latest.metrics])];
  }

  /**
   * As `Front.stop`, for all workers; they have ended then. Rejects if one could not record
   * everything.
   */
  async stop(hurry: Promise<void>): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#telling);
    const { leadMs, runningMs } = this.#options.config.drain;
    void hurry.then(() => this.#hurry());
    const ended = await Promise.allSettled(this.#seats.map((seat) => seat.end(leadMs + runningMs + END_MS)));
    for (const end of ended) if (end.status === "rejected") throw end.reason;
  }

  async #askAll<N extends keyof StopButtons>(method: N, ...args: Parameters<WorkerMethods[N]>) {
    const late = () => new Error("late");
    const asked = this.#seats.map(async (seat) => {
      const answer = await deadline(seat.ask(method, ...args), ANSWER_MS, late).catch(() => NO_ANSWER);
      return answer === NO_ANSWER ? [] : [{ worker: seat.number, answer: answer as Awaited<ReturnType<StopButtons[N]>> }];
    });
    return (await Promise.all(asked)).flat();
  }

  #ended(seat: WorkerSeat, { how, isStopped, hasServed }: WorkerEnd): void {
    this.#work?.onWorkerEnd(seat.instanceId);
    if (seat.latest !== null) this.#before = countsOf([this.#before, seat.latest.metrics]);
    if (isStopped || !hasServed) return;
    const next = this.#isStopping ? "its" : "another one is started, and its";
    const message = `a worker died: ${next} open calls are closed as unknown`;
    this.#options.observe.note("error", message, { worker: seat.number, how });
    void this.#startAgain(seat);
  }

  /** Starts processes until one serves. Waits longer after each that does not. */
  async #startAgain(seat: WorkerSeat): Promise<void> {
    for (let waitMs = RESTART_MS;; waitMs = Math.min(2 * waitMs, MOST_RESTART_MS)) {
      await delay(waitMs, this.#stopping.signal);
      if (this.#isStopping) return;
      this.#restarts++;
      try {
        return await seat.begin(this.#orderFor(seat));
      } catch (error) {
        this.#options.observe.note("error", "a worker cannot start", { worker: seat.number, error });
        seat.kill();
        await seat.exited;
      }
    }
  }

  /** A second signal: calls are cut, and a worker that hangs is not waited for. */
  #hurry(): void {
    for (const seat of this.#seats) seat.ask("hurry").catch(() => {});
    const killing = setTimeout(() => this.#seats.forEach((seat) => seat.kill()), END_MS);
    Deno.unrefTimer(killing);
  }

  /** By looks and not by the clock: a machine that was suspended must not lose its workers. */
  #killSilent(): void {
    for (const seat of this.#seats) {
      if (seat.countSilence() <= MOST_SILENT_LOOKS) continue;
      this.#options.observe.note("error", "a worker does not answer and is killed", { worker: seat.number });
      seat.kill();
    }
  }

  #tell(): void {
    this.#killSilent();
    const lost = this.#work!.whyLost();
    for (const seat of this.#seats) if (lost !== null) seat.ask("lost", lost).catch(() => {});
    const readiness = this.readiness(this.#work!.readiness());
    const told = JSON.stringify(readiness);
    if (told === this.#told) return;
    this.#told = told;
    for (const seat of this.#seats) seat.ask("readiness", readiness).catch(() => {});
  }

  #rotated(): Rotated {
    const { live } = this.#options;
    return { secrets: { ...live.secrets, adminToken: live.adminToken() }, prices: live.pricing.list };
  }

  #orderFor({ number }: WorkerSeat): StartOrder {
    const { count, config } = this.#options;
    const { readiness, limits, firstBatchLookMs } = this.#work!;
    const instanceId = this.#options.system.newId();
    const order = { ...this.#rotated(), number, of: count, config: packed(config), port: this.#port };
    return { ...order, instanceId, readiness: readiness(), limits: limits(), firstBatchLookMs, suspensions: this.#suspensions };
  }
}

/**
 * The address with a port, and proof that no other program listens there: workers share the port,
 * and the kernel would let another one join.
 */
function freeAddress(address: Config["proxy"]["address"]): Deno.NetAddr {
  try {
    using probe = Deno.listen(address);
    return probe.addr;
  } catch (cause) {
    throw cannotListen(cause, { setting: "LLMPROXY_LISTEN_ADDR", address });
  }
}
