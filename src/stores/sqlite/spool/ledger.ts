import type { DatabaseSync } from "node:sqlite";
import { Fault } from "../../../domain/fault.ts";
import type { Ledger } from "../../../domain/ledger.ts";
import { REVISION, type UsageRow } from "../../../domain/usage.ts";
import { openConnection, type Synchronous } from "../connection.ts";
import { commitsOn, GROUP_LIMITS, type GroupLimits, WriteRefused } from "./commits.ts";
import { DiskQuota, type SpoolBound } from "./disk_quota.ts";
import { Entries } from "./entries.ts";

export interface LedgerOptions {
  /** The spool, whose schema must be up to date. */
  readonly path: string;
  readonly synchronous: Synchronous;
  readonly now: () => number;
  /** Called with the reason when writes start to fail, and with null when they work again. */
  readonly onTrouble: (trouble: string | null) => void;
  readonly limits: GroupLimits;
  /** How often to try again whether writes work. */
  readonly probeMs: number;
  /** Null: only the volume bounds the spool. */
  readonly spool: SpoolBound | null;
  /** Called after each commit. */
  readonly onCommit: () => void;
  /** As `DiskQuotaOptions.freeBytes`. */
  readonly freeBytes: () => number | null;
  /**
   * Why the open files are no longer the directory's, for an operator; null while they are. After
   * that nothing is recorded until a restart: a file without a name is gone with the process.
   */
  readonly whyLost: () => string | null;
  /** How often to check the files: about ten system calls, also in an idle proxy. */
  readonly lookMs: number;
}

export const LEDGER_DEFAULTS = {
  limits: GROUP_LIMITS,
  probeMs: 1_000,
  spool: null,
  freeBytes: () => null,
  whyLost: () => null,
  onCommit: () => {},
  lookMs: 2_500,
} as const;

/**
 * At 256 MB the hot connection itself writes the log into the database, which stalls the event
 * loop. This is the last resort: normally the store's Worker does it long before.
 */
const BACKSTOP_PAGES = 65_536;

/** Calls that one write of the sweep closes: about 2 ms. */
const SWEPT_AT_ONCE = 100;

/** Opens the hot path's ledger. Throws SQLite's error if the spool cannot be used. */
export function openLedger(options: LedgerOptions): Ledger {
  const db = openConnection(options.path, {
    synchronous: options.synchronous,
    busyTimeoutMs: 0,
    autoCheckpointPages: BACKSTOP_PAGES,
    cacheKib: 8_000,
  });
  try {
    return ledgerOn(db, options);
  } catch (error) {
    db.close();
    throw error;
  }
}

/** The ledger on its own connection, which must not wait for locks. `end` closes it. */
export function ledgerOn(db: DatabaseSync, options: LedgerOptions): Ledger {
  const { spool, onTrouble } = options;
  const entries = new Entries(db);
  const pad = db.prepare("INSERT INTO ledger_probe (padding) VALUES (zeroblob(65536))");
  const unpad = db.prepare("DELETE FROM ledger_probe");
  const commits = commitsOn(db, options);
  const quota = new DiskQuota(db, options);
  /** Numbers of the calls that this ledger has opened and not closed, by id. */
  const open = new Map<string, number>();
  /** Closings whose commit failed, by the id of their row: at most one for each open row. */
  const kept = new Map<string, UsageRow>();
  let openCalls = Number(db.prepare("SELECT count(*) AS open FROM open_calls").get()?.open);
  let writeFailure: string | null = null;
  /** Why the files are lost. No probe ends that: it would succeed in the files without a name. */
  let loss: string | null = null;
  let probeTimer: ReturnType<typeof setTimeout> | undefined;
  let probing: Promise<void> = Promise.resolve();
  let hasEnded = false;
  const lookTimer = setInterval(look, options.lookMs);
  Deno.unrefTimer(lookTimer);

  function look(): void {
    loss = options.whyLost();
    if (loss === null) return;
    clearInterval(lookTimer);
    clearTimeout(probeTimer);
    onTrouble(loss);
  }

  function refuseIfUnusable(): void {
    if (hasEnded) throw unavailable("the ledger is closed");
    const trouble = loss ?? writeFailure;
    if (trouble !== null) throw unavailable(trouble);
  }

  /** A write that is not kept after a failure. It is not tried while writes fail. */
  async function write<T>(run: () => T): Promise<T> {
    refuseIfUnusable();
    try {
      return await commits.add(run);
    } catch (error) {
      throw failed(error);
    }
  }

  async function commitClosed(row: UsageRow): Promise<void> {
    const number = open.get(row.call.id);
    const wasOpen = await commits.add(() => entries.close(number, row));
    open.delete(row.call.id);
    if (wasOpen) openCalls--;
  }

  function failed(error: unknown): Fault {
    if (!(error instanceof WriteRefused)) startProbing(error);
    return unavailable(error);
  }

  function startProbing(error: unknown): void {
    if (loss !== null) return;
    const isNew = writeFailure === null;
    writeFailure = `Cannot write the ledger ${options.path}: ${error instanceof Error ? error.message : error}`;
    if (isNew) onTrouble(writeFailure);
    if (probeTimer !== undefined || hasEnded) return;
    probeTimer = setTimeout(() => {
      probeTimer = undefined;
      probing = probe();
    }, options.probeMs);
    // This must not keep an idle process alive.
    Deno.unrefTimer(probeTimer);
  }

  async function probe(): Promise<void> {
    try {
      // Needs new pages, as real writes do, and leaves nothing behind.
      await commits.add(() => {
        pad.run();
        unpad.run();
      });
      await writeKept();
      if (loss !== null) return;
      writeFailure = null;
      onTrouble(null);
    } catch (error) {
      startProbing(error);
    }
  }

  /** Tries all of them, then rejects if one could not be written. */
  async function writeKept(): Promise<void> {
    const tried = await Promise.allSettled([...kept.values()].map(applyKept));
    for (const result of tried) if (result.status === "rejected") throw result.reason;
  }

  /** A row that the database refuses is dropped: it stays open, and the next start sweeps it. */
  async function applyKept(row: UsageRow): Promise<void> {
    try {
      await commitClosed(row);
    } catch (error) {
      if (!(error instanceof WriteRefused)) throw error;
    }
    kept.delete(row.call.id);
  }

  return {
    async open(call, trace) {
      refuseIfUnusable();
      if (quota.isFull()) {
        if (spool?.onFull === "serve") return "unrecorded";
        throw unavailable(quota.words());
      }
      if (open.has(call.id)) throw unavailable(`The call ${call.id} is open already`);
      const number = entries.nextNumber();
      open.set(call.id, number);
      try {
        await write(() => entries.open(number, { call, trace }));
      } catch (error) {
        open.delete(call.id);
        throw error;
      }
      openCalls++;
      return "opened";
    },
    // Is tried even while writes fail, because the client's last bytes wait for it. If the files
    // are lost, it still writes the row, for a backup, but the client sees a failure.
    async close(call, closing) {
      if (hasEnded) throw unavailable("the ledger is closed");
      const row = { call, closing, revision: REVISION.closed };
      try {
        await commitClosed(row);
        kept.delete(call.id);
      } catch (error) {
        if (!(error instanceof WriteRefused)) kept.set(call.id, row);
        throw failed(error);
      }
      if (loss !== null) throw unavailable(loss);
    },
    join: (trace) => write(() => entries.join(trace)),
    claim: (owned) => write(() => entries.claim(owned)),
    countRefusals: (counts) => write(() => entries.addRefusals(counts)),
    async sweep(instanceId) {
      let total = 0;
      for (;;) {
        const swept = await write(() => entries.sweepSome(instanceId, SWEPT_AT_ONCE));
        openCalls -= swept;
        total += swept;
        if (swept < SWEPT_AT_ONCE) return total;
      }
    },
    openCount: () => openCalls,
    usedBytes: () => quota.usedBytes(),
    boundBytes: () => quota.boundBytes(),
    trouble() {
      const trouble = loss ?? writeFailure;
      if (trouble !== null) return trouble;
      return spool?.onFull !== "serve" && quota.isFull() ? quota.words() : null;
    },
    async end() {
      if (hasEnded) return;
      hasEnded = true;
      clearInterval(lookTimer);
      clearTimeout(probeTimer);
      await commits.idle();
      await probing;
      await writeKept().catch(failed);
      quota.end();
      db.close();
      if (kept.size > 0) throw unavailable(`${kept.size} ended calls could not be recorded: ${loss ?? writeFailure}`);
    },
  };
}

/** The message goes to the sandbox, the cause to the log. */
function unavailable(cause: unknown): Fault {
  return new Fault("ledger_unavailable", "Calls cannot be recorded at the moment, so none are passed on", { cause });
}
