import { Fault } from "../domain/fault.ts";
import type { Batches, BatchOutcome, Owned, OwnedRecords } from "../domain/owned.ts";
import type { PriceOf } from "../domain/price.ts";
import type { Store } from "../domain/store.ts";
import type { OpenCall, UsageRow } from "../domain/usage.ts";
import { rowOfLine } from "./lines.ts";
import { BatchMissing, type BatchSource, fetchResults, fetchStatus } from "./results.ts";

/** All in milliseconds. */
export interface BatchPace {
  /** Between two looks for batches that are due. */
  readonly lookMs: number;
  /** Between two questions about one batch: a quarter of its age, within these. */
  readonly leastWaitMs: number;
  readonly mostWaitMs: number;
  /** How long whoever works on a batch has it to itself, from the last sign of life. */
  readonly leaseMs: number;
  /** Within this age every batch has ended, so that one that is missing then is gone. */
  readonly endedWithinMs: number;
  /** Results older than this are not kept by the upstream. */
  readonly keptForMs: number;
  /** How long a deletion waits until its batch is accounted for. */
  readonly patienceMs: number;
}

const HOUR_MS = 3_600_000;

export const BATCH_PACE: BatchPace = {
  lookMs: 5_000,
  leastWaitMs: 60_000,
  mostWaitMs: 600_000,
  leaseMs: 60_000,
  endedWithinMs: 25 * HOUR_MS,
  keptForMs: 29 * 24 * HOUR_MS,
  patienceMs: 20_000,
};

/** How long an end waits for what a database is doing. */
const END_MS = 3_000;
/** Batches that are worked on at one time. */
const AT_ONCE = 4;
/** Rows that are written together. */
const ROWS_AT_ONCE = 200;

/** How it goes, for metrics. */
export interface BatchState {
  /** Batches whose lines are still to be recorded, as of the last look. */
  readonly waiting: number;
  /** Since the start: lines recorded (again where a batch was read again), questions that failed, batches lost. */
  readonly lines: number;
  readonly errors: number;
  readonly lost: number;
}

export interface BatchAccountsOptions extends BatchSource {
  readonly priceOf: PriceOf;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  readonly records: OwnedRecords & Pick<Store, "recordUsage">;
  readonly pace: BatchPace;
}

/**
 * Fetches the results of every batch that was made through the proxy, once it has ended, and writes one row a line: the client's
 * own download goes to an address that is not the proxy's. Of many replicas one has a batch at a time; should two have it after all,
 * the rows are the same and count once.
 */
export class BatchAccounts implements Batches {
  readonly #options: BatchAccountsOptions;
  readonly #running = new Map<string, Promise<BatchOutcome | "waiting" | "failed">>();
  readonly #stop = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #state = { waiting: 0, lines: 0, errors: 0, lost: 0 };
  #wake: () => void = () => {};
  #isFailing = false;

  constructor(options: BatchAccountsOptions) {
    this.#options = options;
  }

  get firstLookMs(): number {
    return this.#options.pace.leastWaitMs;
  }

  get state(): BatchState {
    return this.#state;
  }

  /** Works until `end`. */
  async run(): Promise<void> {
    const { pace } = this.#options;
    while (!this.#stop.signal.aborted) {
      const isMore = await this.#round().catch((error) => this.#failed(error, {}));
      if (isMore !== true) await this.#pause(pace.lookMs);
    }
    await Promise.allSettled(this.#running.values());
    this.#ended.resolve();
  }

  /** What is under way stops, and is done again later by whoever comes first. Resolves when it has, or has taken too long. */
  async end(): Promise<void> {
    this.#stop.abort(new Error("the proxy is shutting down"));
    this.#wake();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, END_MS);
    await Promise.race([this.#ended.promise, late.promise]).finally(() => clearTimeout(timer));
  }

  async accountFor(id: string): Promise<void> {
    const { records, pace } = this.#options;
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), pace.patienceMs);
    try {
      const found = await records.findBatch(id);
      if (found === null) throw new Error("the batch is not known yet");
      if (found.batch.dueAt === null) return;
      const result = await Promise.race([this.#once(found.batch), late.promise]);
      if (result === "late" || result === "failed") throw new Error(`the accounting is ${result}`);
    } catch (cause) {
      const words = "What this batch used is still to be recorded. Ask again in a few seconds.";
      throw new Fault("ledger_unavailable", words, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves to whether more may be due. */
  async #round(): Promise<boolean> {
    const { records, now, pace } = this.#options;
    const most = Math.max(AT_ONCE - this.#running.size, 0);
    const { batches, waiting } = await records.takeBatches({ now: now(), until: now() + pace.leaseMs, most });
    this.#state.waiting = waiting;
    const working = batches.map((batch) => this.#once(batch));
    if (working.length > 0) await Promise.race(working);
    return batches.length > 0;
  }

  #once(batch: Owned): Promise<BatchOutcome | "waiting" | "failed"> {
    const running = this.#running.get(batch.id) ?? this.#account(batch).finally(() => this.#running.delete(batch.id));
    this.#running.set(batch.id, running);
    return running;
  }

  async #account(batch: Owned): Promise<BatchOutcome | "waiting" | "failed"> {
    const { records, now } = this.#options;
    try {
      const result = await this.#look(batch, batch.call!);
      if (result === "waiting") await records.postponeBatch(batch.id, Math.round(now() + this.#waitMs(batch)));
      else await records.settleBatch(batch.id, result);
      this.#isFailing = false;
      if (result === "gone") this.#lost(batch);
      return result;
    } catch (error) {
      if (this.#stop.signal.aborted) await records.postponeBatch(batch.id, now()).catch(() => {});
      else {
        this.#failed(error, { batchId: batch.id, workspaceId: batch.workspaceId });
        await records.postponeBatch(batch.id, Math.round(now() + this.#waitMs(batch))).catch(() => {});
      }
      return "failed";
    }
  }

  async #look(batch: Owned, call: OpenCall): Promise<BatchOutcome | "waiting"> {
    const { pace } = this.#options;
    const isOld = this.#ageOf(batch) > pace.endedWithinMs;
    const asked = { id: batch.id, signal: this.#stop.signal };
    try {
      const status = await fetchStatus(asked, this.#options);
      if (!status.hasEnded) return this.#ageOf(batch) > pace.keptForMs ? "gone" : "waiting";
      if (!status.hasResults) throw new BatchMissing("The batch has ended and has no results");
      const lines = await this.#record(batch, { call, asked });
      if (status.lines !== null && status.lines !== lines) this.#short(batch, { expected: status.lines, lines, isOld });
      return "counted";
    } catch (error) {
      if (error instanceof BatchMissing && isOld) return "gone";
      if (this.#ageOf(batch) > pace.keptForMs && !this.#stop.signal.aborted) return "gone";
      throw error;
    }
  }

  /** Resolves to the number of lines, all of which are rows then. */
  async #record(
    batch: Owned,
    { call, asked }: { readonly call: OpenCall; readonly asked: { readonly id: string; readonly signal: AbortSignal } },
  ): Promise<number> {
    const { records, provider, now, pace } = this.#options;
    let rows: UsageRow[] = [];
    let lines = 0;
    let seenAt = now();
    const write = async () => {
      if (rows.length > 0) await records.recordUsage(rows);
      this.#state.lines += rows.length;
      rows = [];
    };
    const onLine = async (line: string | null) => {
      lines++;
      const parsed = line === null ? null : provider.batches.parseLine(line);
      rows.push(rowOfLine(parsed, { number: lines, call, deps: this.#options }));
      if (rows.length >= ROWS_AT_ONCE) await write();
      if (Math.abs(now() - seenAt) < pace.leaseMs / 3) return;
      seenAt = now();
      await records.postponeBatch(batch.id, seenAt + pace.leaseMs);
    };
    await fetchResults({ ...asked, onLine }, this.#options);
    await write();
    return lines;
  }

  /** An answer that ended early is fetched again; once the batch is old, what there is has to do. */
  #short(
    batch: Owned,
    { isOld, ...counts }: { readonly isOld: boolean; readonly expected: number; readonly lines: number },
  ): void {
    if (!isOld) throw new Error(`The batch has ${counts.expected} lines, and its results had ${counts.lines}`);
    const fields = { batchId: batch.id, workspaceId: batch.workspaceId, ...counts };
    this.#options.observe.note("warn", "a batch's results have another number of lines than the batch says", fields);
  }

  #lost({ id, workspaceId, call }: Owned): void {
    this.#state.lost++;
    this.#options.observe.note("error", "a batch was deleted or has expired before its usage could be read: it is in no total", {
      batchId: id,
      workspaceId,
      requestId: call?.id,
    });
  }

  /** One line until something works again: what fails once fails often. */
  #failed(error: unknown, fields: Readonly<Record<string, unknown>>): void {
    this.#state.errors++;
    if (this.#isFailing || this.#stop.signal.aborted) return;
    this.#isFailing = true;
    this.#options.observe.note("warn", "a batch's usage could not be read and is asked for again", { ...fields, error });
  }

  #ageOf(batch: Owned): number {
    return this.#options.now() - batch.createdAt;
  }

  #waitMs(batch: Owned): number {
    const { leastWaitMs, mostWaitMs } = this.#options.pace;
    return Math.min(Math.max(this.#ageOf(batch) / 4, leastWaitMs), mostWaitMs);
  }

  async #pause(ms: number): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const woken = Promise.withResolvers<void>();
    const timer = setTimeout(woken.resolve, ms);
    this.#wake = woken.resolve;
    await woken.promise;
    clearTimeout(timer);
  }
}
