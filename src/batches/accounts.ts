import { deadline, delay, settlesWithin } from "../async/deadline.ts";
import { SingleFlight } from "../async/single_flight.ts";
import { Fault } from "../domain/fault.ts";
import type { Batches, BatchOutcome, Owned, OwnedRecords } from "../domain/owned.ts";
import type { PriceOf } from "../domain/price.ts";
import type { PendingDialect } from "../domain/provider.ts";
import type { Store } from "../domain/store.ts";
import type { Upstream } from "../domain/upstream.ts";
import type { OpenCall, UsageRow } from "../domain/usage.ts";
import { rowOfLine } from "./lines.ts";
import { fetchPending, rowOfPending } from "./pending_responses.ts";
import { type BatchAsked, BatchMissing, type BatchSource, fetchResults, fetchStatus } from "./results.ts";

/** All in milliseconds. */
export interface BatchPace {
  /** Between two searches for batches that are due. */
  readonly lookMs: number;
  /** Between two questions about one batch: a quarter of its age, within these. */
  readonly leastWaitMs: number;
  readonly mostWaitMs: number;
  /** How long a replica has a batch to itself, from its last sign of life. */
  readonly leaseMs: number;
  /** Beyond this age every batch has ended, so one that is missing is gone. */
  readonly endedWithinMs: number;
  /** The upstream keeps results no longer than this. */
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

/** How long `end` waits for a database. */
const END_MS = 3_000;
/** Batches that are worked on at one time. */
const AT_ONCE = 4;
/** How often, and how many times, a deletion looks for what the store does not know yet. */
const ON_ITS_WAY_MS = 50;
const MOST_LOOKS = 40;
/** Rows that are written together. */
const ROWS_AT_ONCE = 200;

/** For metrics. */
export interface BatchState {
  /** Batches whose lines are still to be recorded, as of the last look. */
  readonly waiting: number;
  /**
   * Since the start: lines recorded (twice if a batch was read twice), questions that failed, and
   * batches lost.
   */
  readonly lines: number;
  readonly errors: number;
  readonly lost: number;
}

type LookResult = BatchOutcome | "waiting" | "failed";

export interface BatchAccountsOptions extends Pick<BatchSource, "fetch" | "elapsed" | "observe"> {
  /** The upstream to which the call went that made a batch. */
  readonly upstreamOf: (call: OpenCall) => Upstream;
  readonly priceOf: PriceOf;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  readonly records: OwnedRecords & Pick<Store, "recordUsage">;
  readonly pace: BatchPace;
}

/**
 * Fetches the results of every batch that was made through the proxy, once it has ended, and writes
 * a row for each line. Clients download results directly from the upstream, so the proxy must fetch
 * them itself. One replica at a time has a batch; if two have it, their equal rows count once.
 */
export class BatchAccounts implements Batches {
  readonly #options: BatchAccountsOptions;
  readonly #looks = new SingleFlight<string, LookResult>();
  readonly #stop = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #state = { waiting: 0, lines: 0, errors: 0, lost: 0 };
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
    while (!this.#stop.signal.aborted) {
      const isMore = await this.#round().catch((error) => this.#failed(error, {}));
      if (isMore !== true) await delay(this.#options.pace.lookMs, this.#stop.signal);
    }
    await this.#looks.idle();
    this.#ended.resolve();
  }

  /** Stops; the next process does the rest. Resolves when all work has stopped, or after 3 s. */
  async end(): Promise<void> {
    this.#stop.abort(new Error("the proxy is shutting down"));
    await settlesWithin(this.#ended.promise, END_MS);
  }

  async accountFor(id: string): Promise<void> {
    try {
      await deadline(this.#accountNow(id), this.#options.pace.patienceMs, () => new Error("the accounting is late"));
    } catch (cause) {
      const words = "What this batch used is still to be recorded. Ask again in a few seconds.";
      throw new Fault("ledger_unavailable", words, { cause });
    }
  }

  async #accountNow(id: string): Promise<void> {
    const { records } = this.#options;
    let found = await records.findBatch(id);
    // What a call has just made is still on its way to the store.
    for (let looks = 1; found === null && looks < MOST_LOOKS; looks++) {
      await delay(ON_ITS_WAY_MS, this.#stop.signal);
      found = await records.findBatch(id);
    }
    if (found === null) throw new Error("the batch is not known yet");
    if (found.batch.dueAt === null) return;
    if (await this.#once(found.batch) === "failed") throw new Error("the accounting failed");
  }

  /** Resolves to whether more may be due. */
  async #round(): Promise<boolean> {
    const { records, now, pace } = this.#options;
    const most = Math.max(AT_ONCE - this.#looks.size, 0);
    const { batches, waiting } = await records.takeBatches({ now: now(), until: now() + pace.leaseMs, most });
    this.#state.waiting = waiting;
    const working = batches.map((batch) => this.#once(batch));
    if (working.length > 0) await Promise.race(working);
    return batches.length > 0;
  }

  #once(batch: Owned): Promise<LookResult> {
    return this.#looks.run(batch.id, () => this.#account(batch));
  }

  async #account(batch: Owned): Promise<LookResult> {
    const { records, now } = this.#options;
    const later = () => Math.round(now() + this.#waitMs(batch));
    try {
      const result = await this.#look(batch, batch.call!);
      if (result === "waiting") await records.postponeBatch(batch.id, later());
      else await records.settleBatch(batch.id, result);
      this.#isFailing = false;
      if (result === "gone") this.#lost(batch);
      return result;
    } catch (error) {
      this.#failed(error, { batchId: batch.id, workspaceId: batch.workspaceId });
      await records.postponeBatch(batch.id, this.#stop.signal.aborted ? now() : later()).catch(() => {});
      return "failed";
    }
  }

  async #look(batch: Owned, call: OpenCall): Promise<BatchOutcome | "waiting"> {
    const asked = { id: batch.id, heldBy: call.credentialId, signal: this.#stop.signal };
    const upstream = this.#options.upstreamOf(call);
    const { batches: dialect, pending } = upstream.provider;
    const source = { ...this.#options, upstream };
    if (batch.kind === "response" && pending !== undefined) return await this.#lookAtResponse(call, { asked, pending, source });
    if (dialect === undefined) throw new Error(`The upstream ${upstream.name} has no batches`);
    return await this.#lookAtBatch(batch, { call, asked, source: { ...source, dialect } });
  }

  async #lookAtResponse(
    call: OpenCall,
    { asked, pending, source }: {
      readonly asked: BatchAsked;
      readonly pending: PendingDialect;
      readonly source: Omit<BatchSource, "dialect">;
    },
  ): Promise<BatchOutcome | "waiting"> {
    try {
      const reading = await fetchPending(asked, pending, source);
      if (reading === null) return "waiting";
      await this.#options.records.recordUsage([rowOfPending(reading, { call, answer: pending.answer, deps: this.#options })]);
      return "counted";
    } catch (error) {
      if (error instanceof BatchMissing) return "gone";
      throw error;
    }
  }

  async #lookAtBatch(
    batch: Owned,
    { call, asked, source }: { readonly call: OpenCall; readonly asked: BatchAsked; readonly source: BatchSource },
  ): Promise<BatchOutcome | "waiting"> {
    const { endedWithinMs, keptForMs } = this.#options.pace;
    const isOld = this.#ageOf(batch) > endedWithinMs;
    try {
      const status = await fetchStatus(asked, source);
      if (!status.hasEnded) return this.#ageOf(batch) > keptForMs ? "gone" : "waiting";
      if (!status.hasResults) throw new BatchMissing("The batch has ended and has no results");
      const lines = await this.#record(batch, { call, asked, source });
      if (status.lines !== null && status.lines !== lines) this.#short(batch, { expected: status.lines, lines, isOld });
      return "counted";
    } catch (error) {
      if (error instanceof BatchMissing && isOld) return "gone";
      if (this.#ageOf(batch) > keptForMs && !this.#stop.signal.aborted) return "gone";
      throw error;
    }
  }

  /** Resolves to the number of lines when all of them are rows. */
  async #record(
    batch: Owned,
    { call, asked, source }: { readonly call: OpenCall; readonly asked: BatchAsked; readonly source: BatchSource },
  ): Promise<number> {
    const { records, now, pace } = this.#options;
    const { dialect: { parseLine, answer } } = source;
    let rows: UsageRow[] = [];
    let lines = 0;
    let seenAt = now();
    const write = async () => {
      if (rows.length > 0) await records.recordUsage(rows);
      this.#state.lines += rows.length;
      rows = [];
    };
    for await (const line of fetchResults(asked, source)) {
      const parsed = line === null ? null : parseLine(line);
      rows.push(rowOfLine(parsed, { number: ++lines, call, answer, deps: this.#options }));
      if (rows.length >= ROWS_AT_ONCE) await write();
      if (Math.abs(now() - seenAt) < pace.leaseMs / 3) continue;
      seenAt = now();
      await records.postponeBatch(batch.id, seenAt + pace.leaseMs);
    }
    await write();
    return lines;
  }

  /** Results that ended early are fetched again, unless the batch is too old for that. */
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
    this.#options.observe.note(
      "error",
      "a batch or a response was deleted or has expired before its usage could be read: it is in no total",
      {
        batchId: id,
        workspaceId,
        requestId: call?.id,
      },
    );
  }

  /** Logs one line until a batch succeeds: what fails once fails often. */
  #failed(error: unknown, fields: Readonly<Record<string, unknown>>): void {
    if (this.#stop.signal.aborted) return;
    this.#state.errors++;
    if (this.#isFailing) return;
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
}
