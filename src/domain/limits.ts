import type { Actor, AuditJson, AuditStamp } from "./audit.ts";
import { type Period, periodStart } from "./calendar.ts";
import { costUsd } from "./money.ts";
import type { Closing, OpenCall } from "./usage.ts";

/** What a kind of limit counts. */
interface LimitKindShape {
  /** Of a call. `tokens` are input, output, cache writes and cache reads. */
  readonly counts: "requests" | "tokens" | "cost" | "running";
  /** The calls that count began in the current one (UTC); null: those that run now. */
  readonly period: "minute" | "hour" | "day" | "month" | null;
  /** Only a trace can have it, and a trace without room pauses for a while. */
  readonly isGuard?: true;
  /** For messages, behind an amount. */
  readonly words: string;
}

/** The closed table: a new kind is one row, and one in docs/limits.md. */
export const LIMIT_KINDS = {
  rpd: { counts: "requests", period: "day", words: "requests a day" },
  tokens_per_day: { counts: "tokens", period: "day", words: "tokens a day" },
  cost_per_day: { counts: "cost", period: "day", words: "dollars a day" },
  cost_per_month: { counts: "cost", period: "month", words: "dollars a month" },
  calls_per_minute: { counts: "requests", period: "minute", isGuard: true, words: "calls a minute" },
  cost_per_hour: { counts: "cost", period: "hour", isGuard: true, words: "dollars an hour" },
  concurrent: { counts: "running", period: null, words: "calls at a time" },
} as const satisfies Record<string, LimitKindShape>;

export type LimitKind = keyof typeof LIMIT_KINDS;

export const ALL_KINDS = Object.keys(LIMIT_KINDS) as readonly LimitKind[];

/** The runaway guard. */
export function isGuard(kind: LimitKind): boolean {
  return "isGuard" in LIMIT_KINDS[kind];
}

/** The most that a limit can allow: a safe integer in SQLite, JSON and worker messages. */
export const MAX_LIMIT = Number.MAX_SAFE_INTEGER;

/**
 * Whom a limit holds for. `default`: each workspace without a limit of that kind of its own. `id`
 * is the sandbox's or the trace's, otherwise empty.
 */
export interface LimitPlace {
  readonly scope: "default" | "workspace" | "sandbox" | "trace";
  /** Empty in the default. */
  readonly workspaceId: string;
  readonly id: string;
}

/** A limit as it is stored. */
export interface Limit extends LimitPlace {
  readonly kind: LimitKind;
  /** Requests, tokens, whole nano-dollars or calls. 0: no limit, whatever the default says. */
  readonly max: number;
  /** Milliseconds since the epoch, UTC. */
  readonly updatedAt: number;
}

/** A limit that one call has to keep. */
export interface Bound {
  readonly kind: LimitKind;
  /** Whose calls count. */
  readonly scope: Exclude<LimitPlace["scope"], "default">;
  /** The workspace's, sandbox's or trace's id. */
  readonly id: string;
  /** At least 1. */
  readonly max: number;
  /** The period whose calls count, milliseconds since the epoch; null: those that run now. */
  readonly from: number | null;
  readonly until: number | null;
}

/**
 * What a call may use, held until its row is in the store. While the call runs it counts as long as
 * its holder gives signs of life; after that always.
 */
export interface Reservation {
  /** The call's. */
  readonly id: string;
  readonly workspaceId: string;
  readonly sandboxId: string;
  readonly traceId: string;
  /** The run of the proxy that admitted it, or of its worker. */
  readonly holder: string;
  /** The admission, milliseconds since the epoch. */
  readonly createdAt: number;
  readonly tokens: number;
  /** Whole nano-dollars. */
  readonly cost: number;
}

export interface Admission {
  readonly isAdmitted: boolean;
  /** What counts in each bound without this call: ended calls, and what others hold. */
  readonly used: readonly number[];
}

/** After so long without a sign of life, what a holder holds is free again. */
export const LEASE_MS = 60_000;

/**
 * Limits, and what running calls hold of them. A reservation is deleted by the transaction that
 * writes the call's row, so that a call counts once: before as held, then as used.
 * Each method resolves when its change is committed, and rejects if the database cannot be used.
 */
export interface LimitRecords {
  /** Changes with each `setLimits`. */
  readonly limitsVersion: () => Promise<number>;
  readonly listLimits: () => Promise<readonly Limit[]>;
  /** The same transaction writes the audit entry, if a limit changes. */
  readonly setLimits: (
    place: LimitPlace,
    changes: readonly LimitChange[],
    stamp: AuditStamp,
  ) => Promise<void>;
  /** Holds if every bound has room. One atomic step for all calls of a workspace. */
  readonly reserve: (reservation: Reservation, bounds: readonly Bound[]) => Promise<Admission>;
  /** What counts in each bound of the workspace. */
  readonly usedOf: (workspaceId: string, bounds: readonly Bound[]) => Promise<readonly number[]>;
  /** Holds without asking what was admitted during an outage, unless its row is there already. */
  readonly hold: (reservations: readonly Held[]) => Promise<void>;
  /** The calls ended: they hold what they used until their rows are in the store. */
  readonly settle: (ended: readonly Settled[]) => Promise<void>;
  /** There was no such call: it used nothing. */
  readonly release: (ids: readonly string[]) => Promise<void>;
  /** Also forgets what running calls of holders hold that have long been silent. */
  readonly renewHolders: (sign: SignOfLife) => Promise<void>;
}

/** Admission under limits: exact over all processes that share a store, while that can be asked. */
export interface Limits {
  /** From memory. Empty: the call has no limit, and nothing else here is called for it. */
  readonly boundsOf: (call: Pick<Reservation, "workspaceId" | "sandboxId" | "traceId" | "createdAt">) => readonly Bound[];
  /**
   * Holds, perhaps after a wait for a place among calls that run. Resolves to null if it does. The
   * call is then settled or released, once. Rejects with the signal's reason.
   */
  readonly reserve: (
    reservation: Reservation,
    bounds: readonly Bound[],
    signal: AbortSignal,
  ) => Promise<LimitRefusal | null>;
  /** The call ended. */
  readonly settle: (ended: Settled) => void;
  /** There was no such call after all. */
  readonly release: (id: string) => void;
}

/** The administration of limits. Each method rejects if the database cannot be used. */
export interface LimitAdmin {
  readonly list: () => Promise<readonly Limit[]>;
  /** As in `LimitRecords`. Resolves when the change holds on this machine. */
  readonly set: (place: LimitPlace, changes: readonly LimitChange[], by: Actor) => Promise<void>;
  readonly usedOf: LimitRecords["usedOf"];
  readonly defaults: LimitDefaults;
}

/** Of each workspace, or trace, if no limit of that kind is stored for it; 0: none. */
export type LimitDefaults = Partial<Readonly<Record<LimitKind, number>>>;

/** The limits of one place as the audit shows them: dollars as the admin API does; null if none. */
export function limitsJson(limits: readonly Limit[]): AuditJson | null {
  const kept = ALL_KINDS.flatMap((kind) => limits.filter((limit) => limit.kind === kind));
  if (kept.length === 0) return null;
  return Object.fromEntries(kept.map(({ kind, max }) => [kind, LIMIT_KINDS[kind].counts === "cost" ? costUsd(max) : max]));
}

/** `max` null removes the limit. */
export interface LimitChange {
  readonly kind: LimitKind;
  readonly max: number | null;
}

/** Of several bounds without room, the one that has room again last. */
export interface LimitRefusal {
  readonly bound: Bound;
  /** Without the call. */
  readonly used: number;
  /** The trace pauses until then. */
  readonly pausedUntil?: number;
}

/** Finds loops: the same question many times in a short while. */
export interface Loops {
  /** The end of the pause in which the call comes, or which it begins; null: it may go on. */
  readonly pausedUntil: (
    call: Pick<OpenCall, "workspaceId" | "sandboxId" | "traceId" | "messagesHash" | "createdAt">,
  ) => number | null;
}

/** A call as its request describes it. */
export interface AskedCall {
  readonly model: string;
  /** Who bills it. */
  readonly provider: string;
  /** Of the body, as it was sent. */
  readonly bytes: number;
  readonly isCompressed: boolean;
  /** Its prompt holds files of unknown size. */
  readonly namesFiles: boolean;
  /** Its prompt may be written to the upstream's cache, which costs more. */
  readonly mayCache: boolean;
  readonly maxTokens: number | null;
  readonly speed: string | null;
  readonly inferenceGeo: string | null;
  /** Its admission, milliseconds since the epoch. */
  readonly at: number;
}

export interface Estimate {
  readonly tokens: number;
  /** Whole nano-dollars; null: the model has no price. */
  readonly cost: number | null;
}

/** Estimates what calls will use. Pure, apart from what it learns. */
export interface Estimates {
  /** Whether `AskedCall.mayCache` is looked at. */
  readonly needsCacheMarks: boolean;
  readonly of: (call: AskedCall) => Estimate;
  readonly learn: (call: OpenCall, closing: Closing) => void;
}

/**
 * Other calls of these holders that were admitted before that time do not run, and hold nothing.
 */
export interface SignOfLife {
  readonly holders: readonly string[];
  /** Ids of calls. */
  readonly running: readonly string[];
  readonly before: number;
}

/** What a call used that has ended. */
export type Settled = Pick<Reservation, "id" | "tokens" | "cost">;

export interface Held extends Reservation {
  readonly isRunning: boolean;
}

/** What a reservation adds to a bound. */
export function addedTo({ kind }: Pick<Bound, "kind">, { tokens, cost }: Pick<Reservation, "tokens" | "cost">): number {
  const { counts } = LIMIT_KINDS[kind];
  return counts === "tokens" ? tokens : counts === "cost" ? cost : 1;
}

/** The period of a kind at that time. */
export function periodOf(kind: LimitKind, at: number): Pick<Bound, "from" | "until"> {
  const { period } = LIMIT_KINDS[kind] as { readonly period: Period | null };
  if (period === null) return { from: null, until: null };
  const from = periodStart(period, at);
  return { from, until: periodStart(period, from + 1, "next") };
}

/** The refusal of a call that adds so much; null if each bound has room. */
export function refusalIn(bounds: readonly Bound[], used: readonly number[], call: Pick<Reservation, "tokens" | "cost">) {
  let refusal: LimitRefusal | null = null;
  for (const [n, bound] of bounds.entries()) {
    if (used[n]! + addedTo(bound, call) <= bound.max) continue;
    if (refusal === null || (bound.until ?? 0) > (refusal.bound.until ?? 0)) refusal = { bound, used: used[n]! };
  }
  return refusal;
}

/** Of a proxy without limits. */
export const NO_LIMITS: Limits = {
  boundsOf: () => [],
  reserve: () => Promise.resolve(null),
  settle: () => {},
  release: () => {},
};

export const NO_LOOPS: Loops = { pausedUntil: () => null };

export const NO_ESTIMATES: Estimates = { needsCacheMarks: false, of: () => ({ tokens: 0, cost: 0 }), learn: () => {} };
