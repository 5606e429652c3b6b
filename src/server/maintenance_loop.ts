import { delay } from "../async/deadline.ts";
import type { DatabaseConfig, StorageConfig } from "../config/config.ts";
import type { RecordingState } from "../domain/ledger.ts";
import type { Observe } from "../domain/observe.ts";
import type { SpoolCare } from "../domain/spool.ts";
import type { Store } from "../domain/store.ts";

export interface MaintenanceOptions {
  readonly config: StorageConfig;
  readonly recording: Pick<RecordingState, "usedBytes" | "fill">;
  /** The store whose rows fall under retention. */
  readonly store: Pick<Store, "dropMonths" | "makeReady" | "clock">;
  readonly care: SpoolCare;
  readonly observe: Pick<Observe, "note">;
  readonly now: () => number;
}

const ROUND_MS = 5_000;
/** Retention and new months can wait. */
const SLOW_ROUND_MS = 600_000;
/** Between two short transactions, so that the recording's commits get their turns. */
const BREATH_MS = 20;
/** From this part of the spool's limit on, shipped rows are dropped before their time. */
const PRUNE_FROM = 0.45;
const WARN_FROM = [0.5, 0.8];
const DAY_MS = 86_400_000;

/** Drops old rows and prepares the coming months, in rounds, until `end`. */
export function startMaintenance(options: MaintenanceOptions): { readonly end: () => Promise<void> } {
  const { config: { database, retentionMs }, recording, store, care, observe, now } = options;
  const ending = new AbortController();
  let warned = 0;

  /** Repeats a part of the work until none of it is left. */
  async function whole(part: () => Promise<boolean>): Promise<void> {
    while (!ending.signal.aborted && await part()) await delay(BREATH_MS, ending.signal);
  }

  async function careForSpool({ spool, tokenGraceMs }: DatabaseConfig): Promise<void> {
    const { fill } = recording;
    await whole(() => care.prune(now() - spool.keepMs, now()));
    if (fill() >= PRUNE_FROM) await whole(async () => await care.prune(Number.MAX_SAFE_INTEGER, now()) && fill() >= PRUNE_FROM);
    await whole(() => care.pruneTokens(now() - tokenGraceMs));
    const passed = WARN_FROM.filter((from) => fill() >= from);
    if (passed.length > warned) {
      observe.note("warn", `the spool is ${Math.floor(fill() * 100)} % full of calls that the shared database has not taken`, {
        usedBytes: recording.usedBytes(),
        maxBytes: spool.maxBytes,
        whenFull: spool.onFull,
      });
    }
    warned = passed.length;
  }

  async function careForMonths(): Promise<void> {
    await store.makeReady(now());
    if (retentionMs === null) return;
    assertSameTime(now(), await store.clock());
    await whole(() => store.dropMonths(now() - retentionMs));
  }

  async function run(): Promise<void> {
    let untilSlowMs = 0;
    for (; !ending.signal.aborted; untilSlowMs -= ROUND_MS) {
      try {
        if (database !== null) await careForSpool(database);
        if (untilSlowMs <= 0) {
          untilSlowMs = SLOW_ROUND_MS;
          if (database === null) await whole(() => care.prune(now(), now()));
          await careForMonths();
        }
      } catch (error) {
        observe.note("warn", "maintenance failed; the next round tries again", { error });
      }
      await delay(ROUND_MS, ending.signal);
    }
  }

  const running = run();
  return {
    end: async () => {
      ending.abort();
      await running;
    },
  };
}

/** A wrong clock on one machine must not drop months that all of them share. */
function assertSameTime(here: number, there: number | null): void {
  const days = there === null ? 0 : Math.round((here - there) / DAY_MS);
  if (days === 0) return;
  const direction = days > 0 ? "ahead of" : "behind";
  throw new Error(`This machine's clock is ${Math.abs(days)} days ${direction} the shared database's: nothing is dropped`);
}
