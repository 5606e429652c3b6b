import { settlesWithin } from "../async/deadline.ts";
import { stampOf } from "../domain/audit.ts";
import type { TellOperator } from "../domain/events.ts";
import type { NewId } from "../domain/ids.ts";
import type { Limit, LimitAdmin, LimitDefaults, LimitRecords, Limits } from "../domain/limits.ts";
import type { Observe } from "../domain/observe.ts";
import type { Readiness } from "../domain/operations.ts";
import { wordsOf } from "../domain/unavailable.ts";
import { Admissions } from "../limits/admissions.ts";
import { LimitTable } from "../limits/limit_table.ts";
import { ADMISSIONS_PACE } from "../limits/pace.ts";
import { Warnings } from "../limits/warnings.ts";

export interface LimitingOptions {
  readonly records: LimitRecords;
  readonly defaults: LimitDefaults;
  readonly queueMs: number;
  /** How long a call may wait for the upstream before it is admitted. */
  readonly upstreamWaitMs: number;
  readonly pauseMs: number;
  /** Shares of a limit at which the operator is told. */
  readonly warnPercents: readonly number[];
  readonly tell: TellOperator;
  /** How often to look whether another replica has changed limits; null: there is no other. */
  readonly lookMs: number | null;
  readonly now: () => number;
  readonly newId: NewId;
  readonly observe: Pick<Observe, "note">;
  /** The limits have changed, here or elsewhere. */
  readonly onChange: (limits: readonly Limit[]) => void;
}

/** The limits of a machine, and its admissions. */
export interface Limiting {
  readonly limits: Limits;
  readonly admissions: Admissions;
  readonly known: () => readonly Limit[];
  readonly admin: LimitAdmin;
  /** Null if limits hold over all replicas. */
  readonly trouble: () => Readiness | null;
  readonly end: () => Promise<void>;
}

/** Changes reach the other replicas within five seconds. */
export const LOOK_MS = 2_000;
/** How long a start waits for the limits of a store that does not answer. */
const START_MS = 5_000;

/** Resolves when the limits are known, or the store does not tell them in time. */
export async function startLimiting(options: LimitingOptions): Promise<Limiting> {
  const { records, defaults, queueMs, pauseMs, warnPercents, tell, lookMs, now, observe, onChange } = options;
  let known: readonly Limit[] = [];
  let table = new LimitTable([], defaults);
  let version: number | null = null;
  let failure: string | null = null;
  const warnings = new Warnings(warnPercents, tell);
  const admissions = new Admissions({
    ...{ records, queueMs, earlierMs: options.upstreamWaitMs, pauseMs, now, pace: ADMISSIONS_PACE },
    onAlone: noteAlone,
    onUsed: (workspaceId, bound, used) => warnings.used(workspaceId, bound, used),
    onPaused: ({ workspaceId, sandboxId, traceId }, why, until) =>
      tell({ type: "trace.paused", workspaceId, sandboxId, traceId, why, until }),
  });

  function noteAlone(reason: string | null): void {
    if (reason === null) observe.note("info", "limits hold over all replicas again");
    else {observe.note("error", "the store does not answer: limits hold for this machine alone, on the last known totals", {
        reason,
      });}
  }

  async function refresh(): Promise<void> {
    const latest = await records.limitsVersion();
    if (latest === version) return;
    known = await records.listLimits();
    // Limits that changed between the two questions are read again at the next look.
    version = latest;
    table = new LimitTable(known, defaults);
    onChange(known);
  }

  async function look(): Promise<void> {
    try {
      await refresh();
      failure = null;
    } catch (error) {
      if (failure === null) {
        observe.note("error", "cannot read the limits; the last known ones hold", { reason: wordsOf(error) });
      }
      failure = wordsOf(error);
    }
  }

  await settlesWithin(look(), START_MS);
  const looking = lookMs === null ? undefined : setInterval(() => void look(), lookMs);
  if (looking !== undefined) Deno.unrefTimer(looking);
  return {
    limits: { ...verbsOf(admissions), boundsOf: (call) => table.boundsOf(call) },
    admissions,
    known: () => known,
    admin: {
      list: records.listLimits,
      async set(place, changes, by) {
        await records.setLimits(place, changes, stampOf(by, options));
        await refresh();
      },
      usedOf: records.usedOf,
      defaults,
    },
    trouble() {
      if (admissions.isAlone) {
        return { status: "degraded", reason: "Limits hold for this machine alone: the store does not answer" };
      }
      return failure === null ? null : { status: "degraded", reason: `Cannot read the limits: ${failure}` };
    },
    async end() {
      clearInterval(looking);
      await admissions.end();
    },
  };
}

function verbsOf({ reserve, settle, release }: Admissions): Omit<Limits, "boundsOf"> {
  return { reserve, settle, release };
}
