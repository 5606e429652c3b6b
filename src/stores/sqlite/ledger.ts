import type { DatabaseSync } from "node:sqlite";
import { Fault } from "../../domain/fault.ts";
import type { Ledger, RunRefusals } from "../../domain/ledger.ts";
import type { Owned } from "../../domain/owned.ts";
import type { Trace } from "../../domain/trace.ts";
import { type Closing, type OpenCall, REVISION, type UsageRow } from "../../domain/usage.ts";
import { Commits, GROUP_LIMITS, type GroupLimits, WriteRefused } from "./commits.ts";
import { openConnection, type Synchronous } from "./connection.ts";
import { TraceActivityCache } from "./trace_activity_cache.ts";
import { DiskQuota, type SpoolBound } from "./disk_quota.ts";
import { Outbox } from "./outbox.ts";
import { Claims } from "./records.ts";
import { Probe } from "./write_probe.ts";
import { InflightPrompts } from "./inflight_prompts.ts";
import { Rows } from "./rows.ts";
import { Traces } from "./traces.ts";

export interface LedgerOptions {
  /** The database; its schema is up to date. */
  readonly path: string;
  readonly synchronous: Synchronous;
  readonly now: () => number;
  /** Called with the reason when writing stops working, and with null when it works again. */
  readonly onTrouble: (trouble: string | null) => void;
  readonly limits: GroupLimits;
  /** Between two tries whether writing works again. */
  readonly probeMs: number;
  /** Where what is recorded is shipped to a shared database: how large the file may become meanwhile. Null: nothing is shipped. */
  readonly spool: SpoolBound | null;
  /** As `FullnessOptions.freeBytes`. */
  readonly freeBytes: () => number | null;
  /**
   * Why the database's files are not those any more that are open, for an operator; null while they are. From then on nothing
   * is recorded until a restart: what is written into a file without a name is gone with the process.
   */
  readonly whyLost: () => string | null;
  /** Between two looks at the files. */
  readonly lookMs: number;
}

export const LEDGER_DEFAULTS = {
  limits: GROUP_LIMITS,
  probeMs: 1_000,
  spool: null,
  freeBytes: () => null,
  whyLost: () => null,
  lookMs: 250,
} as const;

/**
 * A write-ahead log of 256 MB is written into the database by the hot connection itself, which stalls the event loop for
 * that long: the bound for when nobody else does it. Normally the store's Worker does it long before.
 */
const BACKSTOP_PAGES = 65_536;

/** Rows that one write of the sweep closes: about 2 ms. */
const SWEPT_AT_ONCE = 100;

/** Opens the hot path's ledger. Throws SQLite's own error where the database cannot be used. */
export function openLedger(options: LedgerOptions): Ledger {
  const db = openConnection(options.path, {
    synchronous: options.synchronous,
    busyTimeoutMs: 0,
    autoCheckpointPages: BACKSTOP_PAGES,
    cacheKib: 32_000,
  });
  try {
    return ledgerOn(db, options);
  } catch (error) {
    db.close();
    throw error;
  }
}

/** The ledger on a connection of its own that waits for no lock by itself; `end` closes it. */
export function ledgerOn(db: DatabaseSync, options: LedgerOptions): Ledger {
  return new SqliteLedger(db, options);
}

class SqliteLedger implements Ledger {
  readonly #db: DatabaseSync;
  readonly #options: LedgerOptions;
  readonly #rows: Rows;
  readonly #traces: Traces;
  readonly #claims: Claims;
  readonly #probeWrite: Probe;
  readonly #commits: Commits;
  readonly #diskQuota: DiskQuota;
  readonly #activity = new TraceActivityCache();
  /** Null where another database links the attempts at a question. */
  readonly #questions: InflightPrompts | null;
  #openRows: number;
  #trouble: string | null = null;
  /** Why the files are lost. No probe ends that: it would succeed in the files that have no name. */
  #loss: string | null = null;
  /** Closings whose commit failed, by id of their row: at most one for each open row. */
  readonly #kept = new Map<string, UsageRow>();
  #probeTimer: ReturnType<typeof setTimeout> | null = null;
  #probing: Promise<void> = Promise.resolve();
  #hasEnded = false;
  readonly #lookTimer: ReturnType<typeof setInterval>;

  constructor(db: DatabaseSync, options: LedgerOptions) {
    this.#db = db;
    this.#options = options;
    const outbox = options.spool === null ? null : new Outbox(db);
    this.#questions = outbox === null ? new InflightPrompts() : null;
    this.#rows = new Rows(db, { outbox, inflight: this.#questions });
    this.#traces = new Traces(db, outbox);
    this.#claims = new Claims(db, outbox);
    this.#probeWrite = new Probe(db);
    this.#commits = new Commits(db, options);
    this.#diskQuota = new DiskQuota(db, options);
    this.#openRows = this.#rows.countOpen();
    this.#lookTimer = setInterval(() => this.#look(), options.lookMs);
    Deno.unrefTimer(this.#lookTimer);
  }

  async open(call: OpenCall, trace: Trace): Promise<"opened" | "unrecorded"> {
    this.#refuseIfUnusable();
    if (this.#diskQuota.isFull()) {
      if (this.#options.spool?.onFull === "serve") return "unrecorded";
      throw unavailable(this.#diskQuota.words());
    }
    const isFresh = this.#activity.isFresh(trace);
    this.#questions?.begins(call);
    try {
      await this.#write(() => {
        if (!isFresh) this.#traces.join(trace);
        this.#rows.insertOpen(call);
      });
    } catch (error) {
      this.#questions?.ended(call);
      throw error;
    }
    if (!isFresh) this.#activity.written(trace);
    this.#openRows++;
    return "opened";
  }

  async close(call: OpenCall, closing: Closing): Promise<void> {
    await this.#apply({ call, closing, revision: REVISION.closed });
  }

  async join(trace: Trace): Promise<void> {
    await this.#write(() => this.#traces.join(trace));
  }

  async claim(owned: readonly Owned[]): Promise<void> {
    await this.#write(() => this.#claims.add(owned));
  }

  async countRefusals(counts: readonly RunRefusals[]): Promise<void> {
    await this.#write(() => this.#traces.addRefusals(counts));
  }

  async sweep(instanceId: string): Promise<number> {
    let total = 0;
    for (;;) {
      const swept = await this.#write(() => this.#rows.sweepSome(instanceId, SWEPT_AT_ONCE));
      this.#openRows -= swept;
      total += swept;
      if (swept < SWEPT_AT_ONCE) return total;
    }
  }

  openCount(): number {
    return this.#openRows;
  }

  usedBytes(): number {
    return this.#diskQuota.usedBytes();
  }

  boundBytes(): number {
    return this.#diskQuota.boundBytes();
  }

  trouble(): string | null {
    const trouble = this.#loss ?? this.#trouble;
    if (trouble !== null) return trouble;
    return this.#options.spool?.onFull !== "serve" && this.#diskQuota.isFull() ? this.#diskQuota.words() : null;
  }

  async end(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearInterval(this.#lookTimer);
    if (this.#probeTimer !== null) clearTimeout(this.#probeTimer);
    await this.#commits.idle();
    await this.#probing;
    await this.#writeKept().catch((error) => this.#failed(error));
    this.#diskQuota.end();
    this.#db.close();
    if (this.#kept.size > 0) {
      throw unavailable(`${this.#kept.size} ended calls could not be recorded: ${this.#loss ?? this.#trouble}`);
    }
  }

  /** A write that nobody keeps: while writing does not work it is not even tried. */
  async #write<T>(run: () => T): Promise<T> {
    this.#refuseIfUnusable();
    try {
      return await this.#commits.add(run);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #refuseIfUnusable(): void {
    if (this.#hasEnded) throw unavailable("the ledger is closed");
    const trouble = this.#loss ?? this.#trouble;
    if (trouble !== null) throw unavailable(trouble);
  }

  /**
   * Tried even while writing does not work: the client's last bytes wait for it. If the files are lost the row is written too,
   * because a shared database or a backup can still get it from there. But the client must not take it for recorded.
   */
  async #apply(row: UsageRow): Promise<void> {
    if (this.#hasEnded) throw unavailable("the ledger is closed");
    try {
      await this.#commitClosed(row);
      this.#kept.delete(row.call.id);
    } catch (error) {
      if (!(error instanceof WriteRefused)) this.#kept.set(row.call.id, row);
      throw this.#failed(error);
    }
    if (this.#loss !== null) throw unavailable(this.#loss);
  }

  async #commitClosed(row: UsageRow): Promise<void> {
    const change = await this.#commits.add(() => this.#rows.applyClosed(row));
    this.#questions?.ended(row.call);
    this.#openRows += change;
  }

  #failed(error: unknown): Fault {
    if (!(error instanceof WriteRefused)) this.#startProbing(error);
    return unavailable(error);
  }

  #look(): void {
    const loss = this.#options.whyLost();
    if (loss === null) return;
    clearInterval(this.#lookTimer);
    if (this.#probeTimer !== null) clearTimeout(this.#probeTimer);
    this.#loss = loss;
    this.#options.onTrouble(loss);
  }

  #startProbing(error: unknown): void {
    if (this.#loss !== null) return;
    const isNew = this.#trouble === null;
    this.#trouble = `Cannot write the ledger ${this.#options.path}: ${error instanceof Error ? error.message : error}`;
    if (isNew) this.#options.onTrouble(this.#trouble);
    if (this.#probeTimer !== null || this.#hasEnded) return;
    const timer = setTimeout(() => {
      this.#probeTimer = null;
      this.#probing = this.#probe();
    }, this.#options.probeMs);
    this.#probeTimer = timer;
    // A process with nothing else to do must not live on for this.
    Deno.unrefTimer(timer);
  }

  async #probe(): Promise<void> {
    try {
      await this.#commits.add(() => this.#probeWrite.run());
      await this.#writeKept();
      if (this.#loss !== null) return;
      this.#trouble = null;
      this.#options.onTrouble(null);
    } catch (error) {
      this.#startProbing(error);
    }
  }

  /** Rejects where one of them could not be written, when all have been tried. */
  async #writeKept(): Promise<void> {
    const tried = await Promise.allSettled([...this.#kept.values()].map((row) => this.#applyKept(row)));
    for (const result of tried) if (result.status === "rejected") throw result.reason;
  }

  /** A row that is at fault itself is let go: it stays open and the next start sweeps it. */
  async #applyKept(row: UsageRow): Promise<void> {
    try {
      await this.#commitClosed(row);
    } catch (error) {
      if (!(error instanceof WriteRefused)) throw error;
    }
    this.#kept.delete(row.call.id);
  }
}

/** The message goes to the sandbox, the cause to the log. */
function unavailable(cause: unknown): Fault {
  return new Fault("ledger_unavailable", "Calls cannot be recorded at the moment, so none are passed on", { cause });
}
