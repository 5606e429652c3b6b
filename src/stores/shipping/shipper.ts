import { delay } from "../../async/deadline.ts";
import type { QuarantinedRow, Refused, Spool } from "../../domain/spool.ts";
import type { OwnedRecords } from "../../domain/owned.ts";
import type { Store } from "../../domain/store.ts";
import { wordsOf } from "../../domain/unavailable.ts";
import type { UsageRow } from "../../domain/usage.ts";

/** Where shipments go. What is sent twice counts once. */
export interface Sink
  extends Pick<Store, "recordUsage" | "recordTraces" | "recordRefusals">, Pick<OwnedRecords, "recordOwned" | "findOwned"> {
  /** The error is about what was sent, not the database, so sending it again never helps. */
  readonly isOwnFault: (error: unknown) => boolean;
}

export interface ShipperOptions {
  readonly spool: Spool;
  /** Called for each shipment, because the URL can change. Rejects if there is no database. */
  readonly sink: () => Promise<Sink>;
  readonly pace: Pace;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly onReport: (report: Report) => void;
}

export interface Pace {
  /** The most rows in one shipment, all held in memory. */
  readonly batch: number;
  /** Pause if nothing waits and no one pokes. */
  readonly idleMs: number;
  /** Pause after a first failure. It doubles up to `mostWaitMs`. */
  readonly leastWaitMs: number;
  readonly mostWaitMs: number;
  /** How often quarantined rows are retried. */
  readonly retryMs: number;
  /** After this time without a shipment, the database is asked whether it is up. */
  readonly askMs: number;
}

export const PACE: Pace = { batch: 500, idleMs: 5_000, leastWaitMs: 100, mostWaitMs: 5_000, retryMs: 60_000, askMs: 5_000 };

/** What happened in one round. */
export interface Report {
  /** Rows that arrived. */
  readonly shipped: number;
  /** Rows newly quarantined, with the database's words. */
  readonly quarantined: readonly QuarantinedRow[];
  /** Why something could not be shipped; null if all went well. */
  readonly failure: string | null;
}

/** Ships the spool round by round until it is stopped. No failure of the database ends it. */
export class Shipper {
  readonly #options: ShipperOptions;
  #failures = 0;
  #isStopped = false;
  #wake: () => void = () => {};
  /** Something may wait that the current round has not seen. */
  #isPoked = false;
  /** Those who wait for the end of what was there when they asked. */
  #waiting: (() => void)[] = [];
  #sinceRetryMs = 0;
  /** Infinite at first, so that an unreachable database is reported even if nothing waits. */
  #sinceWordMs = Number.POSITIVE_INFINITY;

  constructor(options: ShipperOptions) {
    this.#options = options;
  }

  /** Resolves after `stop`, when the current round has ended. Never rejects. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      this.#isPoked = false;
      const waiting = this.#waiting.splice(0);
      while (await this.round() && !this.#isStopped) continue;
      for (const resolve of waiting) resolve();
      if (this.#failures > 0) await this.#pause(this.#waitMs());
      else if (!this.#isPoked) await this.#pause(this.#options.pace.idleMs);
    }
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  /** Something was recorded. Ends a pause, unless the database fails. */
  poke(): void {
    this.#isPoked = true;
    if (this.#failures === 0) this.#wake();
  }

  /**
   * Resolves when everything that is recorded now is shipped, or cannot be. Never rejects.
   */
  async caughtUp(): Promise<void> {
    if (this.#isStopped || this.#failures > 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    this.poke();
    await promise;
  }

  /** Ends the pause: there may be a better sink now. */
  hurry(): void {
    this.#wake();
  }

  /** Ships once. Resolves to true if more can be shipped at once. Never rejects. */
  async round(): Promise<boolean> {
    const { spool, pace, onReport } = this.#options;
    try {
      const shipment = spool.unshipped(pace.batch);
      const { rows, traces, refusals, owned, isFull } = shipment;
      const isEmpty = [rows, traces, refusals, owned].every((list) => list.length === 0);
      if (isEmpty && this.#failures === 0 && this.#sinceWordMs < pace.askMs) return false;
      const sink = await this.#options.sink();
      if (isEmpty) await sink.findOwned([]);
      // First, because a client may ask another replica for what it has just made.
      const things = await recordApart(owned, { sink, record: (some) => sink.recordOwned(some) });
      // Before the rows: a row creates an unknown trace, without a source.
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

  /** Full jitter, so that replicas do not all return at the same moment. */
  #waitMs(): number {
    const { leastWaitMs, mostWaitMs } = this.#options.pace;
    const ceiling = Math.min(leastWaitMs * 2 ** Math.min(this.#failures, 20), mostWaitMs);
    return leastWaitMs + this.#options.random() * (ceiling - leastWaitMs);
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isStopped) return;
    const pause = new AbortController();
    this.#wake = () => pause.abort();
    await delay(ms, pause.signal);
    this.#sinceRetryMs += ms;
    this.#sinceWordMs += ms;
    // During an outage they would only be queued again.
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

/** A failure to note what arrived is this machine's, not the shared database's. */
function keep(note: () => void): void {
  try {
    note();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot note what was shipped in the spool of this machine: ${reason}`, { cause: error });
  }
}

/** Returns the refused items, found by halving; records the rest. Rejects if the database fails. */
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
