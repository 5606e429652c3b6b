import { LRUCache } from "lru-cache";
import { FairQueue } from "../async/fair_queue.ts";
import {
  addedTo,
  type Admission,
  type Bound,
  type Held,
  isGuard,
  type LimitRecords,
  type LimitRefusal,
  type Limits,
  refusalIn,
  type Reservation,
  type Settled,
  type SignOfLife,
} from "../domain/limits.ts";
import { wordsOf } from "../domain/unavailable.ts";
import { boundKey, KnownCounts } from "./known_counts.ts";
import { died, isPlace, noPlace, type Own, traceKeyOf, type Waiter, waitsAs } from "./own_call.ts";
import type { Pace } from "./pace.ts";

export interface AdmissionsOptions {
  readonly records: Pick<LimitRecords, "reserve" | "hold" | "settle" | "release" | "renewHolders">;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  /** How long a call waits for a place among those that run; 0: not at all. */
  readonly queueMs: number;
  /** How long after its `createdAt` a call may ask here: the upstream may have had it wait. */
  readonly earlierMs: number;
  /** What counts in a bound, the call that asks included; the whole limit if it has no room. */
  readonly onUsed: (workspaceId: string, bound: Bound, used: number) => void;
  /** How long a trace pauses that its guard has stopped. */
  readonly pauseMs: number;
  readonly onPaused: (call: Reservation, kind: Bound["kind"], until: number) => void;
  /** The store cannot be asked any more, and why; null: it can again. */
  readonly onAlone: (reason: string | null) => void;
  readonly pace: Pace;
}

/** Traces whose pause is remembered. */
const MOST_PAUSED = 10_000;
/** A question that the store answered too late may hold for a call that is gone. */
const UNSURE_MS = 60_000;
/** Calls of one sandbox that may wait; more are refused at once. */
const MOST_WAITING = 500;
/** Ended calls of an outage that count until their rows are there; of more, only their rows do. */
const MOST_LATE = 100_000;
/** What the store is told in one piece after an outage. */
const MOST_HELD = 500;

/**
 * Admits the calls of this machine: each in one step of the store. While the store cannot be asked,
 * by the last counts that it gave and what this machine has admitted since.
 */
export class Admissions implements Pick<Limits, "reserve" | "settle" | "release"> {
  readonly #options: AdmissionsOptions;
  /** Calls that run. */
  readonly #own = new Map<string, Own>();
  /** The holders of calls that the store is asked to admit, by call. */
  readonly #asking = new Map<string, string>();
  readonly #known = new KnownCounts();
  readonly #pauses = new LRUCache<string, LimitRefusal & { readonly pausedUntil: number }>({ max: MOST_PAUSED });
  readonly #lines = new Map<string, FairQueue<Waiter>>();
  /** By workspace: `true` if someone must look once more. */
  readonly #looking = new Map<string, boolean>();
  /** Of calls that have ended, until the store knows. */
  readonly #settled = new Map<string, Settled>();
  readonly #released = new Set<string>();
  /** Admitted without the store. */
  readonly #late = new Map<string, Held>();
  #writing: Promise<void> | null = null;
  #isAlone = false;
  #hasEnded = false;
  readonly #timers: readonly ReturnType<typeof setInterval>[];
  #probe: ReturnType<typeof setTimeout> | undefined;

  constructor(options: AdmissionsOptions) {
    this.#options = options;
    const { renewMs, againMs } = options.pace;
    this.#timers = [
      setInterval(() => this.#renew(), renewMs),
      setInterval(() => this.#lines.forEach((_, workspaceId) => void this.#look(workspaceId)), againMs),
    ];
    for (const timer of this.#timers) Deno.unrefTimer(timer);
  }

  get isAlone(): boolean {
    return this.#isAlone;
  }

  /** Calls that wait for a place. */
  get waiting(): number {
    return [...this.#lines.values()].reduce((sum, line) => sum + line.size, 0);
  }

  readonly reserve: Limits["reserve"] = async (reservation, bounds, signal) => {
    signal.throwIfAborted();
    const paused = this.#pauses.get(traceKeyOf(reservation));
    if (paused !== undefined && paused.pausedUntil > reservation.createdAt) return paused;
    const own: Own = { reservation, bounds };
    const place = bounds.find(({ kind }) => isPlace(kind));
    // Those that wait come first.
    const isBehind = place !== undefined && this.#lines.has(reservation.workspaceId);
    const first = isBehind ? noPlace(place) : await this.#ask(own);
    if (first === "died") throw died();
    const refusal = first !== null && this.#mayWait(own, first) ? await this.#wait(own, first, signal) : first;
    if (refusal !== null && isGuard(refusal.bound.kind)) return this.#pause(reservation, refusal);
    return this.#unlessLeft(own, refusal, signal);
  };

  readonly settle: Limits["settle"] = (ended) => {
    const own = this.#forget(ended.id, ended);
    const late = this.#late.get(ended.id);
    if (late === undefined) this.#settled.set(ended.id, ended);
    else if (this.#late.size > MOST_LATE) this.#late.delete(ended.id);
    else this.#late.set(ended.id, { ...late, ...ended, isRunning: false });
    void this.#write(own);
  };

  readonly release: Limits["release"] = (id) => {
    const own = this.#forget(id, null);
    this.#late.delete(id);
    this.#released.add(id);
    void this.#write(own);
  };

  /** The process of those calls has died: what they hold ends with its lease. */
  forgetHolder(holder: string): void {
    for (const [id, { reservation }] of this.#own) if (reservation.holder === holder) this.#own.delete(id);
    for (const [id, asking] of this.#asking) if (asking === holder) this.#asking.delete(id);
    for (const line of this.#lines.values()) {
      for (const waiter of line.items()) if (waiter.reservation.holder === holder) waiter.left(died());
    }
  }

  /** Tells the store what waits, if it can be asked. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    this.#timers.forEach(clearInterval);
    clearTimeout(this.#probe);
    await (this.#writing ?? this.#write(null));
  }

  #pause(reservation: Reservation, refusal: LimitRefusal): LimitRefusal {
    const until = reservation.createdAt + this.#options.pauseMs;
    const paused = { ...refusal, pausedUntil: until };
    this.#pauses.set(traceKeyOf(reservation), paused);
    this.#options.onPaused(reservation, refusal.bound.kind, until);
    return paused;
  }

  /** A client may leave while its call is being admitted. */
  #unlessLeft({ reservation }: Own, refusal: LimitRefusal | null, signal: AbortSignal): LimitRefusal | null {
    if (signal.aborted && refusal === null) this.release(reservation.id);
    signal.throwIfAborted();
    return refusal;
  }

  async #ask(own: Own): Promise<LimitRefusal | null | "died"> {
    const { reservation, bounds } = own;
    const { id, holder } = reservation;
    // It was given up while it waited: told later, that would free what it holds from now on.
    while (this.#released.has(id) && !this.#isAlone) await (this.#writing ?? this.#write(null));
    if (this.#isAlone) return this.#askHere(own);
    let admission: Admission | null = null;
    this.#asking.set(id, holder);
    try {
      admission = await this.#options.records.reserve(reservation, bounds);
    } catch (error) {
      this.#goAlone(error);
    }
    const hasDied = !this.#asking.delete(id);
    const refusal = admission === null ? this.#askHere(own) : this.#take(own, admission);
    // The store may have admitted it, and only its answer was lost.
    if (admission === null && refusal !== null) this.#released.add(id);
    if (hasDied && refusal === null) this.release(id);
    return hasDied ? "died" : refusal;
  }

  #take(own: Own, { isAdmitted, used }: Admission): LimitRefusal | null {
    const { reservation, bounds } = own;
    for (const [n, bound] of bounds.entries()) {
      const adds = addedTo(bound, reservation);
      const known = used[n]! + (isAdmitted ? adds : 0);
      this.#known.set(reservation, bound, known);
      const hasRoom = used[n]! + adds <= bound.max;
      this.#options.onUsed(reservation.workspaceId, bound, hasRoom ? known : Math.max(known, bound.max));
    }
    if (isAdmitted) this.#own.set(reservation.id, own);
    return refusalIn(bounds, used, reservation);
  }

  #askHere(own: Own): LimitRefusal | null {
    const { reservation, bounds } = own;
    const used = bounds.map((bound) =>
      isPlace(bound.kind) ? this.#runningIn(boundKey(reservation, bound)) : this.#known.of(reservation, bound)
    );
    const refusal = refusalIn(bounds, used, reservation);
    if (refusal !== null) return refusal;
    for (const [n, bound] of bounds.entries()) this.#known.set(reservation, bound, used[n]! + addedTo(bound, reservation));
    this.#own.set(reservation.id, own);
    this.#released.delete(reservation.id);
    this.#late.set(reservation.id, { ...reservation, isRunning: true });
    return null;
  }

  /** Calls of this machine. Those of others end too, and nothing here would tell. */
  #runningIn(place: string): number {
    const isIn = ({ reservation, bounds }: Own) => bounds.some((bound) => boundKey(reservation, bound) === place);
    return this.#own.values().reduce((count, own) => count + (isIn(own) ? 1 : 0), 0);
  }

  /** The call is over, or never was (null): what it did not use is free here. */
  #forget(id: string, used: Settled | null): Own | null {
    const own = this.#own.get(id);
    if (own === undefined) return null;
    this.#own.delete(id);
    this.#known.ended(own.reservation, own.bounds, used);
    return own;
  }

  #mayWait(own: Own, { bound }: LimitRefusal): boolean {
    const waiting = this.#lines.get(own.reservation.workspaceId)?.countOf(waitsAs(own)) ?? 0;
    return isPlace(bound.kind) && this.#options.queueMs > 0 && waiting < MOST_WAITING;
  }

  async #wait(own: Own, refusal: LimitRefusal, signal: AbortSignal): Promise<LimitRefusal | null> {
    // It may have left during the question.
    signal.throwIfAborted();
    const { workspaceId } = own.reservation;
    const holder = waitsAs(own);
    const { promise, resolve, reject } = Promise.withResolvers<LimitRefusal | null>();
    let isOver = false;
    const waiter: Waiter = {
      ...own,
      done(answer) {
        if (isOver) return false;
        isOver = true;
        resolve(answer);
        return true;
      },
      left(reason) {
        isOver = true;
        reject(reason);
      },
    };
    const line = this.#lines.get(workspaceId) ?? new FairQueue<Waiter>();
    this.#lines.set(workspaceId, line);
    line.add(waiter, { rank: 0, holder });
    const late = setTimeout(() => waiter.done(noPlace(refusal.bound)), this.#options.queueMs);
    const left = () => waiter.left(signal.reason);
    signal.addEventListener("abort", left, { once: true });
    void this.#look(workspaceId);
    try {
      return await promise;
    } finally {
      clearTimeout(late);
      signal.removeEventListener("abort", left);
      line.delete(waiter);
      if (line.size === 0 && this.#lines.get(workspaceId) === line) this.#lines.delete(workspaceId);
    }
  }

  /** Lets those in who have room now. One looks at a time in a workspace. */
  async #look(workspaceId: string): Promise<void> {
    const isLooking = this.#looking.has(workspaceId);
    this.#looking.set(workspaceId, isLooking);
    if (isLooking) return;
    try {
      for (let hasRoom = true; hasRoom || this.#looking.get(workspaceId);) {
        this.#looking.set(workspaceId, false);
        hasRoom = await this.#letIn(workspaceId);
      }
    } finally {
      this.#looking.delete(workspaceId);
    }
  }

  /** Tries the next of each holder until one is let in or refused; false if none was. */
  async #letIn(workspaceId: string): Promise<boolean> {
    const line = this.#lines.get(workspaceId);
    for (const waiter of line?.heads() ?? []) {
      const refusal = await this.#ask(waiter);
      if (refusal === "died") return true;
      if (refusal !== null && isPlace(refusal.bound.kind)) {
        if (refusal.bound.scope === "workspace") return false;
        continue;
      }
      line!.hadTurn(waiter);
      if (!waiter.done(refusal) && refusal === null) this.release(waiter.reservation.id);
      return true;
    }
    return false;
  }

  /** Tells the store of ends, then lets in who waited for them. */
  async #write(own: Own | null): Promise<void> {
    if (this.#isAlone) {
      if (own !== null) void this.#look(own.reservation.workspaceId);
    } else if (this.#writing === null) {
      this.#writing = this.#writeAll();
      await this.#writing;
      this.#writing = null;
      this.#lines.forEach((_, workspaceId) => void this.#look(workspaceId));
    }
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#settled.size + this.#released.size > 0) await this.#writeOnce();
    } catch (error) {
      this.#goAlone(error);
    }
  }

  /** If that fails, all is told again: either is the same if it is told twice. */
  async #writeOnce(): Promise<void> {
    const { records } = this.#options;
    const settled = [...this.#settled.values()];
    if (settled.length > 0) await records.settle(settled);
    for (const { id } of settled) this.#settled.delete(id);
    // Now: one that waits may be asked for again meanwhile.
    const released = [...this.#released];
    if (released.length > 0) await records.release(released);
    for (const id of released) this.#released.delete(id);
  }

  #goAlone(error: unknown): void {
    if (this.#isAlone) return;
    this.#isAlone = true;
    this.#options.onAlone(wordsOf(error));
    if (!this.#hasEnded) this.#probeLater();
  }

  #probeLater(): void {
    this.#probe = setTimeout(() => void this.#rejoin(), this.#options.pace.probeMs);
    Deno.unrefTimer(this.#probe);
  }

  /** Tells the store what was admitted without it; from then on it is asked again. */
  async #rejoin(): Promise<void> {
    const { records } = this.#options;
    try {
      await records.renewHolders(this.#signOfLife());
      // Until the end calls are admitted and given up without the store, also during a question.
      do {
        await this.#tellAll();
        // Again, because it forgets those whose rows came first.
        await records.renewHolders(this.#signOfLife());
      } while (this.#late.size + this.#released.size > 0);
    } catch {
      if (!this.#hasEnded) this.#probeLater();
      return;
    }
    this.#isAlone = false;
    this.#options.onAlone(null);
    await this.#write(null);
  }

  async #tellAll(): Promise<void> {
    while (this.#late.size + this.#settled.size + this.#released.size > 0) {
      // First: one that waits and was given up may have been admitted since.
      await this.#writeOnce();
      const late = this.#late.values().take(MOST_HELD).toArray();
      if (late.length > 0) await this.#options.records.hold(late);
      for (const held of late) if (this.#late.get(held.id) === held) this.#late.delete(held.id);
    }
  }

  #renew(): void {
    if (this.#own.size === 0 || this.#isAlone) return;
    this.#options.records.renewHolders(this.#signOfLife()).catch((error) => this.#goAlone(error));
  }

  #signOfLife(): SignOfLife {
    const { now, queueMs, earlierMs } = this.#options;
    const running = [...this.#own.values()].map(({ reservation }) => reservation.holder);
    // The store may admit these before this reaches it.
    const waiting = [...this.#lines.values()].flatMap((line) => line.items().map(({ reservation }) => reservation.id));
    return {
      holders: [...new Set([...this.#asking.values(), ...running])],
      running: [...this.#asking.keys(), ...waiting, ...this.#own.keys(), ...this.#settled.keys()],
      before: now() - earlierMs - queueMs - UNSURE_MS,
    };
  }
}
