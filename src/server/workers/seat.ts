import { deadline, settlesWithin } from "../../async/deadline.ts";
import { answerRequest, type Methods, type PortEvents, type Reply, WorkerRpc } from "../../async/worker_rpc.ts";
import { arrivedError, type CarriedError, carriedError } from "../../domain/unavailable.ts";
import type { ByteBudget } from "../../wire/budget.ts";
import type { ServerSystem } from "../system.ts";
import type { ParentAnswers } from "./parent.ts";
import { MessagePipe, readMessages, writable } from "./pipe.ts";
import type { Report, StartOrder, ToParent, ToWorker, WorkerMethods } from "./protocol.ts";

export interface SeatOptions {
  readonly start: ServerSystem["startWorker"];
  readonly writeLog: ServerSystem["writeLog"];
  /** The part that all workers share. */
  readonly budget: ByteBudget;
  readonly answers: () => ParentAnswers;
  readonly onCommit: () => void;
  /** Called for each process that ends; `latest` is still its own. */
  readonly onEnd: (seat: WorkerSeat, end: WorkerEnd) => void;
}

/** How a process ended. */
export interface WorkerEnd {
  readonly how: string;
  /** By `end`, with everything recorded. */
  readonly isStopped: boolean;
  readonly hasServed: boolean;
}

const AFTER_LINE = /(?<=\n)/;

/** How long a process may take to end once its pipe is closed. */
const EXIT_MS = 2_000;

/** The place of one worker: its process, and the next one if that dies. */
export class WorkerSeat {
  readonly number: number;
  readonly #options: SeatOptions;
  readonly #rpc: WorkerRpc<WorkerMethods>;
  #process: Deno.ChildProcess | null = null;
  #input: WritableStreamDefaultWriter<Uint8Array> | null = null;
  #exited: Promise<unknown> = Promise.resolve();
  #latest: Report | null = null;
  /** What the process has of the shared budget, by holder. */
  #room = new Map<string, number>();
  #instanceId = "";
  #isServing = false;
  #silentLooks = 0;
  /** The process has recorded everything and may end. */
  #isStopped = false;

  constructor(number: number, options: SeatOptions) {
    this.number = number;
    this.#options = options;
    this.#rpc = new WorkerRpc<WorkerMethods>({
      start: (events) => this.#spawn(events),
      arrivedError: (carried) => arrivedError(carried as CarriedError),
    });
  }

  /** It listens. */
  get isRunning(): boolean {
    return this.#isServing;
  }

  /** Of the run that was started last. */
  get instanceId(): string {
    return this.#instanceId;
  }

  /** How often this was read since the process last said something. */
  countSilence(): number {
    return this.#process === null ? 0 : ++this.#silentLooks;
  }

  /** Resolves when there is no process. */
  get exited(): Promise<unknown> {
    return this.#exited;
  }

  /** The last word of the process; null if it has said nothing. */
  get latest(): Report | null {
    return this.#latest;
  }

  /** Starts a process. Resolves when it listens. */
  async begin(order: StartOrder): Promise<void> {
    this.#instanceId = order.instanceId;
    await this.#rpc.call("start", order);
    this.#isServing = true;
  }

  /** Rejects if no process serves, or if it dies meanwhile. */
  ask<N extends keyof WorkerMethods & string>(method: N, ...args: Parameters<WorkerMethods[N]>) {
    if (this.#process === null) return Promise.reject(new Error(`Worker ${this.number} does not run`));
    return this.#rpc.call(method, ...args);
  }

  async report(): Promise<void> {
    this.#latest = await this.ask("report");
  }

  kill(): void {
    try {
      this.#process?.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  /**
   * Lets the process drain and end; kills it if that takes longer than `ms`. Rejects, once it has
   * ended, if it could not record everything.
   */
  async end(ms: number): Promise<void> {
    if (this.#process === null) return;
    const hasServed = this.#isServing;
    const late = () => new Error(`Worker ${this.number} did not end in time and was killed`);
    try {
      this.#latest = await deadline(this.ask("stop"), ms, late);
      this.#isStopped = true;
    } catch (error) {
      // One that dies before it has served has nothing to record.
      if (hasServed) throw error;
    } finally {
      this.#input?.close().catch(() => {});
      if (!await settlesWithin(this.#exited, EXIT_MS)) this.kill();
      await this.#exited;
    }
  }

  #spawn({ onReply, onDeath }: PortEvents) {
    const process = this.#options.start();
    this.#silentLooks = 0;
    this.#process = process;
    const input = process.stdin.getWriter();
    this.#input = input;
    const pipe = new MessagePipe<ToWorker>((bytes) => input.write(bytes));
    const post = (message: ToWorker) => void pipe.send(message).catch(() => {});
    const read = readMessages<ToParent>(process.stdout, (message) => this.#take(message, { post, onReply })).catch(() =>
      this.kill()
    );
    this.#exited = Promise.all([process.status, read]).then(([{ code, signal }]) => {
      const how = signal === null ? `it ended with ${code}` : `it was ended by ${signal}`;
      const end = { how, isStopped: this.#isStopped, hasServed: this.#isServing };
      this.#ended();
      onDeath(new Error(`Worker ${this.number}: ${how}`));
      this.#options.onEnd(this, end);
      this.#latest = null;
    });
    return { post: (ask: Extract<ToWorker, { ask: unknown }>["ask"]) => post({ ask }), terminate: () => {} };
  }

  #ended(): void {
    this.#process = null;
    this.#input = null;
    this.#isServing = false;
    for (const [holder, bytes] of this.#room) this.#options.budget.give(holder, bytes);
    this.#room = new Map();
  }

  #take(
    message: ToParent,
    { post, onReply }: { readonly post: (message: ToWorker) => void; readonly onReply: (reply: Reply) => void },
  ): void {
    this.#silentLooks = 0;
    if ("reply" in message) onReply(message.reply);
    else if ("log" in message) { for (const line of message.log.split(AFTER_LINE)) this.#options.writeLog(line); }
    else if ("committed" in message) this.#options.onCommit();
    else if ("report" in message) this.#latest = message.report;
    else if ("gave" in message) this.#give(message.gave);
    else {
      const takeRoom = (holder: string, bytes: number) => this.#takeRoom(holder, bytes);
      const methods: Methods = { ...this.#options.answers(), takeRoom };
      void answerRequest(methods, message.ask, { reply: (reply) => post({ reply: writable(reply) }), carriedError });
    }
  }

  #takeRoom(holder: string, bytes: number): boolean {
    if (!this.#options.budget.take(holder, bytes)) return false;
    this.#room.set(holder, (this.#room.get(holder) ?? 0) + bytes);
    return true;
  }

  #give({ holder, bytes }: { readonly holder: string; readonly bytes: number }): void {
    const left = (this.#room.get(holder) ?? 0) - bytes;
    if (left > 0) this.#room.set(holder, left);
    else this.#room.delete(holder);
    this.#options.budget.give(holder, bytes);
  }
}
