import type { QuarantinedRow, Refused, Spool } from "../../domain/spool.ts";
import type { OwnedRecords } from "../../domain/owned.ts";
import type { Store } from "../../domain/store.ts";
import { wordsOf } from "../../domain/unavailable.ts";
import type { UsageRow } from "../../domain/usage.ts";

/** Where shipments go. Sending anything twice counts once. */
export interface Sink
  extends Pick<Store, "recordUsage" | "recordTraces" | "recordRefusals">, Pick<OwnedRecords, "recordOwned" | "findOwned"> {
  /** Whether an error is about what was sent, so that sending it again never helps, and not about the database's state. */
  readonly isOwnFault: (error: unknown) => boolean;
}

export interface ShipperOptions {
  readonly spool: Spool;
  /** Asked for each shipment, because it can be rotated. Rejects while the database cannot be used. */
  readonly sink: () => Promise<Sink>;
  readonly pace: Pace;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly onReport: (report: Report) => void;
}

export interface Pace {
  /** Rows in one shipment: what is held in memory. */
  readonly batch: number;
  /** Between two looks where nothing waited: how far the shared database is behind in normal running. */
  readonly idleMs: number;
  /** After a first failure; it doubles up to `mostWaitMs`. */
  readonly leastWaitMs: number;
  readonly mostWaitMs: number;
  /** Between two tries of what was quarantined. */
  readonly retryMs: number;
  /** Silence after which the database is asked whether it is still there, though nothing waits. */
  readonly askMs: number;
}

export const PACE: Pace = { batch: 500, idleMs: 250, leastWaitMs: 100, mostWaitMs: 5_000, retryMs: 60_000, askMs: 5_000 };

/** What happened in one round. */
export interface Report {
  /** Rows that have arrived. */
  readonly shipped: number;
  /** Rows newly quarantined, with the database's words. */
  readonly quarantined: readonly QuarantinedRow[];
  /** Why not all could be shipped, or nothing; null where all went well. */
  readonly failure: string | null;
}

/** Ships what the spool holds until it is stopped, round by round, whatever becomes of the database. */
export class Shipper {
  readonly #options: ShipperOptions;
  #failures = 0;
  #isStopped = false;
  #wake: () => void = () => {};
  #sinceRetryMs = 0;
  /** Infinite before the first word: a database that never could be used is to be told of, though nothing waits. */
  #sinceWordMs = Number.POSITIVE_INFINITY;

  constructor(options: ShipperOptions) {
    this.#options = options;
  }

  /** Resolves after `stop`, when the round that is under way has ended. Never rejects. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      const isMore = await this.round();
      if (!isMore) await this.#pause(this.#failures === 0 ? this.#options.pace.idleMs : this.#waitMs());
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  /** Ends a wait after failures: there may be a better sink now. */
  hurry(): void {
    this.#wake();
  }

  /** Ships once. Resolves to whether more waits and can be shipped at once. Never rejects. */
  async round(): Promise<boolean> {
    const { spool, pace, onReport } = this.#options;
    try {
      const shipment = spool.unshipped(pace.batch);
      const { rows, traces, refusals, owned, isFull } = shipment;
      const isEmpty = [rows, traces, refusals, owned].every((list) => list.length === 0);
      if (isEmpty && this.#failures === 0 && this.#sinceWordMs < pace.askMs) return false;
      const sink = await this.#options.sink();
      if (isEmpty) await sink.findOwned([]);
      // A client may ask another replica for what it has just made.
      const things = await recordApart(owned, { sink, record: (some) => sink.recordOwned(some) });
      // Traces first: a row would make one that is unknown, and name it no source.
      const sessions = await recordApart(traces, { sink, record: (some) => sink.recordTraces(some) });
      const calls = await recordApart(rows, { sink, record: (some) => sink.recordUsage(some) });
      const counts = await recordApart(refusals, { sink, record: (some) => sink.recordRefusals(some) });
      const quarantined = calls.map(({ item, reason }): QuarantinedRow => ({ row: item as UsageRow, reason }));
      const refused: Refused = { rows: quarantined, traces: items(sessions), refusals: items(counts), owned: items(things) };
      if (!isEmpty) keep(() => spool.shipped(shipment, refused));
      this.#sinceWordMs = 0;
      const [left] = [...things, ...sessions, ...counts];
      this.#failures = left === undefined ? 0 : this.#failures + 1;
      onReport({ shipped: rows.length - quarantined.length, quarantined, failure: left?.reason ?? null });
      return isFull && left === undefined;
    } catch (error) {
      this.#failures++;
      onReport({ shipped: 0, quarantined: [], failure: wordsOf(error) });
      return false;
    }
  }

  /** Full jitter, so that replicas do not come back all at once. */
  #waitMs(): number {
    const { leastWaitMs, mostWaitMs } = this.#options.pace;
    const ceiling = Math.min(leastWaitMs * 2 ** Math.min(this.#failures, 20), mostWaitMs);
    return leastWaitMs + this.#options.random() * (ceiling - leastWaitMs);
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isStopped) return;
    const woken = Promise.withResolvers<void>();
    const timer = setTimeout(woken.resolve, ms);
    this.#wake = woken.resolve;
    await woken.promise;
    clearTimeout(timer);
    this.#sinceRetryMs += ms;
    this.#sinceWordMs += ms;
    // While nothing arrives they would only be queued once more.
    if (this.#sinceRetryMs < this.#options.pace.retryMs || this.#failures > 0) return;
    this.#sinceRetryMs = 0;
    this.#options.spool.retryQuarantined();
  }
}

interface Refusal<T> {
  readonly item: T;
  readonly reason: string;
}

function items<T>(refused: readonly Refusal<T>[]): readonly T[] {
  return refused.map(({ item }) => item);
}

/** What has arrived is noted on this machine, which may fail for reasons that are not the shared database's. */
function keep(note: () => void): void {
  try {
    note();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`What has arrived cannot be noted in the spool of this machine: ${reason}`, { cause: error });
  }
}

/** Records all that can be; what is refused for its own sake is found by halving, and given back. Rejects where the database fails. */
async function recordApart<T>(
  items: readonly T[],
  options: { readonly sink: Sink; readonly record: (items: readonly T[]) => Promise<void> },
): Promise<readonly Refusal<T>[]> {
  if (items.length === 0) return [];
  try {
    await options.record(items);
    return [];
  } catch (error) {
    if (!options.sink.isOwnFault(error)) throw error;
    const [first] = items;
    if (items.length === 1) return [{ item: first!, reason: error instanceof Error ? error.message : String(error) }];
    const half = items.length >> 1;
    const refused = await recordApart(items.slice(0, half), options);
    return [...refused, ...await recordApart(items.slice(half), options)];
  }
}
