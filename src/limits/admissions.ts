import { LRUCache } from "lru-cache";
import {
  addedTo,
  type Admission,
  type Bound,
  type Held,
  isGuard,
  LIMIT_KINDS,
  type LimitRecords,
  type LimitRefusal,
  type Limits,
  refusalIn,
  type Reservation,
  type Settled,
  type SignOfLife,
} from "../domain/limits.ts";
import { wordsOf } from "../domain/unavailable.ts";
import { WaitingLine } from "./waiting_line.ts";

export interface AdmissionsOptions {
  readonly records: Pick<LimitRecords, "reserve" | "hold" | "settle" | "release" | "renewHolders">;
  /** Milliseconds since the epoch, UTC. */
  readonly now: () => number;
  /** How long a call waits for a place among those that run; 0: not at all. */
  readonly queueMs: number;
  /** What counts in a bound, the call that asks included; the whole limit if it has no room. */
  readonly onUsed: (workspaceId: string, bound: Bound, used: number) => void;
  /** How long a trace pauses that its guard has stopped. */
  readonly pauseMs: number;
  readonly onPaused: (call: Reservation, kind: Bound["kind"], until: number) => void;
  /** The store cannot be asked any more, and why; null: it can again. */
  readonly onAlone: (reason: string | null) => void;
  readonly pace: Pace;
}

export interface Pace {
  /** How often those that wait try again, because other replicas' calls end too. */
  readonly againMs: number;
  /** How often to ask a store that could not be asked. */
  readonly probeMs: number;
  /** How often holders of running calls give a sign of life. */
  readonly renewMs: number;
}

export const ADMISSIONS_PACE: Pace = { againMs: 200, probeMs: 1_000, renewMs: 15_000 };

/** Bounds whose latest count is kept for an outage. */
const MOST_KNOWN = 50_000;
/** Traces whose pause is remembered. */
const MOST_PAUSED = 10_000;
/** A question that the store answered too late may hold for a call that is gone. */
const UNSURE_MS = 60_000;
/** Calls of one sandbox that may wait; more are refused at once. */
const MOST_WAITING = 500;

/** An admitted call that has not ended, or that the store does not know of. */
interface Own {
  readonly reservation: Reservation;
  readonly bounds: readonly Bound[];
}

interface Waiter extends Own {
  /** False if it waits no more: it has left, or waited too long. */
  readonly done: (refusal: LimitRefusal | null) => boolean;
  readonly left: (reason: unknown) => void;
}

/**
 * Admits the calls of this machine: each in one step of the store. While the store cannot be asked,
 * by the last counts that it gave and what this machine has admitted since.
 */
export class Admissions implements Pick<Limits, "reserve" | "settle" | "release"> {
  readonly #options: AdmissionsOptions;
  readonly #own = new Map<string, Own>();
  /** What counts in a bound, as far as is known here. */
  readonly #known = new LRUCache<string, number>({ max: MOST_KNOWN });
  readonly #pauses = new LRUCache<string, LimitRefusal & { readonly pausedUntil: number }>({ max: MOST_PAUSED });
  readonly #lines = new Map<string, WaitingLine<Waiter>>();
  /** By workspace: `true` if someone must look once more. */
  readonly #looking = new Map<string, boolean>();
  #settled: Settled[] = [];
  #released: string[] = [];
  /** Admitted without the store. */
  readonly #late = new Map<string, Held>();
  #isWriting = false;
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
    const refusal = isBehind ? noPlace(place) : await this.#ask(own);
    if (refusal !== null && this.#mayWait(own, refusal)) return await this.#wait(own, refusal, signal);
    if (refusal !== null && isGuard(refusal.bound.kind)) return this.#pause(reservation, refusal);
    return this.#unlessLeft(own, refusal, signal);
  };

  readonly settle: Limits["settle"] = (ended) => {
    const own = this.#forget(ended.id, ended);
    const late = this.#late.get(ended.id);
    if (late !== undefined) this.#late.set(ended.id, { ...late, ...ended, isRunning: false });
    else this.#settled.push(ended);
    void this.#write(own);
  };

  readonly release: Limits["release"] = (id) => {
    const own = this.#forget(id, { tokens: 0, cost: 0 });
    if (!this.#late.delete(id)) this.#released.push(id);
    void this.#write(own);
  };

  /** The process of those calls has died: what they hold ends with its lease. */
  forgetHolder(holder: string): void {
    for (const [id, { reservation }] of this.#own) if (reservation.holder === holder) this.#own.delete(id);
    for (const line of this.#lines.values()) {
      for (const waiter of line.all()) if (waiter.reservation.holder === holder) waiter.left(new Error("Its process has died"));
    }
  }

  /** Tells the store what waits, if it can be asked. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    this.#timers.forEach(clearInterval);
    clearTimeout(this.#probe);
    await this.#write(null);
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

  async #ask(own: Own): Promise<LimitRefusal | null> {
    const { reservation, bounds } = own;
    if (this.#isAlone) return this.#askHere(own);
    let admission: Admission;
    try {
      admission = await this.#options.records.reserve(reservation, bounds);
    } catch (error) {
      this.#goAlone(error);
      const refusal = this.#askHere(own);
      // The store may have admitted it, and only its answer was lost.
      if (refusal !== null) this.#released.push(reservation.id);
      return refusal;
    }
    const { isAdmitted, used } = admission;
    for (const [n, bound] of bounds.entries()) {
      const adds = addedTo(bound, reservation);
      const known = used[n]! + (isAdmitted ? adds : 0);
      this.#known.set(keyOf(reservation, bound), known);
      const hasRoom = used[n]! + adds <= bound.max;
      this.#options.onUsed(reservation.workspaceId, bound, hasRoom ? known : Math.max(known, bound.max));
    }
    if (isAdmitted) this.#own.set(reservation.id, own);
    return refusalIn(bounds, used, reservation);
  }

  #askHere(own: Own): LimitRefusal | null {
    const { reservation, bounds } = own;
    const used = bounds.map((bound) => this.#known.get(keyOf(reservation, bound)) ?? 0);
    const refusal = refusalIn(bounds, used, reservation);
    if (refusal !== null) return refusal;
    for (const [n, bound] of bounds.entries()) this.#known.set(keyOf(reservation, bound), used[n]! + addedTo(bound, reservation));
    this.#own.set(reservation.id, own);
    this.#late.set(reservation.id, { ...reservation, isRunning: true });
    return null;
  }

  /** The call is over; what it did not use is free, as far as is known here. */
  #forget(id: string, used: Pick<Reservation, "tokens" | "cost">): Own | null {
    const own = this.#own.get(id);
    if (own === undefined) return null;
    this.#own.delete(id);
    for (const bound of own.bounds) {
      const key = keyOf(own.reservation, bound);
      const known = this.#known.get(key);
      if (known === undefined) continue;
      const left = isPlace(bound.kind) ? 0 : addedTo(bound, used);
      this.#known.set(key, known - addedTo(bound, own.reservation) + left);
    }
    return own;
  }

  #mayWait({ reservation: { workspaceId, sandboxId } }: Own, { bound }: LimitRefusal): boolean {
    const waiting = this.#lines.get(workspaceId)?.waitingOf(sandboxId) ?? 0;
    return isPlace(bound.kind) && this.#options.queueMs > 0 && waiting < MOST_WAITING;
  }

  async #wait(own: Own, refusal: LimitRefusal, signal: AbortSignal): Promise<LimitRefusal | null> {
    const { workspaceId, sandboxId } = own.reservation;
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
    const line = this.#lines.get(workspaceId) ?? new WaitingLine<Waiter>();
    this.#lines.set(workspaceId, line);
    line.join(sandboxId, waiter);
    const late = setTimeout(() => waiter.done(noPlace(refusal.bound)), this.#options.queueMs);
    const left = () => waiter.left(signal.reason);
    signal.addEventListener("abort", left, { once: true });
    void this.#look(workspaceId);
    try {
      return this.#unlessLeft(own, await promise, signal);
    } finally {
      clearTimeout(late);
      signal.removeEventListener("abort", left);
      line.leave(sandboxId, waiter);
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
      if (refusal !== null && isPlace(refusal.bound.kind)) {
        if (refusal.bound.scope === "workspace") return false;
        continue;
      }
      const { sandboxId, id } = waiter.reservation;
      line!.leave(sandboxId, waiter, { hadTurn: true });
      if (!waiter.done(refusal) && refusal === null) this.release(id);
      return true;
    }
    return false;
  }

  /** Tells the store of ends, then lets in who waited for them. */
  async #write(own: Own | null): Promise<void> {
    if (!this.#isWriting && !this.#isAlone) {
      this.#isWriting = true;
      try {
        while (this.#settled.length + this.#released.length > 0) await this.#writeOnce();
      } catch (error) {
        this.#goAlone(error);
      } finally {
        this.#isWriting = false;
      }
      this.#lines.forEach((_, workspaceId) => void this.#look(workspaceId));
    } else if (this.#isAlone && own !== null) {
      void this.#look(own.reservation.workspaceId);
    }
  }

  async #writeOnce(): Promise<void> {
    const [settled, released] = [this.#settled, this.#released];
    [this.#settled, this.#released] = [[], []];
    try {
      if (settled.length > 0) await this.#options.records.settle(settled);
      if (released.length > 0) await this.#options.records.release(released);
    } catch (error) {
      // Either is the same if it is told twice.
      this.#settled = [...settled, ...this.#settled];
      this.#released = [...released, ...this.#released];
      throw error;
    }
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
      for (let late = [...this.#late.values()]; late.length > 0; late = [...this.#late.values()]) {
        await records.hold(late);
        for (const held of late) if (this.#late.get(held.id) === held) this.#late.delete(held.id);
      }
    } catch {
      if (!this.#hasEnded) this.#probeLater();
      return;
    }
    this.#isAlone = false;
    this.#options.onAlone(null);
    await this.#write(null);
  }

  #renew(): void {
    if (this.#own.size === 0 || this.#isAlone) return;
    this.#options.records.renewHolders(this.#signOfLife()).catch((error) => this.#goAlone(error));
  }

  #signOfLife(): SignOfLife {
    const running = [...this.#own.values()].map(({ reservation }) => reservation);
    return {
      holders: [...new Set(running.map(({ holder }) => holder))],
      running: running.map(({ id }) => id),
      before: this.#options.now() - UNSURE_MS,
    };
  }
}

/** Whether that kind counts calls that run: a place among them becomes free at any time. */
function isPlace(kind: Bound["kind"]): boolean {
  return LIMIT_KINDS[kind].counts === "running";
}

function traceKeyOf({ workspaceId, traceId }: Reservation): string {
  return JSON.stringify([workspaceId, traceId]);
}

function noPlace(bound: Bound): LimitRefusal {
  return { bound, used: bound.max };
}

function keyOf({ workspaceId }: Pick<Reservation, "workspaceId">, { kind, scope, id, from }: Bound): string {
  return JSON.stringify([workspaceId, scope, id, kind, from]);
}
