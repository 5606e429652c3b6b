import type { SpoolCare } from "../domain/spool.ts";
import type { Ledger } from "../domain/ledger.ts";
import type { Observe } from "../domain/observe.ts";
import type { Store } from "../domain/store.ts";
import type { DatabaseConfig, StorageConfig } from "../config/config.ts";

export interface HousekeepingOptions {
  readonly config: StorageConfig;
  readonly ledger: Pick<Ledger, "usedBytes" | "boundBytes">;
  /** Whose rows fall under retention. */
  readonly store: Pick<Store, "dropMonths" | "makeReady" | "clock">;
  readonly care: SpoolCare;
  readonly database: DatabaseConfig | null;
  readonly observe: Pick<Observe, "note">;
  readonly now: () => number;
}

const ROUND_MS = 5_000;
/** Retention and new months have time. */
const SLOW_ROUND_MS = 600_000;
/** Between two short transactions: the ledger's commits take their turns. */
const BREATH_MS = 20;
/** Of the spool's bound. From there on what is shipped already is not kept any longer. */
const PRUNE_FROM = 0.45;
const WARN_FROM = [0.5, 0.8];

/** Drops what need not be kept, and makes ready for what comes, now and then. */
export function startHousekeeping(options: HousekeepingOptions): { readonly end: () => Promise<void> } {
  const { observe } = options;
  let isEnded = false;
  let wake: () => void = () => {};
  let warned = 0;
  let sinceSlowMs = SLOW_ROUND_MS;

  async function pause(ms: number): Promise<void> {
    if (isEnded) return;
    const woken = Promise.withResolvers<void>();
    const timer = setTimeout(woken.resolve, ms);
    Deno.unrefTimer(timer);
    wake = woken.resolve;
    await woken.promise;
    clearTimeout(timer);
  }

  /** Repeats a part of the work until nothing is left of it. */
  async function whole(part: () => Promise<boolean>): Promise<void> {
    while (!isEnded && await part()) await pause(BREATH_MS);
  }

  async function careForSpool({ spool, tokenGraceMs }: DatabaseConfig): Promise<void> {
    const { care, ledger, now } = options;
    const fill = () => ledger.usedBytes() / ledger.boundBytes();
    await whole(() => care.handOver());
    await whole(() => care.prune(now() - spool.keepMs, now()));
    if (fill() >= PRUNE_FROM) await whole(async () => await care.prune(Number.MAX_SAFE_INTEGER, now()) && fill() >= PRUNE_FROM);
    await whole(() => care.pruneTokens(now() - tokenGraceMs));
    const passed = WARN_FROM.filter((from) => fill() >= from);
    if (passed.length > warned) {
      observe.note("warn", `the spool is ${Math.floor(fill() * 100)} % full of calls that the shared database has not taken`, {
        usedBytes: ledger.usedBytes(),
        maxBytes: ledger.boundBytes(),
        whenFull: spool.onFull,
      });
    }
    warned = passed.length;
  }

  async function slowRound(): Promise<void> {
    const { store, now, config: { retentionMs } } = options;
    await store.makeReady(now());
    if (retentionMs === null) return;
    assertSameTime(now(), await store.clock());
    await whole(() => store.dropMonths(now() - retentionMs));
  }

  async function round(): Promise<void> {
    if (options.database !== null) await careForSpool(options.database);
    if (sinceSlowMs < SLOW_ROUND_MS) return;
    sinceSlowMs = 0;
    await slowRound();
  }

  async function run(): Promise<void> {
    while (!isEnded) {
      await round().catch((error) => observe.note("warn", "housekeeping failed and is tried again", { error }));
      await pause(ROUND_MS);
      sinceSlowMs += ROUND_MS;
    }
  }

  const running = run();
  return {
    end: async () => {
      isEnded = true;
      wake();
      await running;
    },
  };
}

/** What one machine drops is gone for all of them, and what comes of those months later is dropped too. */
function assertSameTime(here: number, there: number | null): void {
  const days = there === null ? 0 : Math.round((here - there) / DAY_MS);
  if (Math.abs(days) < 1) return;
  throw new Error(
    `This machine's clock is ${Math.abs(days)} days ${
      days > 0 ? "ahead of" : "behind"
    } the shared database's: nothing is dropped`,
  );
}

const DAY_MS = 86_400_000;
